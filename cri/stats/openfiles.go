package stats

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
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
	files  map[fileName]*os.File
	closed bool
	// buffer is the last content read: a control group is read by one caller at
	// a time.
	reading sync.Mutex
	buffer  []byte
}

type fileName struct{ dir, name string }

func (f fileName) String() string { return f.dir + "/" + f.name }

func newOpenFiles() *openFiles { return &openFiles{files: make(map[fileName]*os.File)} }

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
	if file == nil {
		return os.ReadFile(path.String())
	}
	if o.buffer == nil {
		o.buffer = make([]byte, fileSize)
	}
	// The kernel makes the content anew for each reading from the start.
	n, err := file.ReadAt(o.buffer, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n == len(o.buffer) {
		return os.ReadFile(path.String())
	}
	return o.buffer[:n], nil
}

// open returns the file, nil where it is not to be kept.
func (o *openFiles) open(path fileName) (*os.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if file, ok := o.files[path]; ok {
		return file, nil
	}
	if o.closed || kept.Load() >= maxKept {
		return nil, nil
	}
	file, err := os.Open(path.String())
	if err != nil {
		return nil, err
	}
	kept.Add(1)
	o.files[path] = file
	return file, nil
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
