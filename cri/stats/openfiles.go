package stats

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	// maxKept bounds the files held open together, about 8 a container.
	maxKept = 8192
	// fileSize holds any of the files that are kept; memory.stat is the largest
	// with about 3 KiB.
	fileSize = 16 << 10
)

// kept counts the files held open by this process.
var kept atomic.Int64

// openFiles holds a control group's files open between readings. Opening and
// closing one costs ten times what reading it does, and these are read for each
// container every ten seconds. A file of a control group that was removed
// answers ENODEV.
type openFiles struct {
	mu     sync.Mutex
	files  map[fileName]openFile
	closed bool
	// buffer is the last content read: a control group is read by one caller at
	// a time.
	reading sync.Mutex
	buffer  []byte
}

// openFile is a file with its descriptor at hand.
type openFile struct {
	*os.File
	descriptor syscall.RawConn
}

type fileName struct{ dir, name string }

func (f fileName) String() string { return f.dir + "/" + f.name }

func newOpenFiles() *openFiles { return &openFiles{files: make(map[fileName]openFile)} }

// readFile returns a file's content, valid until the next call.
func (o *openFiles) readFile(dir, name string) ([]byte, error) {
	path := fileName{dir, name}
	if o == nil {
		return os.ReadFile(path.String())
	}
	file, err := o.open(path)
	if err != nil {
		return nil, err
	}
	if file.File == nil {
		return os.ReadFile(path.String())
	}
	if o.buffer == nil {
		o.buffer = make([]byte, fileSize)
	}
	n, err := file.readOnce(o.buffer)
	if err != nil {
		return nil, err
	}
	if n == len(o.buffer) {
		return os.ReadFile(path.String())
	}
	return o.buffer[:n], nil
}

// readOnce is one pread(2) from the start. A control group's file is one record,
// which the kernel makes anew for each and gives whole where there is room (the
// kernel's fs/kernfs/file.c and fs/seq_file.c). ReadAt would read on to see the
// end, and have the record made twice.
func (f openFile) readOnce(buffer []byte) (n int, err error) {
	closed := f.descriptor.Read(func(descriptor uintptr) bool {
		n, err = syscall.Pread(int(descriptor), buffer, 0)
		return true // there is nothing to wait for
	})
	if err = errors.Join(closed, err); err != nil {
		return 0, &os.PathError{Op: "read", Path: f.Name(), Err: err}
	}
	return n, nil
}

// open returns the file, an empty one where it is not to be kept.
func (o *openFiles) open(path fileName) (openFile, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if file, ok := o.files[path]; ok {
		return file, nil
	}
	if o.closed || kept.Load() >= maxKept {
		return openFile{}, nil
	}
	file, err := os.Open(path.String())
	if err != nil {
		return openFile{}, err
	}
	descriptor, err := file.SyscallConn()
	if err != nil {
		return openFile{}, errors.Join(err, file.Close())
	}
	kept.Add(1)
	o.files[path] = openFile{file, descriptor}
	return o.files[path], nil
}

// close gives the files back. Who still has o reads without keeping.
func (o *openFiles) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for path, file := range o.files {
		_ = file.Close() // only read from
		kept.Add(-1)
		delete(o.files, path)
	}
}
