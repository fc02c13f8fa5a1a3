package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The tags of a CRI line: it is whole, or the next line of its stream goes on
// with it. See "Container Logging" in the kubelet's CRI documentation and
// k8s.io/cri-api's LogTag constants.
const (
	tagFull    = 'F'
	tagPartial = 'P'
)

// entry is a line of Docker's json-file. Log ends in a newline unless the
// program's line went on: Docker cuts lines at 16 KiB.
type entry struct {
	Log    string `json:"log"`
	Stream string `json:"stream"`
	Time   string `json:"time"`
}

// stream numbers the two streams.
type stream int

const (
	stdout stream = iota
	stderr
	streams
)

func (s stream) String() string { return [streams]string{"stdout", "stderr"}[s] }

var errMalformed = errors.New("malformed log entry")

// parseEntry reads and checks one line.
func parseEntry(line []byte) (e entry, s stream, err error) {
	if err := json.Unmarshal(line, &e); err != nil {
		return entry{}, 0, fmt.Errorf("%w: %w", errMalformed, err)
	}
	switch e.Stream {
	case "stdout":
		s = stdout
	case "stderr":
		s = stderr
	default:
		return entry{}, 0, fmt.Errorf("%w: stream %.20q", errMalformed, e.Stream)
	}
	// The kubelet takes the time as it is; it must be able to read it.
	if _, err := time.Parse(time.RFC3339Nano, e.Time); err != nil {
		return entry{}, 0, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return e, s, nil
}

// appendCRI adds an entry to out as CRI lines, "time stream tag text":
//
//	2026-01-02T03:04:05.000000006Z stdout F hello
//
// It reports whether the entry's last line goes on in the stream's next.
func appendCRI(out []byte, e entry, s stream) (line []byte, goesOn bool) {
	text, complete := strings.CutSuffix(e.Log, "\n")
	// Docker puts one line into an entry. Were there more, each must have its
	// own prefix.
	for {
		head, rest, more := strings.Cut(text, "\n")
		tag := byte(tagFull)
		if !more && !complete {
			tag = tagPartial
		}
		out = appendLine(out, e.Time, s, tag, head)
		if !more {
			return out, !complete
		}
		text = rest
	}
}

func appendLine(out []byte, at string, s stream, tag byte, text string) []byte {
	out = append(out, at...)
	out = append(out, ' ')
	out = append(out, s.String()...)
	out = append(out, ' ', tag, ' ')
	out = append(out, text...)
	return append(out, '\n')
}

// convert appends the lines of data, which end in newlines each, to out. Entries
// that are not Docker's are left out and counted; a gap of zero bytes is where
// space was given back, and counts as nothing.
func convert(out, data []byte, open *[streams]bool) (lines []byte, malformed int) {
	for len(data) > 0 {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte{'\n'})
		line = bytes.TrimLeft(line, "\x00")
		if len(line) == 0 {
			continue
		}
		e, s, err := parseEntry(line)
		if err != nil {
			malformed++
			continue
		}
		out, open[s] = appendCRI(out, e, s)
	}
	return out, malformed
}
