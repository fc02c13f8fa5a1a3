package cri

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/mascri/mascri/cri/docker"
)

// layerDirectory is the directory of a container's own files, "" where none is
// known. Where containerd keeps the images, as in Docker 29, the engine does not
// name it; then the kernel does, while the container runs.
func layerDirectory(c docker.Container) string {
	if c.WritableLayer != "" || c.PID == 0 {
		return c.WritableLayer
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", c.PID))
	if err != nil {
		return "" // it ended meanwhile
	}
	defer file.Close()
	return upperDirectory(file)
}

// rootOverlay finds the upper directory of the mount at "/" in a line of
// proc_pid_mountinfo(5). A container that may mount could have the kernel name
// any directory, so only those of containerd's snapshots are believed.
var rootOverlay = regexp.MustCompile(`^\d+ \d+ \S+ \S+ / .* - overlay \S+ \S*\bupperdir=(/[^,\s]*/io\.containerd\.snapshotter\.v1\.overlayfs/snapshots/\d+/fs)(?:,|$)`)

func upperDirectory(mountinfo io.Reader) string {
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		if found := rootOverlay.FindStringSubmatch(lines.Text()); found != nil {
			return found[1]
		}
	}
	return ""
}
