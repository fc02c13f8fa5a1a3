package logs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pod is a container's files: Docker's log, ours, and the state.
type pod struct {
	t *testing.T
	Container
	state string
	lines int
}

func newPod(t *testing.T) *pod {
	t.Helper()
	dir := t.TempDir()
	return &pod{
		t:         t,
		Container: Container{ID: "c1", Source: filepath.Join(dir, "c1-json.log"), Path: filepath.Join(dir, "pod", "app", "0.log")},
		state:     filepath.Join(dir, "state"),
	}
}

// write appends n numbered lines to Docker's log and returns what they become.
func (p *pod) write(n int) (want string) {
	p.t.Helper()
	var in, out strings.Builder
	for range n {
		p.lines++
		text := fmt.Sprintf("line %d %s", p.lines, strings.Repeat(".", p.lines%90))
		in.WriteString(docker(p.t, stdout, text+"\n"))
		out.WriteString(stamp + " stdout F " + text + "\n")
	}
	p.append(in.String())
	return out.String()
}

func (p *pod) append(text string) {
	p.t.Helper()
	file, err := os.OpenFile(p.Source, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err := errorsJoinClose(err, file); err != nil {
		p.t.Fatal(err)
	}
}

func errorsJoinClose(err error, file *os.File) error {
	if err != nil {
		return err
	}
	return file.Close()
}

// open begins or continues the conversion, as a daemon's start does.
func (p *pod) open() *tail {
	p.t.Helper()
	t, err := openTail(p.Container, p.state, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = t.close() })
	return t
}

