package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mascri/mascri/spec"
)

func mustSets(t testing.TB, ipam string) []RangeSet {
	t.Helper()
	config, err := ParseConfig([]byte(network(ipam)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return config.Sets
}

func usedOf(t testing.TB, addrs ...string) *usedSet {
	t.Helper()
	used := newUsedSet(nothingUsed)
	for _, addr := range addrs {
		if err := used.add(netip.MustParseAddr(addr)); err != nil {
			t.Fatal(err)
		}
	}
	return used
}

// walk is host-local's iterator, told as it is in prose: one address after the
// other, from the one after last, until the first one comes again.
func walk(set RangeSet, last netip.Addr) (addrs []netip.Addr) {
	at, cur := 0, netip.Addr{}
	for i, r := range set {
		if r.contains(last) {
			at, cur = i, last
			break
		}
	}
	var start netip.Addr
	for {
		switch {
		case !cur.IsValid():
			cur = set[0].First
		case cur == set[at].Last:
			at = (at + 1) % len(set)
			cur = set[at].First
		default:
			cur = cur.Next()
		}
		if cur == start {
			return addrs
		}
		if !start.IsValid() {
			start = cur
		}
		if cur != set[at].Gateway {
			addrs = append(addrs, cur)
		}
	}
}

// TestRoundRobin compares the spans with host-local's way for every last
// address of several sets.
func TestRoundRobin(t *testing.T) {
	for _, ipam := range []string{
		`{"subnet":"10.1.2.0/29"}`,
		`{"subnet":"10.1.2.0/29","gateway":"10.1.2.4"}`,
		`{"subnet":"10.1.2.0/29","gateway":"10.1.2.6"}`,
		`{"subnet":"10.1.2.0/29","gateway":"10.9.9.9"}`,
		`{"ranges":[[{"subnet":"10.1.2.0/29"},{"subnet":"10.1.3.0/30"},{"subnet":"10.1.4.0/29","rangeStart":"10.1.4.3"}]]}`,
		`{"subnet":"fd00::/125"}`,
		`{"subnet":"10.1.2.0/29","rangeStart":"10.1.2.1","rangeEnd":"10.1.2.1"}`,
	} {
		set := mustSets(t, ipam)[0]
		lasts := []netip.Addr{{}, netip.MustParseAddr("10.200.0.1")}
		for _, r := range set {
			for addr := r.First; addr.Compare(r.Last) <= 0; addr = addr.Next() {
				lasts = append(lasts, addr)
			}
		}
		for _, last := range lasts {
			var got []netip.Addr
			for _, s := range set.roundFrom(last) {
				for addr := s.first; addr.Compare(s.last) <= 0; addr = addr.Next() {
					got = append(got, addr)
				}
			}
			if want := walk(set, last); !slices.Equal(got, want) {
				t.Errorf("%s after %s: %v, want %v", set, last, got, want)
			}
		}
	}
}

// TestUsedSet compares with a map, at the borders of chunks above all.
func TestUsedSet(t *testing.T) {
	first := netip.MustParseAddr("10.0.15.240")
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		used, truth := newUsedSet(nothingUsed), map[netip.Addr]bool{}
		var addrs []netip.Addr
		for addr := first; len(addrs) < 64; addr = addr.Next() {
			addrs = append(addrs, addr)
			if random.IntN(10) > 0 {
				truth[addr] = true
				if err := used.add(addr); err != nil {
					t.Fatal(err)
				}
			}
		}
		from, to := random.IntN(64), random.IntN(64)
		from, to = min(from, to), max(from, to)
		at := slices.IndexFunc(addrs[from:to+1], func(addr netip.Addr) bool { return !truth[addr] })
		got, ok, err := used.firstFree(addrs[from], addrs[to])
		if err != nil || ok != (at >= 0) || ok && got != addrs[from+at] {
			t.Fatalf("%s to %s: got %s %v %v, want index %d of the span", addrs[from], addrs[to], got, ok, err, at)
		}
	}
}

func TestSplitJoin(t *testing.T) {
	for _, text := range []string{"10.0.15.255", "10.0.16.0", "0.0.0.0", "255.255.255.255", "fd00::", "fd00::1:fff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		addr := netip.MustParseAddr(text)
		if base, offset := split(addr); join(base, offset) != addr || base.Is4() != addr.Is4() {
			t.Errorf("%s becomes %s", addr, join(base, offset))
		}
	}
}

func TestAllocate(t *testing.T) {
	const dual = `{"ranges":[[{"subnet":"10.1.2.0/29"}],[{"subnet":"fd00::/64"}]]}`
	const full = "10.1.2.2 10.1.2.3 10.1.2.4 10.1.2.5 10.1.2.6"
	for _, test := range []struct {
		name, ipam, used, held, requests string // requests: "SOURCE=ADDR …"
		want                             string
		code                             spec.Code
	}{
		{"first", dual, "", "", "", "10.1.2.2/29 fd00::2/64", 0},
		{"next free", dual, "10.1.2.2 fd00::2 fd00::3", "", "", "10.1.2.3/29 fd00::4/64", 0},
		{"requested", dual, "", "", "CNI_ARGS=10.1.2.5", "10.1.2.5/29 fd00::2/64", 0},
		{"two sources, two sets", dual, "", "", "args.cni.ips=fd00::9 CNI_ARGS=10.1.2.5", "10.1.2.5/29 fd00::9/64", 0},
		{"two sources, one set: the stronger", dual, "", "", "args.cni.ips=10.1.2.4 CNI_ARGS=10.1.2.5", "10.1.2.4/29 fd00::2/64", 0},
		{"three sources, one set", dual, "", "", "runtimeConfig.ips=10.1.2.3 args.cni.ips=10.1.2.4 CNI_ARGS=10.1.2.5", "10.1.2.3/29 fd00::2/64", 0},
		{"the same twice", dual, "", "", "args.cni.ips=10.1.2.4 args.cni.ips=10.1.2.4", "10.1.2.4/29 fd00::2/64", 0},
		{"one source, one set, two wishes", dual, "", "", "args.cni.ips=10.1.2.4 args.cni.ips=10.1.2.5", "failed to allocate all requested IPs: 10.1.2.5", spec.InvalidConfig},
		{"outside", dual, "", "", "CNI_ARGS=10.9.9.9", "failed to allocate all requested IPs: 10.9.9.9", spec.InvalidConfig},
		{"gateway requested", dual, "", "", "CNI_ARGS=10.1.2.1", "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway", spec.InvalidConfig},
		{"used requested", dual, "10.1.2.5", "", "CNI_ARGS=10.1.2.5", "requested IP address 10.1.2.5 is not available in range set 10.1.2.1-10.1.2.6", spec.Exhausted},
		{"exhausted", dual, full, "", "", "failed to allocate for range 0: no IP addresses available in range set: 10.1.2.1-10.1.2.6", spec.Exhausted},
		{"held", dual, "", "10.1.2.2", "", "10.1.2.2 has been allocated to c1, duplicate allocation is not allowed", spec.InvalidEnv},
		{"held in the second set", dual, "", "fd00::2", "", "failed to allocate for range 1: fd00::2 has been allocated to c1", spec.InvalidEnv},
		{"held, another requested", dual, "", "10.1.2.2", "CNI_ARGS=10.1.2.5", "duplicate allocation is not allowed", spec.InvalidEnv},
		{"held elsewhere", dual, "", "10.7.7.7", "", "10.1.2.2/29 fd00::2/64", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := Config{Sets: mustSets(t, test.ipam)}
			for _, request := range strings.Fields(test.requests) {
				source, addr, _ := strings.Cut(request, "=")
				config.Requests = append(config.Requests, Request{netip.MustParseAddr(addr), source})
			}
			s := situation{owner: spec.Attachment{ContainerID: "c1", IfName: "eth0"}, last: func(int) netip.Addr { return netip.Addr{} }, used: usedOf(t, strings.Fields(test.used)...)}
			for _, addr := range strings.Fields(test.held) {
				s.held = append(s.held, netip.MustParseAddr(addr))
			}
			chosen, err := allocate(config, s)
			if test.code != 0 {
				if spec.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %d %v, want %d %s", spec.CodeOf(err), err, test.code, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range chosen {
				got = append(got, fmt.Sprintf("%s/%d", l.Addr, l.Range.Subnet.Bits()))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}
