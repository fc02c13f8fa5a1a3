package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// outputMode lets the group read, as the kubelet expects of runtimes.
	outputMode = 0o640
	// maxReplay bounds what is compared after a crash. A batch is far smaller;
	// more is there only if somebody else wrote to the file.
	maxReplay = 16 << 20
)

// output is the file the kubelet reads. It is appended to and never rewritten.
type output struct {
	file *os.File
	// expected is what the file holds already of what will be written next.
	expected []byte
}

// openAppend opens or makes the log at path.
func openAppend(path string) (*os.File, uint64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, 0, err
	}
	return openNumbered(path, os.O_CREATE)
}

// openNumbered opens a log and returns its inode number with it.
func openNumbered(path string, flag int) (*os.File, uint64, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|flag, outputMode)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, inode(info), nil
}

// openRenamed opens the file of number want among those beside path whose names
// begin as its own: the kubelet renames LOG to LOG.TIMESTAMP. It is nil where
// there is none.
func openRenamed(path string, want uint64) (*os.File, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filepath.Base(path)) || !e.Type().IsRegular() {
			continue
		}
		file, number, err := openNumbered(filepath.Join(filepath.Dir(path), e.Name()), 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if number == want {
			return file, nil
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// expectFrom reads what the file holds after offset.
func (o *output) expectFrom(offset int64) error {
	o.expected = nil
	info, err := o.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - offset
	if size <= 0 || size > maxReplay {
		return nil
	}
	o.expected = make([]byte, size)
	if _, err := o.file.ReadAt(o.expected, offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// write appends the part of data that the file does not hold yet. After an error
// the same data must be written again: what did get written is expected then.
func (o *output) write(data []byte) error {
	have := commonPrefix(o.expected, data)
	switch {
	case have == len(data):
		o.expected = o.expected[have:]
		return nil
	case have < len(o.expected):
		// Somebody else's text: the rest of ours belongs after it.
		o.expected = nil
	}
	n, err := o.file.Write(data[have:])
	if err != nil {
		o.expected = bytes.Clone(data[:have+n])
		return fmt.Errorf("write log: %w", err)
	}
	o.expected = nil
	return nil
}

// end is the file's size after a write.
func (o *output) end() (int64, error) {
	return o.file.Seek(0, io.SeekEnd)
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
