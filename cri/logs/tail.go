package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"
)

const (
	// batch is how much input is converted at a time.
	batch = 64 << 10
	// maxEntry bounds one line of Docker's file: 16 KiB of text, six bytes for
	// each at worst, and attributes.
	maxEntry = 1 << 20
	// Docker's file gives back what was converted in pieces of punchPiece, but
	// for the last punchKeep, which `docker logs --tail` shows.
	punchPiece = 4 << 20
	punchKeep  = 1 << 20
)

// scratch is the memory of one batch. It is shared: most logs are idle.
type scratch struct{ lines, converted []byte }

var scratches = sync.Pool{New: func() any { return &scratch{lines: make([]byte, batch)} }}

// tail converts one container's log. Its methods may be called concurrently.
type tail struct {
	Container
	log *slog.Logger

	mu        sync.Mutex
	positions positions
	at        position
	source    *os.File // nil until Docker has made it
	out       output
	punched   int64
}

// openTail continues at the position in state, or begins.
func openTail(c Container, state string, log *slog.Logger) (*tail, error) {
	t := &tail{Container: c, log: log.With("container", c.ID)}
	var err error
	if t.positions, t.at, err = openPositions(state); err != nil {
		return nil, fmt.Errorf("open log position of %s: %w", c.ID, err)
	}
	t.at.finished = false // A container that was started again goes on.
	if err := t.openOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log of %s: %w", c.ID, err), t.close())
	}
	return t, nil
}

// openOutput finds the file that was written to last, which the kubelet may
// have renamed since, completes in it what a crash cut off, and goes on in the
// file at Path.
func (t *tail) openOutput() error {
	file, number, err := openAppend(t.Path)
	if err != nil {
		return err
	}
	t.out.file = file
	if t.at.outputFile == 0 {
		t.at.outputFile = number
		// Before anything is written: the kubelet may rename the file next.
		if err := t.positions.save(&t.at); err != nil {
			return err
		}
	}
	if number == t.at.outputFile {
		return t.out.expectFrom(t.at.output)
	}
	renamed, err := openRenamed(t.Path, t.at.outputFile)
	if err != nil {
		return err
	}
	if renamed != nil {
		t.out.file = renamed
		if err := t.replay(); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return t.useOutput(file, number)
}

// replay converts until the output holds nothing more to compare with.
func (t *tail) replay() error {
	if err := t.out.expectFrom(t.at.output); err != nil {
		return err
	}
	for more := true; more && len(t.out.expected) > 0; {
		var err error
		if more, err = t.step(); err != nil {
			return err
		}
	}
	return nil
}

// useOutput goes on in file. The position is saved before anything is written
// to it, so that no crash can mix the two files up.
func (t *tail) useOutput(file *os.File, number uint64) error {
	old := t.out.file
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	next := t.at
	next.outputFile, next.output = number, size
	if err := t.positions.save(&next); err != nil {
		return errors.Join(err, file.Close())
	}
	t.at, t.out = next, output{file: file}
	if old == nil || old == file {
		return nil
	}
	return old.Close()
}

// pump converts all there is. Between batches others get their turn.
func (t *tail) pump(ctx context.Context) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("convert log of %s: %w", t.ID, err)
		}
		var err error
		if more, err = t.lockedStep(); err != nil {
			return fmt.Errorf("convert log of %s: %w", t.ID, err)
		}
	}
	return nil
}

func (t *tail) lockedStep() (more bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.step()
}

// resume is the first pump. What the output holds beyond the whole input is
// somebody else's, and new lines belong after it.
func (t *tail) resume(ctx context.Context) error {
	if err := t.pump(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.out.expected); n > 0 {
		t.log.Warn("the log holds text that is not the container's", "path", t.Path, "bytes", n)
		t.out.expected = nil
	}
	return nil
}

// step converts one batch. It reports whether there may be more. Callers hold mu.
func (t *tail) step() (more bool, err error) {
	if t.out.file == nil {
		return false, nil // closed
	}
	if ok, err := t.openSource(); !ok || err != nil {
		return false, err
	}
	memory := scratches.Get().(*scratch)
	defer scratches.Put(memory)
	for buffer := memory.lines; ; buffer = make([]byte, maxEntry) {
		n, err := t.source.ReadAt(buffer, t.at.source)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		whole := bytes.LastIndexByte(buffer[:n], '\n') + 1
		switch {
		case whole > 0:
			return true, t.convert(buffer[:whole], memory)
		case n < len(buffer):
			return t.atEnd(n)
		case n == maxEntry:
			// No entry of Docker's is that long.
			return true, t.convert(append(buffer[:n-1], '\n'), memory)
		}
	}
}

