package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"
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

// TestExampleKubelet reads the kubelet's configuration: both of its endpoints are
// where the daemon listens when it is told nothing.
func TestExampleKubelet(t *testing.T) {
	var config struct{ Kind, ContainerRuntimeEndpoint, ImageServiceEndpoint string }
	readYAML(t, "kubelet.yaml", &config)
	documented, err := os.ReadFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	listen := "| `--listen` | `" + config.ContainerRuntimeEndpoint + "` |"
	if config.Kind != "KubeletConfiguration" || config.ImageServiceEndpoint != config.ContainerRuntimeEndpoint || !strings.Contains(string(documented), listen) {
		t.Errorf("%+v", config)
	}
}

// TestExampleStaticPod reads the pod for it: no volume is mounted that is not
// there.
func TestExampleStaticPod(t *testing.T) {
	type container struct {
		Image, Name  string
		VolumeMounts []struct{ Name string }
	}
	var pod struct {
		Kind string
		Spec struct {
			Volumes                    []struct{ Name string }
			InitContainers, Containers []container
		}
	}
	readYAML(t, "static-pod.yaml", &pod)
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	if pod.Kind != "Pod" || len(pod.Spec.Containers) == 0 {
		t.Errorf("%+v", pod)
	}
	for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("container %s mounts %q, which the pod does not have", c.Name, m.Name)
			}
		}
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/examples", name))
	if err != nil {
		t.Fatal(err)
	}
	// Strictly as YAML, so that no key stands twice; the types here know but a
	// part of the keys.
	var whole any
	if err := yaml.UnmarshalStrict(text, &whole); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
