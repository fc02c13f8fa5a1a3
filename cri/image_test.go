package cri

import (
	"encoding/base64"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
	"github.com/mascri/mascri/cri/docker/pause"
)

func TestAuth(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	for _, test := range []struct {
		given *runtimeapi.AuthConfig
		want  docker.Auth
		fails bool
	}{
		{nil, docker.Auth{}, false},
		{&runtimeapi.AuthConfig{Username: "a", Password: "b"}, docker.Auth{Username: "a", Password: "b"}, false},
		{&runtimeapi.AuthConfig{Auth: encode([]byte("a:b:c\x00\x00"))}, docker.Auth{Username: "a", Password: "b:c"}, false},
		{&runtimeapi.AuthConfig{RegistryToken: "t", ServerAddress: "r"}, docker.Auth{RegistryToken: "t", ServerAddress: "r"}, false},
		{&runtimeapi.AuthConfig{Auth: "%"}, docker.Auth{}, true},
		{&runtimeapi.AuthConfig{Auth: encode([]byte("a"))}, docker.Auth{}, true},
	} {
		if got, err := authOf(test.given); got != test.want || (err != nil) != test.fails {
			t.Errorf("authOf(%v) = %v, %v", test.given, got, err)
		}
	}
}

func TestImageUser(t *testing.T) {
	for user, want := range map[string]struct {
		uid  int64
		name string
	}{"": {-1, ""}, "web": {-1, "web"}, "web:www": {-1, "web"}, "1000": {1000, ""}, "0:5": {0, ""}} {
		got := criImage(docker.Image{User: user})
		if got.GetUsername() != want.name || (got.Uid == nil) != (want.uid < 0) || want.uid >= 0 && got.Uid.Value != want.uid {
			t.Errorf("user %q: uid %v, name %q", user, got.Uid, got.GetUsername())
		}
	}
	if !criImage(docker.Image{Tags: []string{"docker.io/" + pause.Tag}}).GetPinned() || criImage(docker.Image{}).GetPinned() {
		t.Error("the pause image alone is pinned")
	}
}

func FuzzCheckReference(f *testing.F) {
	for _, seed := range []string{"busybox", "host:5000/a/b@sha256:00", "../x", "", "a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if checkReference("image", ref) == nil && (ref == "" || len(ref) > maxReference) {
			t.Errorf("%q is accepted", ref)
		}
	})
}
