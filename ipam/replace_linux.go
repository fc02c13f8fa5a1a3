package ipam

import (
	"os"

	"golang.org/x/sys/unix"
)

// takePlace gives path the file that has the temporary name. It exchanges the two:
// before a file takes the place of another by a plain rename, ext4 writes it out
// (auto_da_alloc, ext4(5)), more than a millisecond under the lock for the sake of
// a power failure, after which nothing of it is needed (store.go).
func takePlace(temporary, path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		err := unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
		if err == nil {
			return removeFile(temporary) // which is the old one
		}
	}
	return os.Rename(temporary, path) // path is new, or the filesystem cannot exchange
}
