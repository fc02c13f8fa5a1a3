package logs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// punch gives the file's blocks from offset on back to the file system. They
// read as zeros from then on; the size and all offsets stay (fallocate(2)).
func punch(path string, offset, length int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	// Nothing was written through it.
	defer func() { _ = file.Close() }()
	if err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length); err != nil {
		return fmt.Errorf("punch a hole into %s: %w", path, err)
	}
	return nil
}
