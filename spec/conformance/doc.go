// Package conformance is the CNI specification 1.1.0 made executable: every
// requirement that a plugin can be held to is a [Row] with its section, its
// wording in short, the reason behind it and a check, which runs against a
// plugin binary as a black box.
//
// # For the author of a plugin
//
// You need your plugin's binary, a network configuration it works with, and
// root or a user namespace of your own. As a command:
//
//	mascri conformance --bin-dir ./bin --conf mynet.conflist
//
// As a test, with each row a subtest:
//
//	func TestConformance(t *testing.T) {
//		conformance.Test(t, conformance.Target{BinDir: "bin", Conf: "testdata/mynet.conflist"})
//	}
//
// A configuration is a .conf with one plugin or a .conflist. Every plugin of a
// list is tested in its place: those before it run first, so that it gets the
// prevResult it would get from a runtime. Where a configuration names an IPAM
// plugin, that one is tested as well, as a plugin of its own. What a plugin is
// (see [Kind]) follows from its place; [Target.Kind] overrides that.
//
// # What a row runs in
//
// Each row has a fresh network namespace for the host, one for each pod, and
// a private, empty /run, /var/lib, /tmp and /var/tmp, and so is independent of
// all other rows and leaves nothing behind. It knows nothing of the plugin but
// what the specification promises: exit code, stdout, stderr, the links,
// addresses, routes and packet filter in the namespaces, and the calls an IPAM
// plugin gets, which a recording stand-in in front of the real one writes down.
//
// Leftovers are found by comparing: one attachment is added and deleted, what
// is there is counted, a second one is added and deleted and nothing may have
// grown. Bridges, tables and lock files that stay for the next attachment are
// no leak; a veth, a rule or a lease per attachment is.
//
// # Reading order
//
// row.go (what a row is), target.go (what is tested), probe.go (what a check
// may do), then any section*.go: they are the specification, in its order.
// lab_linux.go builds the namespaces, kernel_linux.go and netfilter_linux.go
// look at them and damage them, standin.go is the recording IPAM plugin,
// run.go ties it together and report.go prints.
package conformance
