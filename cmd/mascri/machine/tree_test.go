package machine

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newTree is a tree in a directory of the test's own, with some files already
// there, and what the tree says while it works.
func newTree(t *testing.T, present map[string]string) (Tree, *bytes.Buffer) {
	t.Helper()
	said := &bytes.Buffer{}
	tree := Tree{Root: t.TempDir(), Record: "/opt/cni/bin/.record.json", Log: said}
	for path, content := range present {
		put(t, tree, path, content)
	}
	return tree, said
}

func put(t *testing.T, tree Tree, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(tree.at(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tree.at(path), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents is everything below the tree's root: files by their content,
// directories as "/".
func contents(t *testing.T, tree Tree) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(tree.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == tree.Root {
			return err
		}
		below := strings.TrimPrefix(path, tree.Root)
		if entry.IsDir() {
			found[below] = "/"
			return nil
		}
		content, err := os.ReadFile(path)
		found[below] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func install(t *testing.T, tree Tree, files map[string]string) {
	t.Helper()
	for path, content := range files {
		if err := tree.Install(File{Path: path, Mode: 0o755, Content: []byte(content)}); err != nil {
			t.Fatal(err)
		}
	}
}

func uninstall(t *testing.T, tree Tree) {
	t.Helper()
	if err := tree.Uninstall(); err != nil {
		t.Fatal(err)
	}
}

func TestUninstallTakesBackExactlyWhatWasInstalled(t *testing.T) {
	cases := map[string]struct {
		present map[string]string // before
		install map[string]string
		after   map[string]string // somebody else's work in between
		left    map[string]string // nil: as before
		said    string
	}{
		"an empty machine": {
			install: map[string]string{"/opt/cni/bin/netplug": "new", "/etc/cni/net.d/10-mascri.conflist": "{}"},
		},
		"other files beside": {
			present: map[string]string{"/opt/cni/bin/flannel": "theirs"},
			install: map[string]string{"/opt/cni/bin/netplug": "new"},
		},
		"a file of that name was there": {
			present: map[string]string{"/opt/cni/bin/bridge": "reference"},
			install: map[string]string{"/opt/cni/bin/bridge": "ours"},
			said:    "restored /opt/cni/bin/bridge",
		},
		"the same file was there": {
			present: map[string]string{"/opt/cni/bin/netplug": "new"},
			install: map[string]string{"/opt/cni/bin/netplug": "new"},
		},
		"somebody changed ours": {
			install: map[string]string{"/opt/cni/bin/netplug": "new"},
			after:   map[string]string{"/opt/cni/bin/netplug": "changed"},
			left:    map[string]string{"/opt": "/", "/opt/cni": "/", "/opt/cni/bin": "/", "/opt/cni/bin/netplug": "changed"},
			said:    "left /opt/cni/bin/netplug: it was changed",
		},
		"somebody put a file into our directory": {
			install: map[string]string{"/opt/cni/bin/netplug": "new"},
			after:   map[string]string{"/opt/cni/bin/flannel": "theirs"},
			left:    map[string]string{"/opt": "/", "/opt/cni": "/", "/opt/cni/bin": "/", "/opt/cni/bin/flannel": "theirs"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tree, said := newTree(t, c.present)
			before := contents(t, tree)
			install(t, tree, c.install)
			for path, content := range c.install {
				if got := contents(t, tree)[path]; got != content {
					t.Fatalf("installed %s holds %q, want %q", path, got, content)
				}
			}
			for path, content := range c.after {
				put(t, tree, path, content)
			}
			uninstall(t, tree)
			want := before
			if c.left != nil {
				want = c.left
			}
			if diff := cmp.Diff(want, contents(t, tree)); diff != "" {
				t.Errorf("the tree after uninstalling (-want +got):\n%s", diff)
			}
			if !strings.Contains(said.String(), c.said) {
				t.Errorf("said %q, want %q in it", said, c.said)
			}
		})
	}
}

// Installing a newer build replaces the older one, and still remembers what
// stood there before both.
func TestInstallAgain(t *testing.T) {
	tree, _ := newTree(t, map[string]string{"/opt/cni/bin/bridge": "reference"})
	before := contents(t, tree)
	install(t, tree, map[string]string{"/opt/cni/bin/bridge": "first build"})
	install(t, tree, map[string]string{"/opt/cni/bin/bridge": "second build"})
	if got := contents(t, tree)["/opt/cni/bin/bridge"]; got != "second build" {
		t.Fatalf("installed %q", got)
	}
	uninstall(t, tree)
	if diff := cmp.Diff(before, contents(t, tree)); diff != "" {
		t.Errorf("the tree after uninstalling (-want +got):\n%s", diff)
	}
}

func TestInstallRefusesToOverwriteAChange(t *testing.T) {
	tree, _ := newTree(t, nil)
	install(t, tree, map[string]string{"/opt/cni/bin/netplug": "new"})
	put(t, tree, "/opt/cni/bin/netplug", "changed")
	err := tree.Install(File{Path: "/opt/cni/bin/netplug", Mode: 0o755, Content: []byte("newer")})
	if err == nil || !strings.Contains(err.Error(), "/opt/cni/bin/netplug") || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("error %v names neither the file nor the remedy", err)
	}
	if got := contents(t, tree)["/opt/cni/bin/netplug"]; got != "changed" {
		t.Errorf("the changed file now holds %q", got)
	}
}

// An installation that was cut short between its record and its file is taken
// back as well: nothing was there, so nothing is missing.
func TestUninstallAfterACutShortInstall(t *testing.T) {
	tree, _ := newTree(t, map[string]string{"/opt/cni/bin/bridge": "reference"})
	before := contents(t, tree)
	cut := record{Files: []entry{
		{Path: "/opt/cni/bin/netplug", SHA256: checksum([]byte("never written"))},
		{Path: "/opt/cni/bin/bridge", SHA256: checksum([]byte("never written")), Kept: "/opt/cni/bin/bridge.before-mascri"},
	}}
	if err := tree.write(cut); err != nil {
		t.Fatal(err)
	}
	uninstall(t, tree)
	if diff := cmp.Diff(before, contents(t, tree)); diff != "" {
		t.Errorf("the tree after uninstalling (-want +got):\n%s", diff)
	}
}

func TestUninstallWithoutARecord(t *testing.T) {
	tree, said := newTree(t, map[string]string{"/opt/cni/bin/netplug": "built by hand"})
	before := contents(t, tree)
	uninstall(t, tree)
	if diff := cmp.Diff(before, contents(t, tree)); diff != "" {
		t.Errorf("removed what it never installed:\n%s", diff)
	}
	if !strings.Contains(said.String(), "nothing was installed") {
		t.Errorf("said %q", said)
	}
}

func TestUninstallRefusesABrokenRecord(t *testing.T) {
	tree, _ := newTree(t, map[string]string{"/opt/cni/bin/.record.json": "{"})
	if err := tree.Uninstall(); err == nil || !strings.Contains(err.Error(), tree.Record) {
		t.Errorf("error %v does not name the record", err)
	}
}

// FuzzRecord: a record of an installation is read whole or refused by its name.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"files":[{"path":"/opt/cni/bin/ipam","sha256":"00","kept":"/opt/cni/bin/ipam.kept"}],"directories":["/opt/cni"]}`))
	f.Add([]byte(`{"files":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, content []byte) {
		tree := Tree{Root: t.TempDir(), Record: "/record"}
		if err := os.WriteFile(tree.at(tree.Record), content, 0o600); err != nil {
			t.Fatal(err)
		}
		rec, err := tree.read()
		if err != nil && !strings.Contains(err.Error(), tree.Record) {
			t.Errorf("%v names no file", err)
		}
		if err == nil {
			if err := tree.write(rec); err != nil {
				t.Errorf("what was read cannot be written: %v", err)
			}
		}
	})
}
