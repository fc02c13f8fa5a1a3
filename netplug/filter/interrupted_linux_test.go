package filter

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInterruptedDump: wherever in a dump the kernel says that it was
// interrupted, in the message that ends it as well, the dump ends, as an error.
func TestInterruptedDump(t *testing.T) {
	const part, end = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE, unix.NLMSG_DONE
	for _, test := range []struct {
		name    string
		marked  [3]bool // two parts and the end
		objects int
		err     error
	}{
		{"whole", [3]bool{}, 2, nil},
		{"first part", [3]bool{true, true, true}, 0, unix.EINTR},
		{"second part", [3]bool{false, true, true}, 0, unix.EINTR},
		{"end", [3]bool{false, false, true}, 0, unix.EINTR},
	} {
		t.Run(test.name, func(t *testing.T) {
			var d dumped
			ended := false
			for i, marked := range test.marked {
				m := syscall.NetlinkMessage{Data: make([]byte, 8)}
				m.Header.Type = part
				if i == 2 {
					m.Header.Type = end
				}
				if marked {
					m.Header.Flags = unix.NLM_F_DUMP_INTR
				}
				last, err := d.take(decodeAnswer(m, nfgenmsg))
				if err != nil {
					t.Fatal(err)
				}
				ended = last
			}
			objects, err := d.outcome()
			if !ended || !errors.Is(err, test.err) || len(objects) != test.objects {
				t.Errorf("ended %t with %d objects, %v", ended, len(objects), err)
			}
		})
	}
}
