package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestEveryCallIsTested demands that the end-to-end tests make each call of the
// CRI, in the version of the API that we build with.
func TestEveryCallIsTested(t *testing.T) {
	files, err := filepath.Glob("e2e_*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no end-to-end tests: %v", err)
	}
	var source []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	for _, name := range uncalled(source, criServices()) {
		t.Errorf("no end-to-end test calls %s", name)
	}
}

// criServices are the services that the API's file defines.
func criServices() protoreflect.ServiceDescriptors {
	return (&runtimeapi.VersionRequest{}).ProtoReflect().Descriptor().ParentFile().Services()
}

// uncalled are the services' methods that the source does not call.
func uncalled(source []byte, services protoreflect.ServiceDescriptors) (names []protoreflect.Name) {
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			name := methods.Get(j).Name()
			if !regexp.MustCompile(`\.` + string(name) + `\(`).Match(source) {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestUncalledIsFound shows that a call which is missing is found.
func TestUncalledIsFound(t *testing.T) {
	services := criServices()
	want := services.Get(0).Methods().Len() + services.Get(1).Methods().Len() - 1
	missing := uncalled([]byte("n.ListPodSandboxMetrics(ctx, nil)"), services)
	if slices.Contains(missing, "ListPodSandboxMetrics") || len(missing) != want {
		t.Errorf("%d calls are missing, want %d: %v", len(missing), want, missing)
	}
}
