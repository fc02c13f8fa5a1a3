package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A File is one file to install.
type File struct {
	Path    string // absolute, as the installed machine will see it
	Mode    fs.FileMode
	Content []byte

	// Config marks what is the administrator's to edit: an edited one stays, and
	// is no error.
	Config bool
}

// A Tree installs files so that they can be taken back exactly: it records, in a
// file of its own, each file's checksum, what stood in its place before and which
// directories it made.
type Tree struct {
	Root   string    // prepended to every path: DESTDIR; "" for this machine itself
	Record string    // where the record lies, absolute, below Root
	Log    io.Writer // one line a file
}

// record is the content of Tree.Record.
type record struct {
	Files       []entry  `json:"files"`
	Directories []string `json:"directories"` // made by Install, outer ones first
}

// ours tells whether a file of that checksum is as we installed it.
func (e entry) ours(sum string) bool { return sum == e.SHA256 || e.Former != "" && sum == e.Former }

// entry is one installed file.
type entry struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Former string `json:"former,omitempty"` // checksum that an Install cut short may have left
	Kept   string `json:"kept,omitempty"`   // where the file that stood at Path lies now
}

// Install puts the files in place, each atomically, and records them first, so
// that Uninstall also undoes an Install that was cut short. A file that stood in
// the way is kept beside. Installing again replaces what was installed before; a
// file that somebody changed in between is an error and stays as it is.
func (t Tree) Install(files ...File) error {
	rec, err := t.read()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := t.install(&rec, f); err != nil {
			return fmt.Errorf("install %s: %w", f.Path, err)
		}
	}
	return nil
}

func (t Tree) install(rec *record, f File) error {
	wanted := checksum(f.Content)
	current, err := t.checksum(f.Path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rec.Files, func(e entry) bool { return e.Path == f.Path })
	switch {
	case i >= 0 && current != "" && !rec.Files[i].ours(current) && current != wanted:
		if f.Config {
			say(t.Log, "left %s as it is: it was changed since it was installed", f.Path)
			return nil
		}
		return errors.New("it was changed since it was installed: move it away, then install again")
	case i < 0 && current == wanted:
		say(t.Log, "%s is there already", f.Path)
		return nil
	case i < 0:
		rec.Files = append(rec.Files, entry{Path: f.Path})
		i = len(rec.Files) - 1
		if current != "" {
			rec.Files[i].Kept = f.Path + ".before-mascri"
		}
	}
	if old := rec.Files[i].SHA256; old != wanted {
		rec.Files[i].Former, rec.Files[i].SHA256 = old, wanted
	}
	if err := t.makeDirectories(rec, f.Path, t.Record); err != nil {
		return err
	}
	if err := t.write(*rec); err != nil {
		return err
	}
	if err := t.keep(rec.Files[i]); err != nil {
		return err
	}
	say(t.Log, "installed %s", f.Path)
	return replaceFile(t.at(f.Path), f.Mode, f.Content)
}

// keep gives the file that stands in the way a second name. A link and not a
// rename: at no moment may a runtime find no plugin there.
func (t Tree) keep(e entry) error {
	if e.Kept == "" {
		return nil
	}
	err := os.Link(t.at(e.Path), t.at(e.Kept))
	if err == nil {
		say(t.Log, "kept the %s that was there as %s", filepath.Base(e.Path), e.Kept)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // an earlier Install kept it
	}
	return err
}

// Uninstall takes back what Install put there: it removes the files that are
// still the ones installed, brings back what stood in their places and removes
// the directories that Install made, where they are empty. A file that was
// changed since is left, and said. Without a record there is nothing to do.
func (t Tree) Uninstall() error {
	rec, err := t.read()
	if err != nil {
		return err
	}
	if len(rec.Files) == 0 {
		say(t.Log, "nothing was installed: there is no %s", t.Record)
		return nil
	}
	var failures []error
	for _, e := range slices.Backward(rec.Files) {
		if err := t.uninstall(e); err != nil {
			failures = append(failures, fmt.Errorf("uninstall %s: %w", e.Path, err))
		}
	}
	if len(failures) > 0 {
		return errors.Join(failures...) // the record stays, so that it can be tried again
	}
	if err := os.Remove(t.at(t.Record)); err != nil {
		return err
	}
	for _, dir := range slices.Backward(rec.Directories) {
		// A directory that others have filled since refuses, and is right to stay.
		_ = os.Remove(t.at(dir))
	}
	return nil
}

func (t Tree) uninstall(e entry) error {
	current, err := t.checksum(e.Path)
	switch {
	case err != nil:
		return err
	case current != "" && !e.ours(current):
		say(t.Log, "left %s: it was changed since it was installed", e.Path)
		if e.Kept != "" {
			say(t.Log, "  what stood there before is %s", e.Kept)
		}
		return nil
	case e.Kept != "":
		say(t.Log, "restored %s", e.Path)
		return os.Rename(t.at(e.Kept), t.at(e.Path))
	case current == "":
		say(t.Log, "%s is gone already", e.Path)
		return nil
	}
	say(t.Log, "removed %s", e.Path)
	return os.Remove(t.at(e.Path))
}

// makeDirectories makes the directories of the given files and notes which of
// them it had to make.
func (t Tree) makeDirectories(rec *record, files ...string) error {
	for _, file := range files {
		var missing []string
		for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(t.at(dir)); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
				break
			}
			missing = append(missing, dir)
		}
		if err := os.MkdirAll(t.at(filepath.Dir(file)), 0o755); err != nil {
			return err
		}
		slices.Reverse(missing)
		rec.Directories = append(rec.Directories, missing...)
	}
	return nil
}

// read returns the record of an earlier Install, empty where there is none.
func (t Tree) read() (rec record, err error) {
	content, err := os.ReadFile(t.at(t.Record))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	if err := json.Unmarshal(content, &rec); err != nil {
		return record{}, fmt.Errorf("read the record of what is installed, %s: %w", t.Record, err)
	}
	return rec, nil
}

func (t Tree) write(rec record) error {
	content, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(t.at(t.Record), 0o644, append(content, '\n'))
}

// at is where a path of the installed machine lies on this one.
func (t Tree) at(path string) string { return filepath.Join(t.Root, path) }

// checksum is the SHA-256 of the file at path, "" where there is none.
func (t Tree) checksum(path string) (string, error) {
	content, err := os.ReadFile(t.at(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return checksum(content), err
}

func checksum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// replaceFile writes a file under another name and renames it into place: who
// opens or executes path gets the old file or the new one, never a part, and a
// running program keeps the one that it was started from.
func replaceFile(path string, mode fs.FileMode, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".mascri-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
