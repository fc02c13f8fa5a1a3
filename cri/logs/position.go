package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// position is a moment at which input and output agreed: the output up to
// output is the conversion of the input up to source.
type position struct {
	sequence uint64
	// sourceFile and outputFile are inode numbers: both files get renamed.
	sourceFile, outputFile uint64
	source, output         int64
	// open: the stream's last line goes on.
	open [streams]bool
	// finished: the container has ended and the output is complete.
	finished bool
}

// A record is one position on disk: a magic word, six numbers, and a checksum,
// all little-endian, in slotSize bytes.
const (
	slotSize = 64
	slots    = 2
	magic    = 0x31676f6c // "log1"
)

func (p position) encode() []byte {
	b := make([]byte, 0, slotSize)
	b = binary.LittleEndian.AppendUint32(b, magic)
	flags := uint32(0)
	for bit, set := range []bool{p.open[stdout], p.open[stderr], p.finished} {
		if set {
			flags |= 1 << bit
		}
	}
	b = binary.LittleEndian.AppendUint32(b, flags)
	for _, n := range []uint64{p.sequence, p.sourceFile, uint64(p.source), p.outputFile, uint64(p.output)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, make([]byte, slotSize-4-len(b))...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// decode reports whether b is a whole record.
func decode(b []byte) (p position, ok bool) {
	if len(b) != slotSize || binary.LittleEndian.Uint32(b) != magic ||
		binary.LittleEndian.Uint32(b[slotSize-4:]) != crc32.ChecksumIEEE(b[:slotSize-4]) {
		return position{}, false
	}
	flags := binary.LittleEndian.Uint32(b[4:])
	p.open[stdout], p.open[stderr], p.finished = flags&1 != 0, flags&2 != 0, flags&4 != 0
	var n [5]uint64
	for i := range n {
		n[i] = binary.LittleEndian.Uint64(b[8+8*i:])
	}
	p.sequence, p.sourceFile, p.source, p.outputFile, p.output = n[0], n[1], int64(n[2]), n[3], int64(n[4])
	return p, p.source >= 0 && p.output >= 0
}

// positions is a container's file of positions. It is written after each batch,
// so it is two records overwritten in turn instead of a file renamed into place:
// a record that was cut off fails its checksum and leaves the other.
type positions struct{ file *os.File }

func openPositions(path string) (positions, position, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return positions{}, position{}, err
	}
	data := make([]byte, slots*slotSize)
	n, err := file.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return positions{}, position{}, errors.Join(err, file.Close())
	}
	return positions{file}, newest(data[:n]), nil
}

// newest is the later of the records in data, zero without any.
func newest(data []byte) (latest position) {
	for ; len(data) >= slotSize; data = data[slotSize:] {
		if p, ok := decode(data[:slotSize]); ok && p.sequence >= latest.sequence {
			latest = p
		}
	}
	return latest
}

// save makes p the newest.
func (s positions) save(p *position) error {
	p.sequence++
	slot := int64(p.sequence % slots)
	if _, err := s.file.WriteAt(p.encode(), slot*slotSize); err != nil {
		return fmt.Errorf("save log position: %w", err)
	}
	return nil
}

func (s positions) close() error { return s.file.Close() }
