//go:build privileged

package netplug

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/spec"
)

// TestStatusWithVLANs: where the kernel's bridges cannot filter VLANs no ADD of
// such a network would work, and a bridge shows it.
func TestStatusWithVLANs(t *testing.T) {
	l := newLab(t)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	// A /sys of the node's own links, as nodes have.
	l.sh("mount --make-rprivate / && mount -t sysfs sysfs /sys && ip link add br-lab type bridge")
	status := call{command: "STATUS", config: l.config(`"vlan":5,` + v4)}
	if exec.Command("ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1").Run() == nil {
		l.must(status)
		return
	}
	l.refused(status, spec.NotAvailable, "vlan 5: the kernel has no VLAN filtering")
	l.must(call{command: "STATUS", config: l.config(v4)})
}
