package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Obstacles says, a sentence each, what on this host drops packets that the
// bridge forwards and that ForwardAccept cannot open: a chain of somebody else's
// with policy drop, or the tables of iptables-legacy, which nftables does not
// reach. Those are read in the calling thread's namespace.
func Obstacles(c *Conn, bridge string) (sentences []string, err error) {
	for _, f := range []Family{IPv4, IPv6, inet} {
		chains, err := c.closedChains(f, bridge)
		if err != nil {
			return nil, err
		}
		for _, ch := range chains {
			sentences = append(sentences, fmt.Sprintf("chain %s %s %s drops what the host forwards: let bridge %s through it, with nft insert rule %s %s %s iifname %s accept, and the same for oifname",
				f, ch.table, ch.name, bridge, f, ch.table, ch.name, bridge))
		}
	}
	for _, f := range []Family{IPv4, IPv6} {
		closed, err := legacyCloses(f, bridge)
		if err != nil {
			return nil, err
		}
		if closed {
			sentences = append(sentences, fmt.Sprintf("%s-legacy has policy DROP for FORWARD, which netlink does not reach: run %s-legacy -I FORWARD -i %s -j ACCEPT and the same with -o, or move the host to iptables-nft",
				f.iptables(), f.iptables(), bridge))
		}
	}
	return sentences, nil
}

// closedChains are the base chains at the forward hook that drop by policy and
// have no accept for the bridge; those of iptables are ForwardAccept's.
func (c *Conn) closedChains(f Family, bridge string) (closed []chainState, err error) {
	objects, err := c.list(query{unix.NFT_MSG_GETCHAIN, f, nil})
	if err != nil {
		return nil, fmt.Errorf("list the chains of family %s: %w", f, err)
	}
	for _, object := range objects {
		ch, err := decodeChain(object)
		if err != nil {
			return nil, err
		}
		drops := ch.hook && ch.number == unix.NF_INET_FORWARD && ch.policy == nftables.ChainPolicyDrop
		if !drops || ch.table == filterTable && ch.name == forwardChain && f != inet {
			continue
		}
		rules, err := c.rules(f, ch.table, ch.name)
		if err != nil {
			return nil, err
		}
		if !opened(rules, bridge) {
			closed = append(closed, ch)
		}
	}
	return closed, nil
}

// opened tells whether the rules let the bridge's packets in and out. nft
// compares a name in full, iptables-nft with its terminating zero only.
func opened(rules []rule, bridge string) bool {
	for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
		full := ForwardAccept{Bridge: bridge + strings.Repeat("\x00", max(0, maxInterface-len(bridge)))}
		if !reaches(rules, ForwardAccept{Bridge: bridge}.match(key)) && !reaches(rules, full.match(key)) {
			return false
		}
	}
	return true
}

// The kernel's interface for iptables-legacy: a table comes as one blob
// (linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h).
const (
	getInfo, getEntries = 64, 65 // IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES
	tableName           = 32     // bytes of a table's name
	infoSize            = 84     // struct ipt_getinfo
	entriesHeader       = 40     // struct ipt_get_entries up to the first entry
	hookEntries         = tableName + 4
	underflows          = hookEntries + 5*4
	forwardHook         = 2
	standardTarget      = 32 // bytes of struct xt_entry_target before the verdict
	policyDrop          = -1 // -NF_DROP - 1
	verdictAccept       = -2 // -NF_ACCEPT - 1
)

// A legacy family: where an entry keeps what we read.
type legacy struct {
	names              string // lists the tables in use
	domain, level      int
	inName, outName    int // offsets of the interface names
	targetOff, nextOff int // offsets of the offsets of target and next entry
}

var legacies = map[Family]legacy{
	IPv4: {"/proc/thread-self/net/ip_tables_names", unix.AF_INET, unix.IPPROTO_IP, 16, 32, 88, 90},
	IPv6: {"/proc/thread-self/net/ip6_tables_names", unix.AF_INET6, unix.IPPROTO_IPV6, 64, 80, 140, 142},
}

// legacyCloses tells whether iptables-legacy drops what is forwarded and has no
// accept for the bridge. A table that nobody uses is not touched: asking for it
// would make it.
func legacyCloses(f Family, bridge string) (bool, error) {
	l := legacies[f]
	names, err := os.ReadFile(l.names)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.Contains("\n"+string(names), "\n"+filterTable+"\n") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("list the tables of %s-legacy: %w", f.iptables(), err)
	}
	info, entries, err := l.read()
	if err != nil {
		return false, fmt.Errorf("read the filter table of %s-legacy: %w", f.iptables(), err)
	}
	policy, err := l.verdict(entries, int(binary.NativeEndian.Uint32(info[underflows+4*forwardHook:])))
	if err != nil || policy != policyDrop {
		return false, err
	}
	open, err := l.accepts(entries, bridge)
	return !open, err
}

// read fetches the filter table.
func (l legacy) read() (info, entries []byte, err error) {
	socket, err := unix.Socket(l.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	info = make([]byte, infoSize)
	copy(info, filterTable)
	if err := getsockopt(socket, l.level, getInfo, info); err != nil {
		return nil, nil, err
	}
	size := binary.NativeEndian.Uint32(info[infoSize-4:])
	blob := make([]byte, entriesHeader+int(size))
	copy(blob, filterTable)
	binary.NativeEndian.PutUint32(blob[tableName:], size)
	if err := getsockopt(socket, l.level, getEntries, blob); err != nil {
		return nil, nil, err
	}
	return info, blob[entriesHeader:], nil
}

// getsockopt is getsockopt(2) with an argument of any form, which x/sys has not.
func getsockopt(socket, level, option int, argument []byte) error {
	size := uint32(len(argument))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(socket), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&argument[0])), uintptr(unsafe.Pointer(&size)), 0)
	runtime.KeepAlive(argument)
	if errno != 0 {
		return errno
	}
	return nil
}

// errTorn is for a blob that is not what the headers say.
var errTorn = errors.New("the table is not of the form that linux/netfilter_ipv4/ip_tables.h gives")

// verdict is what the entry at the offset decides; 0 for a target that is more
// than a verdict. Those have a name, after their size.
func (l legacy) verdict(entries []byte, at int) (int32, error) {
	if at < 0 || at+l.nextOff+2 > len(entries) {
		return 0, errTorn
	}
	target := at + int(binary.NativeEndian.Uint16(entries[at+l.targetOff:]))
	if target+standardTarget+4 > len(entries) {
		return 0, errTorn
	}
	if entries[target+2] != 0 {
		return 0, nil
	}
	return int32(binary.NativeEndian.Uint32(entries[target+standardTarget:])), nil
}

// accepts tells whether some entry accepts what comes from the bridge, and some
// what goes to it: whoever wrote them has opened the host for it.
func (l legacy) accepts(entries []byte, bridge string) (bool, error) {
	in, out := false, false
	for at := 0; at < len(entries); {
		verdict, err := l.verdict(entries, at)
		if err != nil {
			return false, err
		}
		if verdict == verdictAccept {
			in = in || interfaceName(entries[at+l.inName:]) == bridge
			out = out || interfaceName(entries[at+l.outName:]) == bridge
		}
		next := int(binary.NativeEndian.Uint16(entries[at+l.nextOff:]))
		if next == 0 {
			return false, errTorn
		}
		at += next
	}
	return in && out, nil
}

func interfaceName(field []byte) string {
	name, _, _ := strings.Cut(string(field[:maxInterface+1]), "\x00")
	return name
}
