package filter

import (
	"testing"

	"github.com/google/nftables/userdata"
)

// FuzzDecode: whatever another program wrote into the kernel's tables, reading
// it neither panics nor hangs.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{8, 0, 1, 0, 1, 2, 3, 4}, []byte{0, 3, 'a', 'b', 0})
	f.Add([]byte{12, 0, 3, 128, 8, 0, 1, 128, 4, 0, 1, 128}, []byte{0, 255, 1})
	f.Fuzz(func(t *testing.T, object, data []byte) {
		if c := comment(data, userdata.TypeComment); len(c) > len(data) {
			t.Errorf("comment %q of %d bytes", c, len(data))
		}
		// Errors are answers too; only panics are not.
		_, _ = decodeElements(object)
		_, _ = decodeRule(IPv4, object)
		_, _ = decodeChain(object)
		_, _ = decodeConnection(object)
		_, _ = chainUses(object)
	})
}
