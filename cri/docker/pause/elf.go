package pause

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

const (
	loadAddress = 0x400000 // where linkers put a static program
	pageSize    = 0x10000  // the largest page of either architecture
)

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Executable is the pause program as a static ELF file (elf(5)) for arch, Go's
// name of an architecture.
func Executable(arch string) ([]byte, error) {
	program, known := programs[arch]
	if !known {
		return nil, fmt.Errorf("no pause program for architecture %q: there is one for amd64 and arm64", arch)
	}
	code, err := program.bytes()
	if err != nil {
		return nil, fmt.Errorf("assemble the pause program for %s: %w", arch, err)
	}
	headers := uint64(binary.Size(elf.Header64{}) + 2*binary.Size(elf.Prog64{}))
	size := headers + uint64(len(code))
	var file bytes.Buffer
	for _, part := range []any{
		header(machines[arch], loadAddress+headers),
		// The whole file, headers too, is one segment: read and execute.
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
			Vaddr: loadAddress, Paddr: loadAddress, Filesz: size, Memsz: size, Align: pageSize,
		},
		// Without this the kernel makes the stack executable.
		elf.Prog64{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W)},
		code,
	} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			return nil, fmt.Errorf("write the pause program's ELF file: %w", err)
		}
	}
	return file.Bytes(), nil
}

func header(machine elf.Machine, entry uint64) elf.Header64 {
	h := elf.Header64{
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(machine),
		Version:   uint32(elf.EV_CURRENT),
		Entry:     entry,
		Phoff:     uint64(binary.Size(elf.Header64{})), // the program headers follow
		Ehsize:    uint16(binary.Size(elf.Header64{})),
		Phentsize: uint16(binary.Size(elf.Prog64{})),
		Phnum:     2,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	h.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	return h
}
