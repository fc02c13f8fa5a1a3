package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// examples lists the example files with a name like the pattern.
func examples(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "docs/examples", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s among the examples (%v)", pattern, err)
	}
	return files
}

// TestExamplePods reads the example pods as crictl does, and strictly: a key
// that the CRI does not have would be ignored there, and mislead here.
func TestExamplePods(t *testing.T) {
	for _, file := range examples(t, "pod-*.json") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var config runtimeapi.PodSandboxConfig
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&config); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if m := config.GetMetadata(); m.GetName() == "" || m.GetNamespace() == "" || m.GetUid() == "" {
			t.Errorf("%s: metadata %v", file, m)
		}
	}
}

// TestExampleNetworks reads the example networks as a runtime does.
func TestExampleNetworks(t *testing.T) {
	for _, file := range examples(t, "*.conflist") {
		if _, err := libcni.ConfListFromFile(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
