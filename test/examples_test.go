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

// readExample reads an example as crictl does, and strictly: a key that the CRI
// does not have would be ignored there, and mislead here.
func readExample(t *testing.T, file string, config any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(config); err != nil {
		t.Errorf("%s: %v", file, err)
	}
}

// TestExamplePods reads the pods that crictl runp is given.
func TestExamplePods(t *testing.T) {
	for _, file := range examples(t, "pod-*.json") {
		var config runtimeapi.PodSandboxConfig
		readExample(t, file, &config)
		if m := config.GetMetadata(); m.GetName() == "" || m.GetNamespace() == "" || m.GetUid() == "" {
			t.Errorf("%s: metadata %v", file, m)
		}
	}
}

// TestExampleContainers reads the containers that crictl create is given.
func TestExampleContainers(t *testing.T) {
	for _, file := range examples(t, "container-*.json") {
		var config runtimeapi.ContainerConfig
		readExample(t, file, &config)
		if config.GetMetadata().GetName() == "" || config.GetImage().GetImage() == "" {
			t.Errorf("%s: metadata %v, image %v", file, config.GetMetadata(), config.GetImage())
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
