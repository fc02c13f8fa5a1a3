package ipam

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mascri/mascri/spec"
)

// otherBoot makes the kernel another one.
func otherBoot(t *testing.T, id string) {
	t.Helper()
	former := bootIDFile
	bootIDFile = filepath.Join(t.TempDir(), "boot_id")
	t.Cleanup(func() { bootIDFile = former })
	if id == "" {
		return // there is no such file: the boot is unknown
	}
	if err := os.WriteFile(bootIDFile, []byte(id+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHostLocalBesideUs: whatever host-local adds and removes in between is
// seen by the next command, also within one tick of the kernel's clock.
func TestHostLocalBesideUs(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	for i := range 40 {
		ours, theirs := "a"+strconv.Itoa(i), "b"+strconv.Itoa(i)
		addr := n.must("ADD", ours)
		foreign := "10.1.2." + strconv.Itoa(100+i)
		n.write(foreign, theirs+"\r\neth0")
		n.must("CHECK", theirs)
		n.remove(addr) // host-local's DEL
		n.fails("CHECK", ours, spec.CheckFailed, "Failed to find address")
		n.write("10.1.2.200", ours+"\r\neth0") // and ADD, elsewhere
		n.must("CHECK", ours)
		n.must("DEL", ours)
		n.holds(foreign + "=" + theirs + "/eth0")
		n.must("DEL", theirs)
		n.holds()
	}
	n.consistent()
}

// TestReleasedAndLeasedAnew: host-local gave the same address to another.
func TestReleasedAndLeasedAnew(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.must("ADD", "c1")
	n.remove("10.1.2.2")
	n.write("10.1.2.2", "c2\r\neth0")
	n.must("DEL", "c1")
	n.holds("10.1.2.2=c2/eth0")
	n.must("CHECK", "c2")
	n.consistent()
}

// TestOverwrittenInPlace changes no directory: the lease itself is compared.
func TestOverwrittenInPlace(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.must("ADD", "c1")
	n.write("10.1.2.2", "c2\r\neth0")
	n.must("DEL", "c1")
	n.holds("10.1.2.2=c2/eth0")
	n.must("DEL", "c2")
	n.holds()
}

func TestIndexIsOnlyACache(t *testing.T) {
	for name, damage := range map[string]func(n *node) error{
		"gone":         func(n *node) error { return os.RemoveAll(filepath.Join(n.dir, privateDir)) },
		"owners gone":  func(n *node) error { return os.RemoveAll(filepath.Join(n.dir, privateDir, "net", "owners")) },
		"network gone": func(n *node) error { return os.RemoveAll(n.path("")) },
		"bitmap broken": func(n *node) error {
			return os.WriteFile(filepath.Join(n.dir, privateDir, "net", "used", "10.1.0.0"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, `"subnet":"10.1.2.0/24"`)
			n.must("ADD", "c1")
			if err := damage(n); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(n.path(""), 0o755); err == nil {
				n.write("10.1.2.2", "c1\r\neth0")
			} else {
				n.write("10.1.2.9", "c9\r\neth0") // break the seal
			}
			n.must("ADD", "c2")
			n.must("CHECK", "c1")
			n.must("DEL", "c1")
			n.must("DEL", "c2")
			n.must("DEL", "c9")
			n.holds()
			n.consistent()
		})
	}
}

// TestBrokenBitmap: one that cannot be read costs a reading of the leases, and
// is right again afterwards. The seal says nothing of it.
func TestBrokenBitmap(t *testing.T) {
	for _, size := range []int{0, 7, chunkSize/8 + 1} {
		for _, command := range []string{"ADD", "STATUS", "DEL", "GC"} {
			n := newNode(t, `"subnet":"10.1.2.0/24"`)
			n.must("ADD", "c1")
			n.must("ADD", "c2")
			if err := os.WriteFile(filepath.Join(n.dir, privateDir, "net", "used", "10.1.0.0"), make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			n.valid("c1/eth0", "c2/eth0")
			n.must(command, "c1/net1")
			n.must("DEL", "c1/net1")
			n.must("ADD", "c3")
			n.must("DEL", "c3")
			n.holds("10.1.2.2=c1/eth0", "10.1.2.3=c2/eth0")
			n.consistent()
		}
	}
}

// TestReboot: leases of a former boot go, whoever runs first in the new one;
// what host-local leased since stays.
func TestReboot(t *testing.T) {
	for _, first := range []string{"ADD", "DEL", "STATUS", "GC"} {
		t.Run(first, func(t *testing.T) {
			otherBoot(t, "boot-1")
			n := newNode(t, `"subnet":"10.1.2.0/24"`)
			n.write("10.1.2.50", "theirs\r\neth0") // adopted by the next command
			n.must("ADD", "c1")
			n.must("ADD", "c2")
			n.must("ADD", "c3")
			otherBoot(t, "boot-2")
			n.remove("10.1.2.3")
			n.write("10.1.2.3", "c2\r\neth0") // host-local, in the new boot
			n.valid("c1/eth0", "c2/eth0", "new/eth0")
			if first != "STATUS" && first != "GC" {
				n.must(first, "new")
			} else {
				n.must(first, "")
			}
			n.must("CHECK", "c2")
			n.must("DEL", "new")
			n.holds("10.1.2.3=c2/eth0")
			n.consistent()
		})
	}
}

// TestSameContainerAfterReboot is podman's case: the container keeps its ID.
func TestSameContainerAfterReboot(t *testing.T) {
	otherBoot(t, "boot-1")
	n := newNode(t, dualStack)
	n.must("ADD", "c1")
	otherBoot(t, "boot-2")
	n.must("ADD", "c1")
	n.holds("10.1.2.3=c1/eth0", "fd00::3=c1/eth0")
	n.consistent()
}

// TestRebootAfterKill: the seal was broken when the power went.
func TestRebootAfterKill(t *testing.T) {
	otherBoot(t, "boot-1")
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.must("ADD", "c1")
	n.must("ADD", "c2")
	n.write("10.1.2.2", "") // torn by the power failure
	if err := os.Chtimes(n.path(""), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	otherBoot(t, "boot-2")
	n.must("ADD", "c3")
	n.holds("10.1.2.4=c3/eth0")
	n.consistent()
}

func TestUnknownBootAssumesNothing(t *testing.T) {
	otherBoot(t, "boot-1")
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.must("ADD", "c1")
	otherBoot(t, "")
	n.must("ADD", "c2")
	n.holds("10.1.2.2=c1/eth0", "10.1.2.3=c2/eth0")
	otherBoot(t, "boot-2") // c1 is known to be of another boot, c2 is not
	n.must("ADD", "c3")
	n.holds("10.1.2.3=c2/eth0", "10.1.2.4=c3/eth0")
	n.consistent()
	otherBoot(t, "boot-3") // by now it is
	n.must("STATUS", "")
	n.holds()
}

// TestEmptyLease is what a crash of host-local leaves for ever.
func TestEmptyLease(t *testing.T) {
	for _, content := range []string{"", " \r\n", "\x00\x00\x00"} {
		n := newNode(t, `"subnet":"10.1.2.0/29","rangeEnd":"10.1.2.2"`)
		n.write("10.1.2.2", content)
		if got := n.must("ADD", "c1"); got != "10.1.2.2" {
			t.Errorf("%q: got %s", content, got)
		}
		n.consistent()
	}
}

func TestDirectoryOrSymlinkAsLease(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("c1\r\neth0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(n.path("10.1.2.2"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, n.path("10.1.2.3")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(n.path("10.1.2.4"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := n.must("ADD", "c1"); got != "10.1.2.5" {
		t.Errorf("got %s", got)
	}
	n.args = "IP=10.1.2.3"
	n.fails("ADD", "c2", spec.Exhausted, "requested IP address 10.1.2.3 is not available")
	n.args = ""
	n.must("DEL", "c1")
	n.valid()
	n.must("GC", "")
	n.consistent()
	for _, path := range []string{secret, n.path("10.1.2.2"), n.path("10.1.2.3"), n.path("10.1.2.4")} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("removed: %v", err)
		}
	}
}

// TestPlaceTakenBehindOurBack: somebody without the lock put something where
// the index says there is room, and set the directory's time back.
func TestPlaceTakenBehindOurBack(t *testing.T) {
	n := newNode(t, dualStack)
	n.must("ADD", "c1")
	info, err := os.Stat(n.path(""))
	if err != nil {
		t.Fatal(err)
	}
	n.write("fd00::3", "other\r\neth0")
	if err := os.Chtimes(n.path(""), time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := n.must("ADD", "c2"); got != "10.1.2.4 fd00::4" && got != "10.1.2.3 fd00::4" {
		t.Errorf("got %s", got)
	}
	if len(n.leases()) != 5 {
		t.Errorf("leases %v", n.leases())
	}
	n.consistent()
}

func TestStrangeLastReserved(t *testing.T) {
	for _, content := range []string{"", "nonsense", "10.99.0.1", "fd00::1", strings.Repeat("x", 10000)} {
		n := newNode(t, `"subnet":"10.1.2.0/24"`)
		n.write("last_reserved_ip.0", content)
		if got := n.must("ADD", "c1"); got != "10.1.2.2" {
			t.Errorf("after %q: %s", content, got)
		}
	}
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	if err := os.MkdirAll(n.path("last_reserved_ip.0/full"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.fails("ADD", "c1", spec.Store, "last_reserved_ip.0")
	n.holds() // and nothing is left of it
	n.consistent()

	target := filepath.Join(t.TempDir(), "target")
	n.remove("last_reserved_ip.0")
	if err := os.Symlink(target, n.path("last_reserved_ip.0")); err != nil {
		t.Fatal(err)
	}
	n.must("ADD", "c1")
	if _, err := os.Lstat(target); err == nil {
		t.Error("a symlink in place of last_reserved_ip.0 is followed")
	}
}

func TestStrangeLock(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	if err := os.MkdirAll(n.path("lock"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.fails("ADD", "c1", spec.Store, "lock")
	n.remove("lock")
	if err := os.Symlink(filepath.Join(t.TempDir(), "target"), n.path("lock")); err != nil {
		t.Fatal(err)
	}
	n.fails("ADD", "c1", spec.Store, "lock")
}

// TestStuckLock: code 11 after a bound, naming the process; nothing changes.
func TestStuckLock(t *testing.T) {
	former := lockTimeout
	lockTimeout = 50 * time.Millisecond
	t.Cleanup(func() { lockTimeout = former })
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.must("ADD", "c1")
	lock, err := os.Open(n.path("lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	n.valid()
	for _, command := range []string{"ADD", "DEL", "CHECK", "GC", "STATUS"} {
		n.fails(command, "c1", spec.TryAgain, "process "+strconv.Itoa(os.Getpid()))
	}
	n.holds("10.1.2.2=c1/eth0")
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	n.must("DEL", "c1")
}

// waitForLock waits until so many wait for the lock (proc_locks(5): "->").
func waitForLock(t *testing.T, path string, count int) {
	t.Helper()
	info, err := os.Stat(path)
	stat, ok := sysStat(info)
	if err != nil || !ok {
		t.Fatal(err)
	}
	inode := ":" + strconv.FormatUint(stat.Ino, 10) + " "
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		waiting := 0
		for line := range strings.Lines(string(locks)) {
			if strings.Contains(line, "-> FLOCK") && strings.Contains(line, inode) {
				waiting++
			}
		}
		if waiting == count {
			return
		}
	}
	t.Fatalf("never %d wait for %s", count, path)
}
