package ipam

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// tryToWrite writes a file that has no name (O_TMPFILE, open(2)): nothing of it
// is seen, or left if we are killed. A filesystem that has no such files is
// asked for permission only.
func tryToWrite(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = unix.Access(dir, unix.W_OK)
	} else if err == nil {
		file := os.NewFile(uintptr(fd), dir)
		_, err = file.WriteString("probe")
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
