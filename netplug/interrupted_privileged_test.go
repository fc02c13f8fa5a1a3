//go:build privileged

package netplug

import (
	"os/exec"
	"strings"
	"testing"
)

// TestGCReadsAgain slows down how GC reads the node's links, so that other pods'
// coming and going interrupts it for certain. What it then collects is all the
// same everything.
func TestGCReadsAgain(t *testing.T) {
	const slow = "inject=recvfrom:delay_exit=20000:when=1..40" // microseconds; the readings after that are fast
	l := newLab(t)
	config := l.config(`"isDefaultGateway":true,` + v4)
	for _, id := range []string{"a", "b"} {
		l.must(call{command: "ADD", id: id, netns: l.pod(), config: config})
	}
	l.sh("seq 1 100 | while read i; do echo link add other$i type veth peer name pod$i; done | ip -batch -")
	others := exec.Command("sh", "-c", "while ip link add coming type veth peer name coming-pod && ip link del coming; do :; done")
	if err := others.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := others.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = others.Wait() // it was killed
	})
	log, out, err := l.execution(call{command: "GC", config: strings.Replace(config, `{`, `{"cni.dev/valid-attachments":[],`, 1)}).Run(l,
		"-e", "trace=recvfrom", "-e", slow)
	if err != nil {
		t.Fatalf("GC: %v\n%s", err, out)
	}
	if !strings.Contains(log, "NLM_F_DUMP_INTR") {
		t.Fatalf("nothing was interrupted: the test proves nothing\n%s", log)
	}
	if left := l.sh("ip -br link show master br-lab"); left != "" {
		t.Errorf("GC left of two pods:\n%s", left)
	}
}
