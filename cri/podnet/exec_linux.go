package podnet

import (
	"os/exec"
	"syscall"
)

// isolate puts the plugin into a process group of its own, so that cancelling
// also ends what it started, and has it die with this program: a plugin that
// survived would go on adding while the next run already cleans up.
func isolate(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
