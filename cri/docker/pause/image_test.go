package pause

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The engine goes by the tag. When this test fails because the image has
// changed on purpose, count Tag up together with the digests.
func TestTagNamesOneImage(t *testing.T) {
	want := map[string]string{
		"mascri/pause:1 amd64": "sha256:a3bcb3921f5f38d7c9a279d1ce2574528c4f035f1de79afd21f892128593380c",
		"mascri/pause:1 arm64": "sha256:a02c1ee2b1531a602c21fa8a64b21df5d10b078bd72395ab985fdaf28ee4fc76",
	}
	for arch := range programs {
		archive, err := Image(arch)
		if err != nil {
			t.Fatal(err)
		}
		key := Tag + " " + arch
		if got := digest.FromBytes(archive).String(); got != want[key] {
			t.Errorf("%s is %s, want %s", key, got, want[key])
		}
	}
}

func TestImageHoldsTogether(t *testing.T) {
	for arch := range programs {
		archive, err := Image(arch)
		if err != nil {
			t.Fatal(err)
		}
		files := untar(t, archive)
		var manifest []struct {
			Config           string
			RepoTags, Layers []string
		}
		if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
			t.Fatal(err)
		}
		var config ocispec.Image
		if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
			t.Fatal(err)
		}
		if config.Architecture != arch {
			t.Errorf("architecture %q, want %q", config.Architecture, arch)
		}
		layer := files[manifest[0].Layers[0]]
		if got := digest.FromBytes(layer); got != config.RootFS.DiffIDs[0] {
			t.Errorf("layer is %s, the configuration says %s", got, config.RootFS.DiffIDs[0])
		}
		program := untar(t, layer)["pause"]
		checkELF(t, program, arch)
	}
}

// checkELF reads the program with an ELF reader that is not ours.
func checkELF(t *testing.T, program []byte, arch string) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != machines[arch] || f.Type != elf.ET_EXEC {
		t.Errorf("%s: machine %s, type %s", arch, f.Machine, f.Type)
	}
	load := f.Progs[0]
	if load.Flags&elf.PF_W != 0 || f.Progs[1].Flags&elf.PF_X != 0 {
		t.Errorf("%s: a segment is writable and executable: %v", arch, f.Progs)
	}
	code, err := programs[arch].bytes()
	if err != nil {
		t.Fatal(err)
	}
	offset := f.Entry - load.Vaddr
	if !bytes.Equal(program[offset:load.Filesz], code) {
		t.Errorf("%s: entry %#x is not where the code is", arch, f.Entry)
	}
	if len(program) > 512 {
		t.Errorf("%s: %d bytes", arch, len(program))
	}
}

func TestUnknownArchitecture(t *testing.T) {
	if _, err := Image("s390x"); err == nil {
		t.Error("no error for an architecture without a program")
	}
}

func untar(t *testing.T, archive []byte) map[string][]byte {
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
