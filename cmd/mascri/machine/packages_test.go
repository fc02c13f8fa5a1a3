package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onlyProgramsIn makes PATH one directory holding the given shell scripts.
func onlyProgramsIn(t *testing.T, scripts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	savedDirectories, savedUser := systemDirectories, euid
	t.Cleanup(func() { systemDirectories, euid = savedDirectories, savedUser })
	systemDirectories, euid = nil, func() int { return 0 }
	return dir
}

func TestProvideAsAnotherUserSaysHow(t *testing.T) {
	onlyProgramsIn(t, map[string]string{"apt-get": "exit 0\n"})
	euid = func() int { return 1000 }
	err := Provide(t.Context(), &bytes.Buffer{}, need)
	if err == nil || !strings.Contains(err.Error(), "sudo apt-get install no-such-package") {
		t.Errorf("error %v does not say how", err)
	}
}

var need = Need{Program: "no-such-program", Package: "no-such-package"}

func TestProvideInstallsWhatIsMissing(t *testing.T) {
	dir := onlyProgramsIn(t, nil)
	program := filepath.Join(dir, need.Program)
	script := fmt.Sprintf("echo apt-get \"$@\"\n[ \"$1\" = update ] || { echo '#!/bin/sh' >%[1]s; /bin/chmod +x %[1]s; }\n", program)
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	if err := Provide(t.Context(), said, need); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "apt-get install -qy --no-install-recommends "+need.Package) {
		t.Errorf("said %q", said)
	}
	said.Reset()
	if err := Provide(t.Context(), said, need); err != nil || said.Len() > 0 {
		t.Errorf("with the program there: %v, said %q", err, said)
	}
}

func TestProvideSaysWhatIsMissing(t *testing.T) {
	cases := map[string]struct{ script, want string }{
		"another distribution":       {want: "with this distribution's package manager"},
		"a package without program":  {script: "exit 0\n", want: "still not found in PATH"},
		"an archive without package": {script: "echo E: Unable to locate package; exit 100\n", want: "install no-such-package"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			scripts := map[string]string{}
			if c.script != "" {
				scripts["apt-get"] = c.script
			}
			onlyProgramsIn(t, scripts)
			err := Provide(t.Context(), &bytes.Buffer{}, need)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), need.Package) {
				t.Errorf("error %v, want %q and the package's name", err, c.want)
			}
		})
	}
}
