package test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestEveryKeyIsDocumented: what a plugin reads of its configuration is in the
// reference, as code.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	code := bytes.Join(regexp.MustCompile("`[^`\n]+`").FindAll(page, -1), []byte("\n"))
	tag := regexp.MustCompile(`json:"([^",]+)`)
	keys := 0
	for _, file := range []string{"netplug/config.go", "netplug/config_validate.go", "netplug/portmap/config.go", "netplug/filter/mapping.go", "ipam/config.go"} {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range tag.FindAllSubmatch(source, -1) {
			keys++
			key := string(found[1])
			if slices.Contains([]string{"cniVersion", "name", "type"}, key) {
				continue // the specification's
			}
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(key) + `\b`).Match(code) {
				t.Errorf("docs/configuration.md says nothing of %s, which %s reads", key, file)
			}
		}
	}
	if keys < 40 {
		t.Errorf("found %d keys: the test looks in the wrong place", keys)
	}
}
