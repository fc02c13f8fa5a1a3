package filter

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	for _, test := range []struct {
		types       []string
		text        string
		first, last []byte
	}{
		{[]string{"inet_proto", "inet_service"}, "udp . 8080", []byte{17, 0, 0, 0, 0x1f, 0x90, 0, 0}, []byte{17, 0, 0, 0, 0x1f, 0x90, 0, 0}},
		{[]string{"ipv4_addr"}, "10.22.0.0/15", []byte{10, 22, 0, 0}, []byte{10, 23, 255, 255}},
		{[]string{"ipv4_addr"}, "10.22.0.5", []byte{10, 22, 0, 5}, []byte{10, 22, 0, 5}},
		{[]string{"ether_addr"}, "02:00:00:00:00:01", []byte{2, 0, 0, 0, 0, 1, 0, 0}, []byte{2, 0, 0, 0, 0, 1, 0, 0}},
	} {
		first, last, err := encode(test.types, test.text)
		if err != nil || !bytes.Equal(first, test.first) || !bytes.Equal(last, test.last) {
			t.Errorf("%s: %x %x (%v), want %x %x", test.text, first, last, err, test.first, test.last)
		}
	}
	for text, types := range map[string][]string{
		"tcp": {"inet_proto", "inet_service"}, "icmp": {"inet_proto"}, "70000": {"inet_service"}, "::1": {"ipv4_addr"},
		"10.0.0.1": {"ipv6_addr"}, "02:00": {"ether_addr"}, "": {"ifname"}, strings.Repeat("x", 16): {"ifname"}, "x": {"nothing"},
	} {
		if first, _, err := encode(types, text); err == nil {
			t.Errorf("%q as %v is %x, want an error", text, types, first)
		}
	}
}

func TestOwnersAreToldApart(t *testing.T) {
	seen := map[string]Owner{}
	for _, o := range []Owner{
		{"net", "abc", "eth0"}, {"net", "abc", "eth1"}, {"net", "abce", "th0"}, {"other", "abc", "eth0"},
		{"netabc", "", "eth0"}, {"net", strings.Repeat("a", 300), "eth0"}, {"net", strings.Repeat("a", 301), "eth0"},
	} {
		comment := o.Comment()
		key := ownerKey(comment)
		if other, ok := seen[key]; ok || key == "" || key != o.key() {
			t.Errorf("%v and %v have key %q", o, other, key)
		}
		if len(comment) > maxComment || strings.ContainsAny(comment, "\"\\$`'") {
			t.Errorf("nft cannot read the comment %q", comment)
		}
		seen[key] = o
	}
	hostile := Owner{"n\"; drop", "c'$(reboot)", "e`0"}
	if c := hostile.Comment(); strings.ContainsAny(c, "\"'$`;()") {
		t.Errorf("comment %q would need quoting", c)
	}
}

func TestParseConditions(t *testing.T) {
	for _, test := range []struct {
		family Family
		tokens string
		want   string
	}{
		{IPv4, "! -d 192.0.2.1/24", "ip daddr != 192.0.2.1/24"},
		{IPv4, "-s 10.0.0.1 -i eth0 ! -p udp", `ip saddr 10.0.0.1 iifname "eth0" meta l4proto != udp`},
		{IPv6, "--destination fd00::/8", "ip6 daddr fd00::/8"},
		{IPv4, "ip saddr == 10.0.0.0/8 iifname != eth0", `ip saddr 10.0.0.0/8 iifname != "eth0"`},
		{IPv4, `meta iifname "eth0" meta l4proto tcp`, `iifname "eth0" meta l4proto tcp`},
		{IPv6, "ip6 daddr != fc00::/7", "ip6 daddr != fc00::/7"},
	} {
		got, err := ParseConditions(test.family, strings.Split(test.tokens, " "))
		if err != nil || got.Match != test.want {
			t.Errorf("%s: %q (%v), want %q", test.tokens, got.Match, err, test.want)
		}
		again, err := ParseConditions(test.family, []string{got.Match})
		if err != nil || again != got {
			t.Errorf("%q reads as %q (%v)", got.Match, again.Match, err)
		}
	}
	for _, bad := range []string{"-d", "!", "-d 10.0.0.0/0", "-d fd00::1", "-i eth+", "--sport 53", "-m mark --mark 1", "ip daddr { 10.0.0.1, 10.0.0.2 }",
		"tcp dport 80", "ip saddr", "ip saddr !=", "ip6 saddr fd00::1", "iifname a\\b", "-d 10.0.0.1,10.0.0.2", "saddr 10.0.0.1"} {
		if got, err := ParseConditions(IPv4, strings.Split(bad, " ")); err == nil {
			t.Errorf("%s is accepted as %q", bad, got.Match)
		}
	}
}