func (p *pod) read(path string) string {
	p.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

func (p *pod) check(want string) {
	p.t.Helper()
	p.checkFile(p.Path, want)
}

func (p *pod) checkFile(path, want string) {
	p.t.Helper()
	if got := p.read(path); got != want {
		n := commonPrefix([]byte(got), []byte(want))
		p.t.Fatalf("%s has %d bytes, want %d; they differ at %d:\n got %.150q\nwant %.150q",
			filepath.Base(path), len(got), len(want), n, got[n:], want[n:])
	}
}

func (p *pod) rename(from, to string) {
	p.t.Helper()
	if err := os.Rename(from, to); err != nil {
		p.t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTailWaitsForTheSourceAndForWholeLines(t *testing.T) {
	p := newPod(t)
	log := p.open()
	must(t, log.pump(t.Context()))
	p.check("")
	want := p.write(3)
	p.append(`{"log":"half`)
	must(t, log.pump(t.Context()))
	p.check(want)
	p.append(` a line\n","stream":"stderr","time":"` + stamp + "\"}\n")
	must(t, log.pump(t.Context()))
	p.check(want + stamp + " stderr F half a line\n")
}

// The crash may come anywhere: between the positions on disk after one batch
// and the next, the output has any length. Then the daemon starts again.
func TestCrashAnywhereNeitherLosesNorDoubles(t *testing.T) {
	p := newPod(t)
	want := p.write(3000) // some batches
	log := p.open()
	type moment struct{ state, output string }
	var moments []moment
	for more := true; more; {
		moments = append(moments, moment{p.read(p.state), p.read(p.Path)})
		var err error
		if more, err = log.step(); err != nil {
			t.Fatal(err)
		}
	}
	if len(moments) < 4 {
		t.Fatalf("only %d batches", len(moments))
	}
	for i, m := range moments[:len(moments)-1] {
		next := moments[i+1].output
		for _, length := range []int{len(m.output), len(m.output) + 1, (len(m.output) + len(next)) / 2, len(next) - 1, len(next)} {
			for _, renamed := range []bool{false, true} {
				t.Run(fmt.Sprintf("batch %d, %d bytes, renamed %t", i, length, renamed), func(t *testing.T) {
					p.t = t
					// In place: the file keeps its number.
					must(t, os.WriteFile(p.Path, []byte(want[:length]), outputMode))
					must(t, os.WriteFile(p.state, []byte(m.state), 0o600))
					rotated := p.Path + ".20260102-030405"
					if renamed {
						p.rename(p.Path, rotated)
					}
					log := p.open()
					must(t, log.resume(t.Context()))
					must(t, log.close())
					if renamed {
						all := p.read(rotated) + p.read(p.Path)
						must(t, os.Remove(p.Path))
						p.rename(rotated, p.Path)
						must(t, os.WriteFile(p.Path, []byte(all), outputMode))
					}
					p.check(want)
				})
			}
		}
	}
}

// With the state lost, what the output holds is recognised.
func TestLostStateDoublesNothing(t *testing.T) {
	p := newPod(t)
	want := p.write(2000)
	log := p.open()
	must(t, log.resume(t.Context()))
	must(t, log.close())
	must(t, os.Remove(p.state))
	want += p.write(10)
	must(t, p.open().resume(t.Context()))
	p.check(want)
}

func TestReopenSplitsWithoutLoss(t *testing.T) {
	p := newPod(t)
	log := p.open()
	first := p.write(100)
	must(t, log.pump(t.Context()))
	p.rename(p.Path, p.Path+".1")
	late := p.write(50) // still goes to the old file
	must(t, log.reopen())
	second := p.write(100)
	must(t, log.reopen()) // nothing was renamed: nothing happens
	must(t, log.pump(t.Context()))
	p.checkFile(p.Path+".1", first+late)
	p.check(second)

	// Renamed while the daemon is away.
	must(t, log.close())
	p.rename(p.Path, p.Path+".2")
	third := p.write(100)
	must(t, p.open().resume(t.Context()))
	p.checkFile(p.Path+".2", second)
	p.check(third)
}

func TestDockersRotationIsFollowed(t *testing.T) {
	p := newPod(t)
	want := p.write(10)
	p.rename(p.Source, p.Source+".1") // before we came
	want += p.write(10)
	log := p.open()
	must(t, log.pump(t.Context()))
	p.check(want)

	want += p.write(10) // unread when it is rotated
	rotate := func() {
		p.rename(p.Source+".1", p.Source+".2")
		p.rename(p.Source, p.Source+".1")
	}
	rotate()
	must(t, log.pump(t.Context())) // no new file yet
	want += p.write(10)
	must(t, log.pump(t.Context()))
	p.check(want)

	must(t, log.close()) // rotated while the daemon is away
	want += p.write(10)
	rotate()
	want += p.write(10)
	must(t, p.open().resume(t.Context()))
	p.check(want)
}

func TestTruncatedSourceStartsOver(t *testing.T) {
	p := newPod(t)
	log := p.open()
	want := p.write(10)
	must(t, log.pump(t.Context()))
	must(t, os.Truncate(p.Source, 0))
	must(t, log.pump(t.Context()))
	want += p.write(3)
	must(t, log.pump(t.Context()))
	p.check(want)
}

func TestForeignTextInTheLogCostsNoLine(t *testing.T) {
	p := newPod(t)
	must(t, os.MkdirAll(filepath.Dir(p.Path), 0o755))
	must(t, os.WriteFile(p.Path, []byte("somebody else's\n"), outputMode))
	log := p.open()
	must(t, log.resume(t.Context()))
	want := p.write(5)
	must(t, log.pump(t.Context()))
	p.check("somebody else's\n" + want)
}

func TestFinishEndsOpenLines(t *testing.T) {
	p := newPod(t)
	p.append(docker(t, stdout, "no newline") + docker(t, stderr, "whole\n"))
	ended := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	want := stamp + " stdout P no newline\n" + stamp + " stderr F whole\n2026-01-02T03:04:06Z stdout F \n"
	must(t, p.open().finish(t.Context(), ended))
	p.check(want)

	// The crash came after the line was ended and before that was remembered.
	state := p.state
	must(t, os.Remove(state))
	must(t, p.open().finish(t.Context(), ended))
	p.check(want)
}

func TestOversizedEntryIsSkipped(t *testing.T) {
	p := newPod(t)
	want := p.write(1)
	p.append(docker(t, stdout, strings.Repeat("x", 3*maxEntry)+"\n"))
	want += p.write(1)
	must(t, p.open().resume(t.Context()))
	p.check(want)
}

func TestPumpStopsWithItsContext(t *testing.T) {
	p := newPod(t)
	p.write(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.open().pump(ctx); err == nil {
		t.Error("pump goes on after its context")
	}
}

func BenchmarkConvert(b *testing.B) {
	line := docker(b, stdout, strings.Repeat("x", 120)+"\n")
	data := []byte(strings.Repeat(line, batch/len(line)))
	var open [streams]bool
	var out []byte
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		out, _ = convert(out[:0], data, &open)
	}
}
