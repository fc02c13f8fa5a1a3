package pause

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// instruction is one machine instruction: its bytes as an object dump prints
// them, and its text in the architecture's assembly (x86: Intel's syntax); or a
// label, which has no bytes. The test disassembles the bytes and compares.
type instruction struct{ code, text string }

// program is the pause program for one architecture. In C:
//
//	sigset_t all; sigfillset(&all);
//	sigprocmask(SIG_BLOCK, &all, NULL);
//	reap: while (waitpid(-1, NULL, WNOHANG) > 0);
//	wait: switch (sigwaitinfo(&all, NULL)) {
//	case SIGCHLD: goto reap;
//	case SIGTERM: case SIGINT: _exit(0);
//	default: goto wait;
//	}
//
// Signals are blocked and waited for, not handled: the kernel drops a signal
// that PID 1 of a namespace leaves at its default, but never a blocked one
// (signal(7), sigwaitinfo(2)). One SIGCHLD may stand for many children, hence
// the loop around waitpid.
type program []instruction

// programs by Go's name of the architecture.
var programs = map[string]program{"amd64": amd64, "arm64": arm64}

// bytes is the machine code.
func (p program) bytes() ([]byte, error) {
	var code []byte
	for _, i := range p {
		b, err := hex.DecodeString(strings.ReplaceAll(i.code, " ", ""))
		if err != nil {
			return nil, fmt.Errorf("code of %q: %w", i.text, err)
		}
		code = append(code, b...)
	}
	return code, nil
}
