//go:build privileged

package netplug

import (
	"testing"

	"github.com/mascri/mascri/spec"
)

// untilTheLink waits, ten seconds at most, for the pod's interface.
const untilTheLink = `[ $CNI_COMMAND = DEL ] || for i in $(seq 500); do
	nsenter --net=$CNI_NETNS ip link show eth0 >/dev/null 2>&1 && break
	[ $i != 500 ] && sleep 0.02 || { echo '{"code":100,"msg":"there is no eth0"}'; exit 1; }
done
`

// TestTheLinkIsMadeMeanwhile: an IPAM plugin that gives no address before there
// is a link for it.
func TestTheLinkIsMadeMeanwhile(t *testing.T) {
	l := newLab(t)
	config := l.config(`"isDefaultGateway":true,` + v4)
	l.must(call{command: "ADD", id: "first", netns: l.pod(), config: config})
	l.interpose(untilTheLink + "exec $IPAM")
	pod := l.pod()
	added := l.must(call{command: "ADD", id: "a", netns: pod, config: config})
	l.must(call{command: "CHECK", id: "a", netns: pod, config: withPrev(t, config, added.stdout)})
}

// TestTheLinkIsUnmade: the IPAM plugin has no address for the link that was made
// in the meantime.
func TestTheLinkIsUnmade(t *testing.T) {
	l := newLab(t)
	l.sh("ip link add br-lab type bridge")
	l.interpose(untilTheLink + `[ $CNI_COMMAND = DEL ] || { echo '{"code":101,"msg":"no IP addresses available"}'; exit 1; }`)
	pod := l.pod()
	l.refused(call{command: "ADD", id: "a", netns: pod, config: l.config(v4)}, spec.Exhausted, "no IP addresses available")
	if left := l.leftovers(); left != "" {
		t.Errorf("left after a failed ADD: %s", left)
	}
	if links := l.sh("nsenter --net=" + pod + " ip -o link show type veth"); links != "" {
		t.Errorf("left in the pod: %s", links)
	}
}

// TestNoAddressNoBridge: where the node has no bridge yet, an ADD that gets no
// address leaves the node without one.
func TestNoAddressNoBridge(t *testing.T) {
	l := newLab(t)
	before := l.sh("ip -o link")
	l.interpose(`[ $CNI_COMMAND = DEL ] || { echo '{"code":101,"msg":"no IP addresses available"}'; exit 1; }`)
	l.refused(call{command: "ADD", id: "a", netns: l.pod(), config: l.config(v4)}, spec.Exhausted, "no IP addresses available")
	if after := l.sh("ip -o link"); after != before {
		t.Errorf("links before a failed ADD:\n%safter it:\n%s", before, after)
	}
}
