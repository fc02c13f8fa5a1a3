//go:build e2e && linux

package test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// known says what images the daemon tells of, and which one testImage is.
func (n *node) known(images runtimeapi.ImageServiceClient) string {
	n.t.Helper()
	list, err := images.ListImages(n.t.Context(), &runtimeapi.ListImagesRequest{})
	if err != nil {
		n.t.Fatalf("ListImages: %v", err)
	}
	named, err := images.ImageStatus(n.t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: testImage}})
	if err != nil {
		n.t.Fatalf("ImageStatus: %v", err)
	}
	var lines []string
	for _, image := range list.GetImages() {
		lines = append(lines, describe(image.GetId(), image.GetRepoTags()))
		if image.GetId() == named.GetImage().GetId() && image.GetUsername() != named.GetImage().GetUsername() {
			n.t.Errorf("listed as an image of user %q, its status has %q", image.GetUsername(), named.GetImage().GetUsername())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "") + "named: " + named.GetImage().GetId()
}

// truth is what known should say, by the engine.
func truth(t *testing.T, e *docker.Engine) string {
	t.Helper()
	list, err := e.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named, err := e.InspectImage(t.Context(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, image := range list {
		lines = append(lines, describe(image.ID, image.Tags))
	}
	slices.Sort(lines)
	return strings.Join(lines, "") + "named: " + named.ID
}

func describe(id string, tags []string) string {
	return fmt.Sprintln(id, slices.Sorted(slices.Values(tags)))
}

// What is told of images costs the engine nothing while they stay the same, and
// each way to change them behind our back is seen.
func TestImagesAskNothingOfTheEngine(t *testing.T) {
	importImage(t)
	a := newTap(t)
	n := newNode(t, tapped(a))
	n.run(podConfig("first")) // loads the pause image
	images, e := n.images(), engine(t)
	const other, committed = "mascri-test/other:1", "mascri-test/committed:1"
	archive := filepath.Join(t.TempDir(), "image.tar")
	for _, change := range []string{
		"tag " + testImage + " " + other, "save --output " + archive + " " + other, "rmi " + other, "load --input " + archive,
		"create --user web --name committed " + testImage + " sh", "commit committed", "commit committed " + committed,
		"tag " + committed + " " + testImage, "rm committed", "image prune --force", "tag " + other + " " + testImage,
		"rmi --force " + other + " " + committed,
	} {
		shell(t, "docker", strings.Fields(change)...)
		eventually(t, func() error {
			if got, want := n.known(images), truth(t, e); got != want {
				return errorf("after docker %s:\n%s\nwant\n%s", change, got, want)
			}
			return nil
		})
		a.awaitQuiet(t) // the change's last event is through
		n.known(images)
		if asked := a.during(func() { n.known(images) }); len(asked) > 0 {
			t.Errorf("after docker %s, the engine was asked again: %v", change, asked)
		}
	}
	if _, err := images.RemoveImage(t.Context(), &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: testImage}}); err != nil {
		t.Fatal(err)
	}
	if known := n.known(images); !strings.HasSuffix(known, "named: ") {
		t.Errorf("after RemoveImage:\n%s", known)
	}
}
