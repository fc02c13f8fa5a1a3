// Package straced runs a test binary as the plugin that it tests, as a process of
// its own under strace(1): to see its system calls, to let them fail, and to kill
// it before one.
package straced

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

// Main is the TestMain of a package with such tests: under a plugin's name the
// test binary is that plugin.
func Main(m *testing.M, plugins map[string]func() spec.Plugin) {
	if plugin, ok := plugins[filepath.Base(os.Args[0])]; ok {
		runtime.LockOSThread() // strace counts a thread's system calls
		spec.Main(plugin())
	}
	os.Exit(m.Run())
}

// Link gives the test binary the plugin's name in a directory, and returns its path.
func Link(t testing.TB, dir, plugin string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, plugin)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// An Execution is one start of the plugin at Path.
type Execution struct {
	Path   string
	Env    []string
	Config string
}

// Run returns what strace wrote, what the plugin printed, and how it ended.
func (e Execution) Run(t testing.TB, options ...string) (log, out string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "strace")
	args := append([]string{"-f", "-qq", "-o", file}, options...)
	cmd := exec.Command("strace", append(args, e.Path)...)
	cmd.Env, cmd.Stdin = e.Env, strings.NewReader(e.Config)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if stderr.Len() > 0 {
		t.Logf("%s", stderr.String())
	}
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(text), stdout.String(), err
}

// MustRun is Run of what has to succeed unless it, or its delegate, is killed.
func (e Execution) MustRun(t testing.TB, options ...string) (log string, killed bool) {
	t.Helper()
	log, out, err := e.Run(t, options...)
	killed = strings.Contains(log, "+++ killed by SIGKILL +++")
	if err != nil && !killed {
		t.Fatalf("strace of %s: %v\n%s", e.Path, err, out)
	}
	return log, killed
}

// KilledAt kills the plugin before its n-th such system call. It is false when the
// plugin ended before.
func (e Execution) KilledAt(t testing.TB, syscallName string, n int) bool {
	t.Helper()
	_, killed := e.MustRun(t, "-e", "trace="+syscallName, "-e", "inject="+syscallName+":signal=KILL:when="+strconv.Itoa(n))
	return killed
}
