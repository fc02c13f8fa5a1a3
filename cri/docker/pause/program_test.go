package pause

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"
)

// disassembly is the first instruction of some code.
type disassembly struct {
	text   string
	length int
	jump   int // distance from the instruction's start to its target; 0 if it is no jump
}

var disassemblers = map[string]func([]byte) (disassembly, error){"amd64": disassembleX86, "arm64": disassembleARM}

func disassembleX86(code []byte) (disassembly, error) {
	i, err := x86asm.Decode(code, 64)
	// The disassembler has one of two names each of these goes by.
	names := strings.NewReplacer("jz", "je", "jnz", "jne", "jnle", "jg", "push 0xffffffff", "push -0x1")
	d := disassembly{text: names.Replace(x86asm.IntelSyntax(i, 0, nil)), length: i.Len}
	if distance, jumps := i.Args[0].(x86asm.Rel); jumps {
		d.jump = i.Len + int(distance)
	}
	return d, err
}

func disassembleARM(code []byte) (disassembly, error) {
	i, err := arm64asm.Decode(code)
	d := disassembly{text: arm64asm.GNUSyntax(i), length: 4}
	for _, argument := range i.Args {
		if distance, jumps := argument.(arm64asm.PCRel); jumps {
			d.jump = int(distance)
		}
	}
	return d, err
}

// The reader reads the text, the processor the bytes: they have to agree.
func TestTextIsWhatTheBytesSay(t *testing.T) {
	for arch, program := range programs {
		t.Run(arch, func(t *testing.T) {
			labels := labelsOf(t, program)
			offset := 0
			for _, instruction := range program {
				code := decode(t, instruction.code)
				if len(code) == 0 {
					continue
				}
				d, err := disassemblers[arch](code)
				if err != nil || d.length != len(code) {
					t.Fatalf("at %#x: % x is not one instruction: %d bytes, error %v", offset, code, d.length, err)
				}
				if d.jump != 0 {
					mnemonic, _, _ := strings.Cut(d.text, " ")
					d.text = fmt.Sprintf("%s %s", mnemonic, labels[offset+d.jump])
				}
				if d.text != instruction.text {
					t.Errorf("at %#x: % x is %q, the list says %q", offset, code, d.text, instruction.text)
				}
				offset += len(code)
			}
		})
	}
}

// labelsOf gives the label at each offset.
func labelsOf(t *testing.T, p program) map[int]string {
	labels, offset := map[int]string{}, 0
	for _, instruction := range p {
		if instruction.code == "" {
			labels[offset] = strings.TrimSuffix(instruction.text, ":")
		}
		offset += len(decode(t, instruction.code))
	}
	return labels
}

func decode(t *testing.T, code string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(code, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
