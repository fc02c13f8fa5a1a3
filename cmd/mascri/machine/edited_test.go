package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnEditedConfigurationSurvivesAnUpgrade: the network is the
// administrator's, the plugins are ours.
func TestAnEditedConfigurationSurvivesAnUpgrade(t *testing.T) {
	var said strings.Builder
	tree := Tree{Root: t.TempDir(), Record: "/opt/record.json", Log: &said}
	version := func(content string) []File {
		return []File{
			{Path: "/etc/net.conflist", Mode: 0o644, Content: []byte(content), Config: true},
			{Path: "/opt/plugin", Mode: 0o755, Content: []byte(content)},
		}
	}
	if err := tree.Install(version("1")...); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(tree.Root, "/etc/net.conflist")
	if err := os.WriteFile(conf, []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tree.Install(version("2")...); err != nil {
		t.Fatalf("the upgrade: %v", err)
	}
	if got, err := os.ReadFile(conf); err != nil || string(got) != "edited" || !strings.Contains(said.String(), "left /etc/net.conflist as it is") {
		t.Errorf("the configuration is %q, %v, and was said: %s", got, err, said.String())
	}
	if got, err := os.ReadFile(filepath.Join(tree.Root, "/opt/plugin")); err != nil || string(got) != "2" {
		t.Errorf("the plugin is %q, %v", got, err)
	}
}
