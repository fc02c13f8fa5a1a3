//go:build linux && privileged

package ipam

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mascri/mascri/spec"
)

// mount puts a tmpfs with the options at a new directory, in a mount namespace
// of this test's thread, which ends with it.
func mount(t *testing.T, options string) *node {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the runtime then ends the thread
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Fatalf("unshare the mount namespace: %v: these tests need CAP_SYS_ADMIN, or unshare -Urnm", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	dir := n.dir
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the thread is still this one
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestFullDisk: no inode is left after each number of free ones. ADD says so
// and leaves nothing, what was leased stays, and can be given back.
func TestFullDisk(t *testing.T) {
	n := mount(t, "nr_inodes=200")
	n.must("ADD", "live")
	for i := 0; ; i++ { // use up the inodes
		file, err := os.Create(filepath.Join(n.dir, "ballast."+strconv.Itoa(i)))
		if err != nil {
			break
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for free := range 12 {
		a := n.run("ADD", "c1")
		if a.Code == 0 {
			n.must("DEL", "c1")
			if free == 0 {
				t.Fatal("the disk is not full")
			}
		} else {
			if a.Code != spec.Store {
				t.Fatalf("code %d: %s", a.Code, a.Msg)
			}
			if free == 0 { // later STATUS can make its file, and ADD needs two
				n.fails("STATUS", "", spec.NotAvailable, "free space or inodes")
			}
		}
		n.holds("10.1.2.2=live/eth0")
		n.must("CHECK", "live")
		if err := os.Remove(filepath.Join(n.dir, "ballast."+strconv.Itoa(free))); err != nil {
			t.Fatal(err)
		}
	}
	n.must("ADD", "c2")
	n.must("DEL", "c2")
	n.consistent()
}

// TestFirstAddOnFullDisk: whichever file of the first ADD finds no inode, none
// of the others is left.
func TestFirstAddOnFullDisk(t *testing.T) {
	for inodes := 2; ; inodes++ { // the root is one
		n := mount(t, "nr_inodes="+strconv.Itoa(inodes))
		n.dir = filepath.Join(n.dir, "cni", "networks")
		if a := n.run("ADD", "c1"); a.Code == 0 {
			return
		} else if a.Code != spec.Store || !strings.Contains(a.Msg, "free space or inodes") {
			t.Fatalf("%d inodes: code %d: %s", inodes, a.Code, a.Msg)
		}
		n.nothingMade()
		if inodes == 40 {
			t.Fatal("40 inodes are not enough")
		}
	}
}

func TestReleaseOnFullDisk(t *testing.T) {
	n := mount(t, "nr_inodes=200")
	n.must("ADD", "c1")
	n.write("10.1.2.77", "c2\r\neth0") // host-local: the index must be made anew
	for i := 0; ; i++ {
		file, err := os.Create(filepath.Join(n.dir, "ballast."+strconv.Itoa(i)))
		if err != nil {
			break
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	n.must("DEL", "c1")
	n.must("DEL", "c2")
	n.holds()
}

func TestReadOnlyDisk(t *testing.T) {
	n := mount(t, "size=1m")
	n.must("ADD", "c1")
	if err := unix.Mount("", n.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	n.fails("STATUS", "", spec.NotAvailable, "mount its filesystem writable")
	n.fails("ADD", "c2", spec.Store, "mount its filesystem writable")
	n.fails("DEL", "c1", spec.Store, "mount its filesystem writable")
	n.holds("10.1.2.2=c1/eth0")
	if err := unix.Mount("", n.dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	n.must("DEL", "c1")
	n.consistent()
}

// TestNoPermission: the directory may not be written by the plugin's user. The
// thread gives up the capability by which root may write everywhere; it works
// with only one user mapped, too.
func TestNoPermission(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.2.0/24"`)
	n.must("ADD", "c1")
	dropDACOverride(t)
	if err := os.Chmod(n.path(""), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(n.path(""), 0o755); err != nil {
			t.Error(err)
		}
	})
	n.fails("ADD", "c2", spec.Store, "the user that runs the plugin must own it")
	n.fails("STATUS", "", spec.NotAvailable, "the user that runs the plugin must own it")
	n.fails("DEL", "c1", spec.Store, "the user that runs the plugin must own it")
	n.holds("10.1.2.2=c1/eth0")
}

func dropDACOverride(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the capability is gone for good
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	const dac = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	data[0].Effective &^= dac
	data[0].Permitted &^= dac
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}
