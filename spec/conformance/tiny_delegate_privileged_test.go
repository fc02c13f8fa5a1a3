//go:build privileged

package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// delegate runs the IPAM plugin (section 4).
func (t *tiny) delegate(command string) ([]byte, error) {
	name := t.conf.IPAM.Type
	if strings.Contains(name, "/") && !t.is("config-ipam-type-syntax") {
		return nil, tinyErrorf(7, "ipam.type %q is not a file name", name)
	}
	dirs := filepath.SplitList(os.Getenv("CNI_PATH"))
	if t.is("delegate-lookup") {
		dirs = dirs[len(dirs)-1:]
	}
	for _, dir := range dirs {
		binary := filepath.Join(dir, name)
		if strings.HasPrefix(name, "/") {
			binary = name
		}
		if exists(binary) {
			return t.runDelegate(binary, command)
		}
	}
	if t.is("delegate-missing") {
		return []byte("{}"), nil
	}
	return nil, tinyErrorf(7, "ipam.type %q is in none of %q", name, dirs)
}

func (t *tiny) runDelegate(binary, command string) ([]byte, error) {
	cmd := exec.Command(binary)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	cmd.Stdin, cmd.Env = bytes.NewReader(t.stdin), append(os.Environ(), "CNI_COMMAND="+command)
	if t.is("delegate-config") {
		part, err := json.Marshal(map[string]any{"cniVersion": t.conf.CNIVersion, "name": t.conf.Name, "ipam": t.conf.all["ipam"]})
		if err != nil {
			return nil, err
		}
		cmd.Stdin = bytes.NewReader(part)
	}
	if t.is("delegate-environment") {
		cmd.Env = slices.DeleteFunc(cmd.Env, func(variable string) bool { return strings.HasPrefix(variable, "CNI_ARGS=") })
	}
	if t.is("delegate-stderr") {
		cmd.Stderr = io.Discard
	}
	if err := cmd.Run(); err != nil {
		var said errorObject
		if json.Unmarshal(stdout.Bytes(), &said) == nil && said.Code != nil && !t.is("status-code") {
			return nil, tinyErrorf(int(*said.Code), "%s", said.Msg)
		}
		return nil, tinyErrorf(100, "%s: %v", binary, err)
	}
	return stdout.Bytes(), nil
}
