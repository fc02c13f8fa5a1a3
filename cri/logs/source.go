package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// maxRotated bounds the search for rotated files, path.1 to path.maxRotated,
// the oldest last.
const maxRotated = 100

// inode is a file's number, which it keeps when it is renamed.
func inode(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

func rotatedName(path string, n int) string {
	if n == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, n)
}

// sourceFiles lists Docker's files of a container, the newest first.
func sourceFiles(path string) ([]uint64, error) {
	var inodes []uint64
	for n := range maxRotated {
		info, err := os.Stat(rotatedName(path, n))
		if errors.Is(err, fs.ErrNotExist) {
			// Between renaming the file and making the new one there is none.
			if n == 0 {
				inodes = append(inodes, 0)
				continue
			}
			break
		}
		if err != nil {
			return nil, err
		}
		inodes = append(inodes, inode(info))
	}
	return inodes, nil
}

// openSource opens the file that reading goes on in: that of number want, else
// the oldest. It returns nil where there is none yet, as before the container's
// start.
func openSource(path string, want uint64) (*os.File, error) {
	inodes, err := sourceFiles(path)
	if err != nil {
		return nil, err
	}
	pick := len(inodes) - 1
	for n, number := range inodes {
		if want != 0 && number == want {
			pick = n
		}
	}
	return openExisting(rotatedName(path, pick))
}

// openAfter opens the file that follows the one of number current, nil if that
// is the newest.
func openAfter(path string, current uint64) (*os.File, error) {
	inodes, err := sourceFiles(path)
	if err != nil {
		return nil, err
	}
	for n, number := range inodes {
		if number == current {
			if n == 0 || inodes[n-1] == 0 {
				return nil, nil
			}
			return openExisting(rotatedName(path, n-1))
		}
	}
	// It was removed, so all that are left are newer.
	return openExisting(rotatedName(path, len(inodes)-1))
}

func openExisting(path string) (*os.File, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return file, err
}
