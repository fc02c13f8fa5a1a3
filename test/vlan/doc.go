// Package vlan tests the keys vlan, vlanTrunk and preserveDefaultVlan of the
// bridge plugin on a kernel that can filter VLANs on a bridge
// (CONFIG_BRIDGE_VLAN_FILTERING), which the machine at hand need not have:
//
//	make test-vlan    installs an emulator, fetches Debian's kernel, boots it, tests
//
// There is one program, the test binary, in three roles (main_vlan_test.go). On
// the host it builds a machine and reads its console (host, kernel, qemu); in
// that machine it is the first process and runs the tests (guest, lab, and the
// tests themselves: ports, traffic, verbs); and it is the IPAM plugin that the
// tests' ADD delegates to. The host's own kernel and network are left alone.
package vlan
