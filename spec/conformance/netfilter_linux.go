package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// packetFilter is what the host's namespace holds of nftables, where
// iptables-nft keeps its rules too, and of the older iptables.
type packetFilter struct {
	objects    int  // tables, chains, rules, sets and their elements
	masquerade bool // a rule rewrites source addresses
}

// readFilter counts (nft list ruleset; iptables-legacy-save).
func readFilter() (packetFilter, error) {
	var filter packetFilter
	for _, kind := range []uint16{unix.NFT_MSG_GETTABLE, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETRULE, unix.NFT_MSG_GETSET} {
		replies, err := exchange(unix.NETLINK_NETFILTER, filterMessage(kind, unix.NLM_F_DUMP, unix.AF_UNSPEC))
		if err != nil {
			return filter, fmt.Errorf("list nftables: %w", err)
		}
		for _, r := range replies {
			filter.objects++
			if kind == unix.NFT_MSG_GETRULE {
				filter.masquerade = filter.masquerade || rewritesSource(r.body)
			}
			if kind == unix.NFT_MSG_GETSET {
				count, err := elements(r.body)
				if err != nil {
					return filter, err
				}
				filter.objects += count
			}
		}
	}
	return filter, filter.addLegacy()
}

// rewritesSource looks for the expressions masq and nat (as source), and for
// iptables-nft's targets, whose names appear as text in the rule.
func rewritesSource(rule []byte) bool {
	return bytes.Contains(rule, []byte("masq\x00")) || bytes.Contains(rule, []byte("MASQUERADE\x00")) || bytes.Contains(rule, []byte("SNAT\x00"))
}

// elements counts the members of the set that reply describes.
func elements(set []byte) (int, error) {
	if len(set) < 4 {
		return 0, errors.New("list nftables: a set without a header")
	}
	attrs := attributes(set[4:])
	ask := filterMessage(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, set[0]).
		attribute(unix.NFTA_SET_ELEM_LIST_TABLE, attrs[unix.NFTA_SET_TABLE]).
		attribute(unix.NFTA_SET_ELEM_LIST_SET, attrs[unix.NFTA_SET_NAME])
	replies, err := exchange(unix.NETLINK_NETFILTER, ask)
	if err != nil {
		return 0, fmt.Errorf("list elements of set %s: %w", bytes.TrimRight(attrs[unix.NFTA_SET_NAME], "\x00"), err)
	}
	count := 0
	for _, r := range replies {
		if len(r.body) > 4 {
			eachAttribute(attributes(r.body[4:])[unix.NFTA_SET_ELEM_LIST_ELEMENTS], func(uint16, []byte) { count++ })
		}
	}
	return count, nil
}

// addLegacy counts rules of the kernel's older iptables interface, which has
// no netlink: its own program has to read it.
func (p *packetFilter) addLegacy() error {
	for tables, save := range map[string]string{"/proc/thread-self/net/ip_tables_names": "iptables-legacy-save", "/proc/thread-self/net/ip6_tables_names": "ip6tables-legacy-save"} {
		names, err := os.ReadFile(tables)
		if errors.Is(err, os.ErrNotExist) || len(names) == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("list iptables: %w", err)
		}
		rules, err := exec.Command(save).Output()
		if err != nil {
			return fmt.Errorf("the plugin uses the older iptables (tables %q), and %s is needed to read it: %w", names, save, err)
		}
		p.objects += bytes.Count(rules, []byte("\n-A ")) + bytes.Count(rules, []byte("\n:"))
		p.masquerade = p.masquerade || bytes.Contains(rules, []byte("-j MASQUERADE")) || bytes.Contains(rules, []byte("-j SNAT"))
	}
	return nil
}

// flushFilter is nft flush ruleset.
func flushFilter() error {
	begin := filterMessage(0, 0, unix.AF_UNSPEC)
	begin.kind = unix.NFNL_MSG_BATCH_BEGIN
	binary.BigEndian.PutUint16(begin.body[2:], unix.NFNL_SUBSYS_NFTABLES)
	end := begin
	end.kind = unix.NFNL_MSG_BATCH_END
	// DELTABLE that names neither a family nor a table means all of them.
	if _, err := exchange(unix.NETLINK_NETFILTER, begin, filterMessage(unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, unix.AF_UNSPEC), end); err != nil {
		return fmt.Errorf("flush nftables: %w", err)
	}
	return nil
}

// filterMessage starts with struct nfgenmsg (linux/netfilter/nfnetlink.h).
func filterMessage(kind, flags uint16, family byte) message {
	return message{unix.NFNL_SUBSYS_NFTABLES<<8 | kind, flags, []byte{family, unix.NFNETLINK_V0, 0, 0}}
}