func TestValidate(t *testing.T) {
	pod := netip.MustParseAddrPort("10.0.0.1:80")
	for name, h := range map[string]HostPort{
		"port 0": {Protocol: TCP, Pod: pod}, "no pod": {Protocol: TCP, HostPort: 1}, "no protocol": {HostPort: 1, Pod: pod},
		"families":   {Protocol: TCP, HostPort: 1, Pod: pod, HostIP: netip.MustParseAddr("::1")},
		"pod port 0": {Protocol: TCP, HostPort: 1, Pod: netip.MustParseAddrPort("10.0.0.1:0")},
	} {
		if h.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		if (Masquerade{Source: p}).Validate() == nil {
			t.Errorf("network %s: accepted", p)
		}
	}
}

// FuzzParseConditions: what is accepted prints in words that mean the same.
func FuzzParseConditions(f *testing.F) {
	f.Add("ip", "! -d 192.0.2.0/24 -i eth0")
	f.Add("ip6", `ip6 saddr != fd00::/8 iifname "eth0" meta l4proto tcp`)
	f.Fuzz(func(t *testing.T, family, text string) {
		if family != string(IPv4) {
			family = string(IPv6)
		}
		c, err := ParseConditions(Family(family), strings.Split(text, " "))
		if err != nil {
			return
		}
		again, err := ParseConditions(Family(family), []string{c.Match})
		if err != nil || c.Match != "" && again != c {
			t.Errorf("%q is %q, which reads as %q (%v)", text, c.Match, again.Match, err)
		}
	})
}

// FuzzEncode: no text makes a key of another length than the layout's.
func FuzzEncode(f *testing.F) {
	f.Add("hostips", "tcp . 10.0.0.1 . 80")
	f.Add("allowed", "veth0 . 02:00:00:00:00:01")
	f.Fuzz(func(t *testing.T, set, text string) {
		for _, family := range []Family{IPv4, IPv6, Bridge} {
			l, ok := layoutOf(family, set)
			if !ok {
				continue
			}
			first, last, err := encode(l.key, text)
			if err == nil && (len(first) != len(last) || len(first)%4 != 0 || bytes.Compare(first, last) > 0) {
				t.Errorf("%s { %s } is %x to %x", set, text, first, last)
			}
		}
	})
}

// TestMappingsInEachOthersPlace: one host port has one container port, at each
// address that it can be reached at.
func TestMappingsInEachOthersPlace(t *testing.T) {
	for _, c := range []struct {
		one, other RawMapping
		refused    bool
	}{
		{RawMapping{HostPort: 80}, RawMapping{HostPort: 80}, true},
		{RawMapping{HostPort: 80}, RawMapping{HostPort: 80, HostIP: "::"}, true},
		{RawMapping{HostPort: 80, HostIP: "192.0.2.1"}, RawMapping{HostPort: 80, HostIP: "::ffff:192.0.2.1"}, true},
		{RawMapping{HostPort: 80, HostIP: "0.0.0.0"}, RawMapping{HostPort: 80, HostIP: "::"}, false},
		{RawMapping{HostPort: 80}, RawMapping{HostPort: 80, HostIP: "192.0.2.1"}, false},
		{RawMapping{HostPort: 80, HostIP: "192.0.2.1"}, RawMapping{HostPort: 80, HostIP: "192.0.2.2"}, false},
		{RawMapping{HostPort: 80}, RawMapping{HostPort: 81}, false},
		{RawMapping{HostPort: 80}, RawMapping{HostPort: 80, Protocol: "udp"}, false},
	} {
		c.one.ContainerPort, c.other.ContainerPort = 8080, 8081
		for _, pair := range [][]RawMapping{{c.one, c.other}, {c.other, c.one}} {
			if _, err := ParseMappings(pair); (err != nil) != c.refused {
				t.Errorf("%+v: %v, expected refusal %t", pair, err, c.refused)
			}
		}
		c.other.ContainerPort = 8080 // the same twice
		if _, err := ParseMappings([]RawMapping{c.one, c.other}); err != nil {
			t.Errorf("%+v and %+v: %v", c.one, c.other, err)
		}
	}
}
