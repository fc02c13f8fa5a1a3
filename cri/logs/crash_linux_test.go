package logs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// daemonVariable makes the test binary a daemon that follows one container.
const daemonVariable = "MASCRI_TEST_LOG_DAEMON"

func TestMain(m *testing.M) {
	if files := os.Getenv(daemonVariable); files != "" {
		if err := daemon(strings.Split(files, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// daemon reopens the log at each line on its standard input and answers it.
func daemon(files []string) error {
	f, err := New(files[0], slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	c := Container{ID: "c1", Source: files[1], Path: files[2]}
	if err := f.Start(c); err != nil {
		return err
	}
	fmt.Println("started")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := f.Reopen(c.ID); err != nil {
			return err
		}
		fmt.Println("reopened")
	}
	return f.Close()
}

// process is a daemon in a process of its own, which can be killed.
type process struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

func startDaemon(t *testing.T, state string, c Container) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitBound)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), daemonVariable+"="+strings.Join([]string{state, c.Source, c.Path}, "\n"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := &process{cmd, in, bufio.NewReader(out)}
	p.await(t, "started\n")
	return p
}

func (p *process) await(t *testing.T, want string) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); line != want {
		t.Fatalf("the daemon says %q, %v, want %q", line, err, want)
	}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGKILL))
	_ = p.cmd.Wait() // killed, which is no success
}

// The daemon is killed at random while the container writes and the kubelet
// rotates. Read in order, the files must hold each line once.
func TestKilledDaemonLosesAndDoublesNothing(t *testing.T) {
	p := newPod(t)
	state := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	var want strings.Builder
	var rotated []string
	rotate := func() {
		name := fmt.Sprintf("%s.%03d", p.Path, len(rotated))
		p.rename(p.Path, name)
		rotated = append(rotated, name)
	}
	for round := range 25 {
		d := startDaemon(t, state, p.Container)
		for range random.IntN(4) {
			want.WriteString(p.write(random.IntN(3000)))
			if random.IntN(2) == 0 {
				rotate()
				_, err := fmt.Fprintln(d.in)
				must(t, err)
				d.await(t, "reopened\n")
			}
		}
		want.WriteString(p.write(1 + random.IntN(2000)))
		switch round % 3 {
		case 0: // at once, in the middle of the conversion
		case 1: // after some progress
			eventually(t, "the daemon converts", func() bool { return size(p.Path) > 0 })
		case 2: // between the kubelet's renaming and its call
			rotate()
		}
		d.kill(t)
	}
	f := newFollower(t, state)
	must(t, f.Finish(t.Context(), p.Container, time.Now()))
	var got strings.Builder
	for _, name := range append(rotated, p.Path) {
		got.WriteString(p.read(name))
	}
	must(t, os.WriteFile(p.Path, []byte(got.String()), outputMode))
	p.check(want.String())
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// What was converted does not stay on disk twice, and `docker logs --tail` keeps
// its piece.
func TestConvertedInputIsGivenBack(t *testing.T) {
	p := newPod(t)
	log := p.open()
	long := strings.Repeat("x", 8<<10)
	for range 2 * (punchPiece + punchKeep) / len(long) {
		p.append(docker(t, stdout, long+"\n"))
	}
	must(t, log.pump(t.Context()))
	var s unix.Stat_t
	must(t, unix.Stat(p.Source, &s))
	if disk := s.Blocks * 512; disk > s.Size-punchPiece/2 {
		t.Fatalf("of %d bytes, %d are still on disk", s.Size, disk)
	}
	converted := p.read(p.Path)
	if !strings.HasSuffix(p.read(p.Source), docker(t, stdout, long+"\n")) {
		t.Error("the end of Docker's log is gone")
	}
	// A daemon that starts over is not confused by the hole.
	must(t, log.close())
	want := converted + p.write(1)
	must(t, p.open().resume(t.Context()))
	p.check(want)
}
