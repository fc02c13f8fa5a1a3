package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// maxRounds bounds the search for processes that are being started while it
// runs. Every round stops all it finds, so two are the rule.
const maxRounds = 50

// signalTree sends signal to the engine's command p and to everything it
// started: its descendants, and its session, to which processes belong whose
// parent has exited (setsid(2); the engine gives each command a session).
//
// Numbers of processes are reused, so none is signalled by number alone. The
// command is held by a pidfd (os.FindProcess) that was opened before the engine
// said once more that it runs; another process, by one opened between two
// readings of the same start time. And each must be in the container's cgroup:
// where the engine counts processes in another PID namespace than ours, its
// numbers mean nothing here, and the error says so.
func signalTree(ctx context.Context, container string, p Process, signal syscall.Signal) error {
	before, err := p.State(ctx)
	if err != nil {
		return fmt.Errorf("ask for the command's process: %w", err)
	}
	if !before.Running {
		return nil
	}
	tree := &processTree{container: container, members: make(map[int]member)}
	defer tree.release()
	if err := tree.addRoot(before.PID); err != nil {
		return err
	}
	if after, err := p.State(ctx); err != nil || !after.Running {
		return err
	}
	if signal == syscall.SIGKILL {
		// A stopped process starts no other: once a round finds nobody new, the
		// tree is whole.
		err = tree.freeze(ctx)
	} else {
		_, err = tree.grow()
	}
	return errors.Join(err, tree.send(signal))
}

// member is a process that cannot be confused with a later one of its number.
type member struct {
	start   uint64
	process *os.Process
}

type processTree struct {
	container string
	root      int
	members   map[int]member
}

// addRoot adds the command itself; it is no error if it has exited.
func (t *processTree) addRoot(pid int) error {
	t.root = pid
	stat, err := readStat(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !t.inContainer(pid) {
		return fmt.Errorf("process %d is not in container %s here: run the daemon in the engine's PID namespace", pid, t.container)
	}
	return t.add(stat)
}

// freeze stops every process of the tree, also those that start meanwhile.
func (t *processTree) freeze(ctx context.Context) error {
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.send(syscall.SIGSTOP); err != nil {
			return err
		}
		added, err := t.grow()
		if err != nil {
			return err
		}
		if added == 0 {
			return nil
		}
	}
	return fmt.Errorf("container %s starts processes faster than they can be stopped", t.container)
}

// grow adds the processes that belong to the tree and are not in it yet.
func (t *processTree) grow() (added int, err error) {
	all, err := readAllStat()
	if err != nil {
		return 0, err
	}
	for grown := true; grown; {
		grown = false
		for _, s := range all {
			_, known := t.members[s.pid]
			_, child := t.members[s.parent]
			if known || (!child && s.session != t.root) || s.state == 'Z' || !t.inContainer(s.pid) {
				continue
			}
			if err := t.add(s); err != nil {
				return added, err
			}
			if _, held := t.members[s.pid]; held {
				grown = true
				added++
			}
		}
	}
	return added, nil
}

// add holds the process that stat was read from, if it still exists.
func (t *processTree) add(stat procStat) error {
	process, err := os.FindProcess(stat.pid)
	if err != nil {
		return fmt.Errorf("hold process %d: %w", stat.pid, err)
	}
	again, err := readStat(stat.pid)
	if err != nil || again.start != stat.start {
		// It ended; a successor of its number is none of ours.
		return process.Release()
	}
	t.members[stat.pid] = member{stat.start, process}
	return nil
}

// send signals every member. Those that have exited are no error.
func (t *processTree) send(signal syscall.Signal) error {
	var failed error
	for pid, m := range t.members {
		err := m.process.Signal(signal)
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			failed = errors.Join(failed, fmt.Errorf("send %s to process %d: %w", signal, pid, err))
		}
	}
	return failed
}

func (t *processTree) release() {
	for _, m := range t.members {
		_ = m.process.Release() // Only gives the descriptor back.
	}
}

// inContainer reports whether the process's cgroup is the container's: every
// driver puts the container's ID into the path (cgroups(7), /proc/PID/cgroup).
func (t *processTree) inContainer(pid int) bool {
	path, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && bytes.Contains(path, []byte(t.container))
}

// procStat is what is needed of /proc/PID/stat (proc_pid_stat(5)).
type procStat struct {
	pid, parent, session int
	state                byte
	start                uint64 // clock ticks after boot
}

func readAllStat() ([]procStat, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []procStat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Processes end while the list is read.
		if s, err := readStat(pid); err == nil {
			all = append(all, s)
		}
	}
	return all, nil
}

func readStat(pid int) (procStat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, syscall.ESRCH) { // It ended between open and read.
		err = fs.ErrNotExist
	}
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(line))
}

// parseStat reads one line. The command's name, in parentheses, may contain
// anything, parentheses and blanks too: the fields start after the last one.
func parseStat(line string) (procStat, error) {
	number, _, _ := strings.Cut(line, " ")
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("process status %q: too few fields", line)
	}
	s := procStat{state: fields[0][0]}
	if len(fields[0]) != 1 || !unicode.IsLetter(rune(s.state)) {
		return procStat{}, fmt.Errorf("process status %q: %q is no state", line, fields[0])
	}
	var errs [4]error
	s.pid, errs[0] = strconv.Atoi(number)
	s.parent, errs[1] = strconv.Atoi(fields[1])
	s.session, errs[2] = strconv.Atoi(fields[3])
	s.start, errs[3] = strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return procStat{}, fmt.Errorf("process status %q: %w", line, err)
	}
	return s, nil
}
