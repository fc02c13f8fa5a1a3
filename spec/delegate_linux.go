package spec

import (
	"os/exec"
	"syscall"
)

// dieWithCaller has the kernel kill the delegate together with this process
// (PR_SET_PDEATHSIG, prctl(2)). A runtime that kills an ADD calls DEL next: a
// delegate that went on alone would lease an address after it. The signal comes
// when the thread ends that starts the delegate; a plugin's threads end with it.
func dieWithCaller(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