// openSource reports whether there is input.
func (t *tail) openSource() (bool, error) {
	if t.source != nil {
		return true, nil
	}
	file, err := openSource(t.Source, t.at.sourceFile)
	if file == nil || err != nil {
		return false, err
	}
	known := t.at.sourceFile
	if err := t.useSource(file); err != nil {
		return false, err
	}
	if known != 0 && known != t.at.sourceFile {
		t.log.Warn("the container's log was rotated away before it was read: lines may be missing", "path", t.Source)
	}
	return true, nil
}

// useSource goes on in file, from its start if it is another one than before.
func (t *tail) useSource(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if number := inode(info); number != t.at.sourceFile {
		t.at.sourceFile, t.at.source = number, 0
	}
	old := t.source
	t.source, t.punched = file, 0
	if old == nil {
		return nil
	}
	return old.Close()
}

// convert writes a batch of whole lines and remembers that it did. On an error
// nothing is remembered, and the same batch comes again.
func (t *tail) convert(lines []byte, memory *scratch) error {
	next := t.at
	var malformed int
	memory.converted, malformed = convert(memory.converted[:0], lines, &next.open)
	if err := t.out.write(memory.converted); err != nil {
		return err
	}
	end, err := t.out.end()
	if err != nil {
		return err
	}
	next.source += int64(len(lines))
	next.output = end - int64(len(t.out.expected))
	if malformed > 0 {
		t.log.Warn("entries of the container's log could not be read", "path", t.Source, "entries", malformed)
	}
	if err := t.positions.save(&next); err != nil {
		return err
	}
	t.at = next
	t.giveBack()
	return nil
}

// atEnd handles the end of the input, behind which rest bytes of an unfinished
// line may be. The file may have been truncated, or another may follow it.
func (t *tail) atEnd(rest int) (more bool, err error) {
	info, err := t.source.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() < t.at.source {
		t.log.Warn("the container's log was truncated", "path", t.Source)
		t.at.source, t.punched = 0, 0
		return true, nil
	}
	following, err := openAfter(t.Source, t.at.sourceFile)
	if following == nil || err != nil {
		return false, err
	}
	// A last line may have been written before the file was renamed: after it
	// none can be.
	if info, err = t.source.Stat(); err != nil || info.Size() > t.at.source+int64(rest) {
		return true, errors.Join(err, following.Close())
	}
	if rest > 0 {
		t.log.Warn("a line of the container's log was cut off by its rotation", "path", t.Source, "bytes", rest)
	}
	if err := t.useSource(following); err != nil {
		return false, err
	}
	return true, t.positions.save(&t.at)
}

// giveBack returns converted input to the file system, where that can do it.
func (t *tail) giveBack() {
	until := (t.at.source - punchKeep) &^ (punchPiece - 1)
	if until < t.punched+punchPiece {
		return
	}
	if info, err := os.Stat(t.Source); err != nil || inode(info) != t.at.sourceFile {
		return // being rotated: Docker removes it
	}
	if err := punch(t.Source, t.punched, until-t.punched); err != nil {
		t.log.Info("the container's log stays on disk twice", "error", err)
		until = math.MaxInt64 - punchPiece
	}
	t.punched = until
}

// reopen goes on in a new file at Path. A batch that was cut off by an error
// must be completed in the old file first.
func (t *tail) reopen() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out.file == nil {
		return fmt.Errorf("reopen log of %s: %w", t.ID, os.ErrClosed)
	}
	if _, err := t.step(); err != nil {
		return fmt.Errorf("reopen log of %s: %w", t.ID, err)
	}
	file, number, err := openAppend(t.Path)
	if err != nil {
		return fmt.Errorf("reopen log of %s: %w", t.ID, err)
	}
	if number == t.at.outputFile {
		return file.Close()
	}
	if err := t.useOutput(file, number); err != nil {
		return fmt.Errorf("reopen log of %s: %w", t.ID, err)
	}
	return nil
}

// finish converts the rest, ends lines that the program left open, and closes
// the files. The ended lines are empty, so that readers that join the parts of
// a line see it.
func (t *tail) finish(ctx context.Context, ended time.Time) error {
	if err := t.pump(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out.file == nil {
		return nil
	}
	next := t.at
	var last []byte
	for s := range streams {
		if next.open[s] {
			last = appendLine(last, ended.UTC().Format(time.RFC3339Nano), s, tagFull, "")
		}
		next.open[s] = false
	}
	if err := t.out.write(last); err != nil {
		return err
	}
	end, err := t.out.end()
	if err != nil {
		return err
	}
	next.output, next.finished = end, true
	if err := t.positions.save(&next); err != nil {
		return err
	}
	t.at = next
	return t.closeFiles()
}

func (t *tail) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closeFiles()
}

// closeFiles leaves t unusable; what is on disk is complete.
func (t *tail) closeFiles() error {
	if t.positions.file == nil {
		return nil
	}
	err := t.positions.close()
	if t.out.file != nil {
		err = errors.Join(err, t.out.file.Close())
	}
	if t.source != nil {
		err = errors.Join(err, t.source.Close())
	}
	t.positions.file, t.out.file, t.source = nil, nil, nil
	return err
}
