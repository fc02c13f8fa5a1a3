package pause

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// emulators run the other processor's code. Their package has 60 MB, which no run
// of the tests installs: TestTagNamesOneImage holds the code to the bytes that have
// been run in them.
var emulators = map[string]string{"arm64": "qemu-aarch64-static", "amd64": "qemu-x86_64-static"}

// start runs the program for arch, under an emulator where it is not this
// machine's, as the successor of a shell that has started the given commands
// in the background: they are its children. It returns when those have been
// reaped, which the program begins with once it is ready for signals.
func start(t *testing.T, arch, children string) *exec.Cmd {
	code, err := Executable(arch)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(file, code, 0o755); err != nil {
		t.Fatal(err)
	}
	if arch != runtime.GOARCH {
		emulator, err := exec.LookPath(emulators[arch])
		if err != nil {
			t.Skipf("running %s code takes an emulator here: %v (apt install qemu-user-static)", arch, err)
		}
		file = emulator + " " + file
	}
	cmd := exec.Command("sh", "-c", children+" exec "+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		program, _ := os.ReadFile(proc + "comm") // an error is the wrong name, too
		left, err := os.ReadFile(fmt.Sprintf("%stask/%d/children", proc, cmd.Process.Pid))
		if string(program) != "sh\n" && err == nil && len(left) == 0 {
			return cmd
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatalf("after 10 s %s has not reaped its children %s (%v)", strings.TrimSpace(string(program)), left, err)
		}
	}
}

func forEachArch(t *testing.T, test func(t *testing.T, arch string)) {
	for arch := range programs {
		t.Run(arch, func(t *testing.T) { test(t, arch) })
	}
}

func TestReapsAndEndsOnSignal(t *testing.T) {
	// Children that end before the program is ready, one by one, and at once.
	const children = "true & sleep 0.1 & sleep 0.3 & sleep 0.3 & sleep 0.3 & sleep 0.5 &"
	forEachArch(t, func(t *testing.T, arch string) {
		for _, last := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			cmd := start(t, arch, children)
			for _, signal := range []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE, last} {
				if err := cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
			}
			late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() }) // Wait reports it
			if err := cmd.Wait(); err != nil {
				t.Errorf("after the signals up to %s: %v, want exit code 0", last, err)
			}
			late.Stop()
		}
	})
}
