package filter

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// Conditions restrict host ports to packets that match: portmap's conditionsV4
// and conditionsV6. Host ports with the same conditions share a pair of maps,
// which one rule each looks up in, so that what one network demands is never
// demanded of another. It is a node step, before the HostPorts it is for.
type Conditions struct {
	Family Family
	Match  string // in nft's words: ip daddr != 192.0.2.0/24 iifname "eth0"
}

// chainConditional holds the rules of all conditions.
const chainConditional = "conditional"

// ParseConditions reads match tokens in the syntax of nft, or when they begin
// with - or ! in that of iptables. Without iptables and nft at hand it knows the
// common matches only, and refuses others by name: source and destination
// address, incoming interface and protocol, each also negated.
func ParseConditions(f Family, tokens []string) (Conditions, error) {
	if strings.TrimSpace(strings.Join(tokens, "")) == "" {
		return Conditions{Family: f}, nil
	}
	parse := parseNFT
	if strings.HasPrefix(tokens[0], "-") || strings.HasPrefix(tokens[0], "!") {
		parse = parseIPTables
	}
	all, err := parse(f, tokens)
	if err != nil {
		return Conditions{}, fmt.Errorf("conditions %q: %w", strings.Join(tokens, " "), err)
	}
	var words []string
	for _, c := range all {
		words = append(words, c.String())
	}
	return Conditions{Family: f, Match: strings.Join(words, " ")}, nil
}

// String is the nft commands that Apply equals.
func (c Conditions) String() string {
	addr := layouts(c.Family)[setSources].key[0]
	ips, ports := c.maps()
	table := string(c.Family) + " " + Table
	return fmt.Sprintf(`nft -f - <<'END'
add map %[1]s %[2]s { type inet_proto . %[4]s . inet_service : %[4]s . inet_service; }
add map %[1]s %[3]s { type inet_proto . inet_service : %[4]s . inet_service; }
add rule %[1]s conditional %[5]s dnat to meta l4proto . %[6]s daddr . th dport map @%[2]s comment "%[2]s"
add rule %[1]s conditional %[5]s dnat to meta l4proto . th dport map @%[3]s comment "%[3]s"
END`, table, ips, ports, addr, c.Match, c.Family)
}

// maps are the names of the conditions' own maps.
func (c Conditions) maps() (ips, ports string) {
	return conditional(mapHostIPs, c.Match), conditional(mapHostPorts, c.Match)
}

// conditional is the name of a map for host ports under conditions.
func conditional(set, match string) string {
	if match == "" {
		return set
	}
	return set + "-" + digest(match)
}

// A condition is one match.
type condition struct {
	key     string // "ip saddr", "ip daddr", "iifname", "meta l4proto"
	negated bool
	value   string
}

func (c condition) String() string {
	value := c.value
	if c.key == "iifname" {
		value = `"` + value + `"`
	}
	if c.negated {
		return c.key + " != " + value
	}
	return c.key + " " + value
}

// validate refuses a value that is not of the key's type.
func (c condition) validate(f Family) error {
	switch c.key {
	case string(f) + " saddr", string(f) + " daddr":
		_, err := parsePrefix(f, c.value)
		return err
	case "meta l4proto":
		_, err := ParseProtocol(c.value)
		return err
	case "iifname":
		odd := func(r rune) bool {
			return strings.ContainsRune(`+*"\/`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
		}
		if c.value == "" || len(c.value) > maxInterface || strings.ContainsFunc(c.value, odd) {
			return fmt.Errorf("interface %q: a name of 1 to %d bytes without wildcards is known", c.value, maxInterface)
		}
		return nil
	}
	return fmt.Errorf("match %q is not among those that are known here: address, interface and protocol", c.key)
}

// parsePrefix reads an address or prefix of the family.
func parsePrefix(f Family, text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return prefix, err
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if FamilyOf(prefix.Addr()) != f || prefix.Addr().Is4In6() || prefix.Bits() == 0 {
		return prefix, fmt.Errorf("%s is no %s network", text, f)
	}
	return prefix.Masked(), nil
}

// iptablesKeys are the options that are known, and what nft calls them.
var iptablesKeys = map[string]string{
	"-s": "saddr", "--source": "saddr", "--src": "saddr",
	"-d": "daddr", "--destination": "daddr", "--dst": "daddr",
	"-i": "iifname", "--in-interface": "iifname",
	"-p": "meta l4proto", "--protocol": "meta l4proto", "--proto": "meta l4proto",
}

// parseIPTables reads [!] OPTION VALUE, again and again.
func parseIPTables(f Family, tokens []string) (all []condition, err error) {
	for len(tokens) > 0 {
		var c condition
		if tokens[0] == "!" {
			c.negated, tokens = true, tokens[1:]
		}
		if len(tokens) < 2 {
			return nil, fmt.Errorf("%q has no value", strings.Join(tokens, " "))
		}
		key, ok := iptablesKeys[tokens[0]]
		if !ok {
			return nil, fmt.Errorf("option %s needs iptables, which this plugin does not start: use -s, -d, -i or -p", tokens[0])
		}
		c.key, c.value, tokens = qualify(f, key), tokens[1], tokens[2:]
		if err := c.validate(f); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// qualify puts the family before what it needs.
func qualify(f Family, key string) string {
	if key == "saddr" || key == "daddr" {
		return string(f) + " " + key
	}
	return key
}

// nftKeys are the matches that are known, and of how many words they are.
var nftKeys = map[string]int{"iifname": 1, "meta iifname": 2, "meta l4proto": 2,
	"ip saddr": 2, "ip daddr": 2, "ip6 saddr": 2, "ip6 daddr": 2}

// parseNFT reads KEY [==|!=] VALUE, again and again. A token may hold several words.
func parseNFT(f Family, tokens []string) (all []condition, err error) {
	words := strings.Fields(strings.Join(tokens, " "))
	for len(words) > 0 {
		var c condition
		c.key = strings.Join(words[:min(2, len(words))], " ")
		if nftKeys[words[0]] == 1 {
			c.key = words[0]
		}
		size, ok := nftKeys[c.key]
		if !ok {
			return nil, fmt.Errorf("match %q needs nft, which this plugin does not start: use ip saddr, ip daddr, iifname or meta l4proto", c.key)
		}
		words = words[size:]
		if len(words) > 0 && (words[0] == "==" || words[0] == "!=") {
			c.negated, words = words[0] == "!=", words[1:]
		}
		if len(words) == 0 {
			return nil, fmt.Errorf("%q has no value", c.key)
		}
		c.key = strings.TrimPrefix(c.key, "meta i")
		if c.key == "ifname" {
			c.key = "iifname"
		}
		c.value, words = strings.Trim(words[0], `"`), words[1:]
		if err := c.validate(f); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}
