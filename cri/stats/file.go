package stats

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"syscall"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// unlimited is a limit that is not set.
const unlimited = math.MaxUint64

// endless: version 1 writes "no limit" as the largest multiple of a page that
// fits into a signed long, which depends on the page size.
const endless = 1 << 62

// dir reads the files of one control group. Files that do not exist are
// controllers or kernels that do not have them, and are told from a control
// group that is gone by none existing: read counts those that do. The first
// other error is kept.
type dir struct {
	path string
	from *openFiles // nil reads each file anew
	read int
	err  error
}

// bytes returns a file's content, nil if there is none. It is valid until the
// next call.
func (d *dir) bytes(name string) []byte {
	if d.path == "" {
		return nil
	}
	data, err := d.from.readFile(d.path, name)
	switch {
	case err == nil:
		d.read++
		return data
	// Pressure files exist but answer EOPNOTSUPP where accounting is off, and a
	// file of a control group that was removed answers ENODEV.
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENODEV):
		return nil
	default:
		d.fail(err)
		return nil
	}
}

func (d *dir) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// number returns a file's one number. "max" is unlimited.
func (d *dir) number(name string) (value uint64, ok bool) {
	data := bytes.TrimSpace(d.bytes(name))
	if len(data) == 0 {
		return 0, false
	}
	value, err := parseNumber(string(data))
	if err != nil {
		d.fail(fmt.Errorf("read %s/%s: %w", d.path, name, err))
		return 0, false
	}
	return value, true
}

// pairs calls f for each "key number" line of a file. Other lines are skipped:
// the kernel adds new ones.
func (d *dir) pairs(name string, f func(key []byte, value uint64)) {
	eachPair(d.bytes(name), f)
}

func eachPair(data []byte, f func(key []byte, value uint64)) {
	for len(data) > 0 {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte{'\n'})
		key, number, ok := bytes.Cut(line, []byte{' '})
		if !ok {
			continue
		}
		if value, err := strconv.ParseUint(string(number), 10, 64); err == nil {
			f(key, value)
		}
	}
}

// parseNumber reads a count or a limit. -1 is how version 1 takes "no limit".
func parseNumber(s string) (uint64, error) {
	if s == "max" || s == "-1" {
		return unlimited, nil
	}
	value, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if value >= endless {
		return unlimited, nil
	}
	return value, nil
}

// pressure reads a PSI file, nil if the kernel keeps none.
func (d *dir) pressure(name string) *cri.PsiStats {
	data := d.bytes(name)
	if len(data) == 0 {
		return nil
	}
	stats, err := parsePressure(string(data))
	if err != nil {
		d.fail(fmt.Errorf("read %s/%s: %w", d.path, name, err))
	}
	return stats
}

// parsePressure reads lines like "some avg10=0.00 avg60=0.00 avg300=0.00
// total=0", total in microseconds. See Documentation/accounting/psi.rst.
func parsePressure(text string) (*cri.PsiStats, error) {
	stats := &cri.PsiStats{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		data, err := parsePressureLine(fields[1:])
		if err != nil {
			return nil, fmt.Errorf("pressure line %q: %w", line, err)
		}
		switch fields[0] {
		case "some":
			stats.Some = data
		case "full":
			stats.Full = data
		}
	}
	return stats, nil
}

func parsePressureLine(fields []string) (*cri.PsiData, error) {
	data := &cri.PsiData{}
	averages := map[string]*float64{"avg10": &data.Avg10, "avg60": &data.Avg60, "avg300": &data.Avg300}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		var err error
		if average := averages[key]; average != nil {
			*average, err = strconv.ParseFloat(value, 64)
		} else if key == "total" {
			data.Total, err = strconv.ParseUint(value, 10, 64)
			data.Total *= 1000 // microseconds to the CRI's nanoseconds
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}
