package ipam

import (
	"os"
	"strings"
)

// unknownBoot names the boot when nothing can be told: leases recorded under
// it are never taken for those of a former boot.
const unknownBoot = "unknown"

// bootIDFile changes with each start of the kernel (random(4)); tests put
// another one in its place.
var bootIDFile = "/proc/sys/kernel/random/boot_id"

// currentBoot identifies this run of the kernel. No container outlives it, so
// no lease should. On a filesystem that several machines share, another boot
// ID may simply be another machine's: there the boot counts as unknown.
func currentBoot(dir string) string {
	if sharedFilesystem(dir) {
		return unknownBoot
	}
	id, err := os.ReadFile(bootIDFile)
	text := strings.TrimSpace(string(id))
	if err != nil || text == "" || strings.ContainsAny(text, "/\x00") || text[0] == '.' {
		return unknownBoot
	}
	return text
}
