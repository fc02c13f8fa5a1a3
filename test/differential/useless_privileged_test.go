//go:build privileged

package differential

import (
	"strings"
	"testing"
)

// TestUselessHostPorts: the reference accepts host ports that cannot answer; ours
// refuse them, and have changed nothing.
func TestUselessHostPorts(t *testing.T) {
	for name, c := range map[string]struct {
		chain []string
		says  string
	}{
		"pod without addresses": {[]string{bridge(""), `{"type":"portmap",` + tcp80 + `}`}, "prevResult has no address of eth0"},
		"two container ports": {portmapped(v4dflt, `"runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"tcp"},
			{"hostPort":8000,"containerPort":8081,"protocol":"tcp"}]}`), "container ports 8080 and 8081"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("reference", func(t *testing.T) {
				newLab(t, reference).attach("pod-one", c.chain)
			})
			t.Run("ours", func(t *testing.T) {
				l := newLab(t, ours)
				p := sandbox{id: "pod-one", netns: l.pod()}
				_, a := l.verb("ADD", p, nil, c.chain...)
				if l.code(a) != 7 || !strings.Contains(a.stdout, c.says) {
					t.Errorf("ADD ends with %d: %s", a.exit, a.stdout)
				}
				if left := l.sh("nft list ruleset | grep -w 8000 || true"); left != "" {
					t.Errorf("the refused ADD has made\n%s", left)
				}
			})
		})
	}
}
