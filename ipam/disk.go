package ipam

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/mascri/mascri/spec"
)

// Everything that changes the disk goes through this file, so that a test can
// kill the process before each single change and look at what is left.

// beforeChange is called before every change; tests replace it.
var beforeChange = func() {}

// maxLeaseFile bounds what is read of a file, in bytes: a lease holds a
// container ID and an interface name, some 270 bytes at most.
const maxLeaseFile = 4096

// readSmall reads a regular file. It follows no symlink and waits for nothing:
// the directory may hold what somebody else put there.
func readSmall(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	buf := make([]byte, maxLeaseFile)
	for {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		return bytes.Clone(buf[:n]), nil
	}
}

// createFile makes a file that must not exist and fills it.
func createFile(path string, content []byte) error {
	beforeChange()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	beforeChange()
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// replaceFile gives the file at path a new content in one step: a reader sees
// the old one or the new one. Its temporary name must be on the same filesystem.
func replaceFile(temporary, path string, content []byte) error {
	if err := removeFile(temporary); err != nil {
		return err
	}
	if err := createFile(temporary, content); err != nil {
		return err
	}
	beforeChange()
	return takePlace(temporary, path)
}

// overwriteFile writes over a file of the same length, or makes it.
func overwriteFile(path string, content []byte) error {
	beforeChange()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	beforeChange()
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	beforeChange()
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func removeTree(path string) error {
	beforeChange()
	return os.RemoveAll(path)
}

func makeDir(path string, mode fs.FileMode) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	beforeChange()
	return os.MkdirAll(path, mode)
}

// makeDirs makes the directory and those above it, readable to others, and
// lists what was not there, the outermost first.
func makeDirs(path string) (made []string, err error) {
	beforeChange()
	err = os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
		if made, err = makeDirs(filepath.Dir(path)); err != nil {
			return made, err
		}
		err = os.Mkdir(path, 0o755)
	}
	if err == nil {
		return append(made, path), nil
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return made, nil
	}
	return made, err
}

// removeDirs takes back what makeDirs made, as far as nobody uses it.
func removeDirs(made []string) error {
	var errs []error
	for _, dir := range slices.Backward(made) {
		beforeChange()
		if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func makeLink(from, to string) error {
	beforeChange()
	return os.Link(from, to)
}

func makeSymlink(target, path string) error {
	beforeChange()
	return os.Symlink(target, path)
}

// setTime sets a file's modification time and leaves the access time alone.
func setTime(path string, t time.Time) error {
	beforeChange()
	return os.Chtimes(path, time.Time{}, t)
}

// namesIn lists a directory; one that is missing is empty.
func namesIn(path string) ([]string, error) {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// keepOnly removes the files of a directory that are not to stay.
func keepOnly[V any](dir string, keep map[string]V) error {
	names, err := namesIn(dir)
	for _, name := range names {
		if _, stays := keep[name]; !stays {
			err = errors.Join(err, removeFile(filepath.Join(dir, name)))
		}
	}
	return err
}

// storeError gives an error of the disk its code and its remedy.
func storeError(what string, err error) error {
	if err == nil || spec.CodeOf(err) != spec.Internal {
		return err
	}
	remedy := "see whether ipam.dataDir is a directory of its own for leases"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "free space or inodes on its filesystem"
	case errors.Is(err, syscall.EROFS):
		remedy = "mount its filesystem writable, or set ipam.dataDir to one that is"
	case errors.Is(err, fs.ErrPermission):
		remedy = "the user that runs the plugin must own it"
	case errors.Is(err, syscall.EXDEV):
		remedy = "ipam.dataDir and the network's directory in it must be on one filesystem"
	}
	return spec.Errorf(spec.Store, "%s: %w: %s", what, err, remedy)
}
