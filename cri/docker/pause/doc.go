// Package pause makes the program and the image of the pause container: the
// process that holds a pod's namespaces open and, as PID 1 of a shared PID
// namespace, reaps the pod's orphans.
//
// The program is some thirty machine instructions, so it is written here as a
// list of them (program_amd64.go, program_arm64.go), put into an ELF file
// (elf.go) and that into an image (image.go). Neither a compiler nor a registry
// is needed, and the same bytes come out on every machine.
package pause
