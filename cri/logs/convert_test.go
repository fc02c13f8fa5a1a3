package logs

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const stamp = "2026-01-02T03:04:05.000000006Z"

// docker writes an entry as Docker's json-file driver does.
func docker(t testing.TB, s stream, text string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"log": text, "stream": s.String(), "time": stamp})
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func TestConvert(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	for name, c := range map[string]struct {
		in, want  string
		open      [streams]bool
		malformed int
	}{
		"whole line":         {in: docker(t, stdout, "hello\n"), want: stamp + " stdout F hello\n"},
		"stderr, empty line": {in: docker(t, stderr, "\n"), want: stamp + " stderr F \n"},
		"quotes and unicode": {in: docker(t, stdout, "\"ä\"\t\\\n"), want: stamp + " stdout F \"ä\"\t\\\n"},
		"terminal":           {in: docker(t, stdout, "prompt\r\n"), want: stamp + " stdout F prompt\r\n"},
		"long line in parts": {
			in:   docker(t, stdout, long) + docker(t, stderr, "between\n") + docker(t, stdout, "rest\n"),
			want: stamp + " stdout P " + long + "\n" + stamp + " stderr F between\n" + stamp + " stdout F rest\n",
		},
		"no newline at the end": {
			in: docker(t, stderr, "unfinished"), want: stamp + " stderr P unfinished\n", open: [streams]bool{stderr: true},
		},
		"newline inside": {
			in: docker(t, stdout, "a\nb"), want: stamp + " stdout F a\n" + stamp + " stdout P b\n", open: [streams]bool{stdout: true},
		},
		"attributes": {
			in:   `{"log":"a\n","stream":"stdout","attrs":{"tag":"x"},"time":"` + stamp + "\"}\n",
			want: stamp + " stdout F a\n",
		},
		"a hole": {in: strings.Repeat("\x00", 9) + docker(t, stdout, "after\n"), want: stamp + " stdout F after\n"},
		"malformed": {
			in:   "{\n" + `{"log":"a\n","stream":"stdin","time":"` + stamp + "\"}\n" + `{"log":"a\n","stream":"stdout","time":"noon"}` + "\n" + docker(t, stdout, "b\n"),
			want: stamp + " stdout F b\n", malformed: 3,
		},
	} {
		var open [streams]bool
		got, malformed := convert(nil, []byte(c.in), &open)
		if string(got) != c.want || open != c.open || malformed != c.malformed {
			t.Errorf("%s: %.200q, open %v, %d malformed\nwant %.200q, %v, %d", name, got, open, malformed, c.want, c.open, c.malformed)
		}
	}
}

// criLine is what the kubelet can read.
var criLine = regexp.MustCompile(`^\d{4}-[^ ]+ (stdout|stderr) [FP] [^\n]*\n$`)

func FuzzConvert(f *testing.F) {
	f.Add([]byte(docker(f, stdout, "hello\n") + docker(f, stderr, "part")))
	f.Add([]byte("\x00\x00" + docker(f, stdout, "a\nb\n") + "{\n"))
	f.Add([]byte(`{"log":"\ud800\n","stream":"stdout","time":"2026-01-02T03:04:05+01:00"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var open [streams]bool
		out, _ := convert(nil, data, &open)
		for line := range bytes.Lines(out) {
			if !criLine.Match(line) {
				t.Errorf("%q became %q, which is no CRI line", data, line)
			}
		}
		// Cut anywhere between lines, the parts become the same.
		if cut := bytes.IndexByte(data, '\n') + 1; cut > 0 {
			first, _ := convert(nil, data[:cut], &open)
			if both, _ := convert(first, data[cut:], &open); !bytes.Equal(both, out) {
				t.Errorf("converted in two parts: %q, want %q", both, out)
			}
		}
	})
}

func FuzzPositions(f *testing.F) {
	p := position{sequence: 3, sourceFile: 1, source: 2, outputFile: 3, output: 4, open: [streams]bool{stderr: true}, finished: true}
	f.Add(p.encode())
	f.Add(append(position{}.encode(), p.encode()...))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newest(data)
		if p.source < 0 || p.output < 0 {
			t.Errorf("position %+v", p)
		}
		if again, ok := decode(p.encode()); !ok || again != p {
			t.Errorf("%+v is read back as %+v", p, again)
		}
	})
}

func TestTornRecordLeavesTheOther(t *testing.T) {
	path := t.TempDir() + "/state"
	s, p, err := openPositions(path)
	if err != nil || p != (position{}) {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, source := range []int64{10, 20} {
		p.source = source
		if err := s.save(&p); err != nil {
			t.Fatal(err)
		}
	}
	// The newest record, cut off in the middle of being overwritten.
	if _, err := s.file.WriteAt([]byte("torn"), int64(p.sequence%slots)*slotSize+20); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s, p, err = openPositions(path)
	if err != nil || p.source != 10 {
		t.Errorf("%+v, %v, want the record before", p, err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
