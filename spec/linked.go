package spec

import (
	"bytes"
	"context"
	"errors"
	"os"
)

// Linked is a plugin whose code is in another plugin's program as well. Where
// Delegate would execute the program that was built of this same code, it calls
// the plugin instead: a Go program's start and end cost more than all that an
// ADD asks of the kernel (docs/measurements.md). Any other file is executed.
type Linked struct {
	Plugin Plugin
	// BuildID is that program's, as "go tool buildid" prints it; its last part is a
	// hash of the program's whole content (cmd/go/internal/work/buildid.go). With
	// none, nothing is called.
	BuildID string
}

// buildIDWithin is how many bytes of a program hold its build ID, for certain:
// the linker puts that ELF note right behind the program headers.
const buildIDWithin = 8 << 10

// is tells whether the program at path is the linked one.
func (l *Linked) is(path string) bool {
	if l == nil || l.BuildID == "" {
		return false
	}
	program, err := os.Open(path)
	if err != nil {
		return false // executing it tells what is wrong
	}
	defer program.Close()
	head := make([]byte, buildIDWithin)
	n, err := program.Read(head)
	return err == nil && bytes.Contains(head[:n], []byte(l.BuildID))
}

// errExit1 is what a program's end would be to its caller.
var errExit1 = errors.New("exit status 1")

// call runs the plugin as its program would run: the same environment, the same
// bytes in and out.
func (l *Linked) call(ctx context.Context, r *Request, path, command string) ([]byte, error) {
	var out bytes.Buffer
	if l.Plugin.Run(ctx, r.environment(command), bytes.NewReader(r.Config), &out, r.stderr) != 0 {
		return nil, pluginError(path, out.Bytes(), errExit1)
	}
	return out.Bytes(), nil
}
