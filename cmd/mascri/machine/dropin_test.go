package machine

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDropInsGiveBackWhatStoodThere: the plugins that ours took the place of
// come back as the same files, with the mode and time that package managers and
// intrusion detection compare.
func TestDropInsGiveBackWhatStoodThere(t *testing.T) {
	tree, _ := newTree(t, nil)
	packaged := time.Date(2024, 3, 4, 5, 6, 7, 89, time.UTC)
	before := map[string]fs.FileInfo{}
	var files []File
	for i, p := range DropIns {
		path := filepath.Join("/opt/cni/bin", p.Installed)
		put(t, tree, path, "the reference's "+p.Installed)
		if err := os.Chmod(tree.at(path), 0o711|fs.FileMode(i)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(tree.at(path), packaged, packaged); err != nil {
			t.Fatal(err)
		}
		before[path] = stat(t, tree, path)
		files = append(files, File{Path: path, Mode: 0o755, Content: []byte("ours")})
	}
	was := contents(t, tree)
	for range 2 { // the second one must not take ours for what was there
		if err := tree.Install(files...); err != nil {
			t.Fatal(err)
		}
	}
	for path, old := range before {
		if os.SameFile(old, stat(t, tree, path)) {
			t.Errorf("%s is not ours", path)
		}
	}
	if err := tree.Uninstall(); err != nil {
		t.Fatal(err)
	}
	for path, old := range before {
		now := stat(t, tree, path)
		if now.Mode() != old.Mode() || !now.ModTime().Equal(old.ModTime()) {
			t.Errorf("%s came back as %s %s, was %s %s", path, now.Mode(), now.ModTime(), old.Mode(), old.ModTime())
		}
		if got := contents(t, tree)[path]; got != was[path] {
			t.Errorf("%s came back with %q", path, got)
		}
	}
}

func stat(t *testing.T, tree Tree, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(tree.at(path))
	if err != nil {
		t.Fatal(err)
	}
	return info
}
