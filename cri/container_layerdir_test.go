package cri

import (
	"strings"
	"testing"
)

// The container's own files are found in what the kernel says of its root, and
// nowhere else.
func TestUpperDirectory(t *testing.T) {
	const snapshots = "/var/lib/docker/containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots"
	line := func(at, upper string) string {
		return "3269 2662 0:1704 / " + at + " rw,relatime - overlay overlay rw,lowerdir=" + snapshots + "/399/fs,upperdir=" + upper + ",workdir=" + snapshots + "/400/work"
	}
	for name, test := range map[string]struct{ line, want string }{
		"the root":               {line("/", snapshots+"/400/fs"), snapshots + "/400/fs"},
		"another mount":          {line("/mnt", snapshots+"/400/fs"), ""},
		"another directory":      {line("/", "/home"), ""},
		"a way out of snapshots": {line("/", snapshots+"/../../fs"), ""},
		"no overlay":             {"3269 2662 0:1704 / / rw,relatime - ext4 /dev/vda rw", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := upperDirectory(strings.NewReader("22 1 0:20 / /proc rw - proc proc rw\n" + test.line + "\n")); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
