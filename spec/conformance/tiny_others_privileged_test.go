//go:build privileged

package conformance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
)

// tinyRoutes are what the tiny IPAM plugin determines for everyone.
var tinyRoutes = []tinyRoute{{Dst: "0.0.0.0/0"}, {Dst: "192.0.2.0/24"}}

// ipamVerb is the tiny IPAM plugin: a file an address, its owner inside.
func (t *tiny) ipamVerb() error {
	if t.conf.IPAM == nil || t.conf.IPAM.Subnet == "" {
		return tinyErrorf(7, "ipam.subnet is missing")
	}
	dir := filepath.Join("/var/lib/tiny", t.conf.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if !t.is("concurrent-add") {
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			return err
		}
	}
	leases, err := readLeases(dir)
	if err != nil {
		return err
	}
	switch t.command {
	case "ADD":
		return t.ipamAdd(dir, leases)
	case "CHECK":
		return t.ipamCheck(leases)
	case "STATUS":
		if t.pool(leases) == "" && !t.is("status-exhausted") {
			return t.noAddress(50)
		}
		return nil
	}
	return t.ipamRemove(dir, leases)
}

func (t *tiny) noAddress(code int) error {
	if t.is("status-code") {
		code = 100
	}
	return tinyErrorf(code, "no address is left")
}

// readLeases returns owners by address.
func readLeases(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	leases := map[string]string{}
	for _, e := range entries {
		owner, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		leases[e.Name()] = string(owner)
	}
	return leases, nil
}

// pool returns the first free address; "" where there is none.
func (t *tiny) pool(leases map[string]string) string {
	subnet := netip.MustParsePrefix(t.conf.IPAM.Subnet)
	gateway := subnet.Addr().Next()
	for ip := gateway.Next(); subnet.Contains(ip.Next()); ip = ip.Next() {
		if _, taken := leases[ip.String()]; !taken {
			return ip.String()
		}
	}
	return ""
}

func (t *tiny) ipamAdd(dir string, leases map[string]string) error {
	for ip, owner := range leases {
		if owner == t.owner() {
			return tinyErrorf(100, "%s has %s already", owner, ip)
		}
	}
	ip := t.pool(leases)
	if ip == "" {
		return t.noAddress(100)
	}
	if t.is("concurrent-add") {
		time.Sleep(100 * time.Millisecond) // the race that the lock is there for
	}
	if err := os.WriteFile(filepath.Join(dir, ip), []byte(t.owner()), 0o600); err != nil {
		return err
	}
	subnet := netip.MustParsePrefix(t.conf.IPAM.Subnet)
	r := tinyResult{
		IPs:    []resultIP{{Address: fmt.Sprintf("%s/%d", ip, subnet.Bits()), Gateway: subnet.Addr().Next().String()}},
		Routes: slices.Clone(tinyRoutes),
		DNS:    map[string]any{"nameservers": []string{"192.0.2.1"}},
	}
	first := 0
	switch {
	case t.is("result-ipam-abbreviated"):
		r.IPs[0].Interface = &first
	case t.is("result-ipam-determines"):
		r.IPs = nil
	}
	return t.print(r)
}

func (t *tiny) ipamCheck(leases map[string]string) error {
	if t.is("check-reservation-missing") {
		return nil
	}
	owned := false
	for _, owner := range leases {
		owned = owned || owner == t.owner()
	}
	if !owned {
		return tinyErrorf(100, "%s has no address", t.owner())
	}
	if t.conf.PrevResult == nil || t.is("check-consults-addresses") {
		return nil
	}
	for _, ip := range t.conf.PrevResult.IPs {
		bare, _, _ := strings.Cut(ip.Address, "/")
		if leases[bare] != t.owner() {
			return tinyErrorf(100, "%s is not reserved for %s", bare, t.owner())
		}
	}
	return nil
}

// ipamRemove is DEL and GC.
func (t *tiny) ipamRemove(dir string, leases map[string]string) error {
	if t.command == "DEL" && t.keepsOnDel() || t.command == "GC" && t.is("gc-removes-stale") {
		return nil
	}
	var errs []error
	for ip, owner := range leases {
		if t.command == "DEL" && t.owns(owner) || t.command == "GC" && !t.valid(owner) {
			errs = append(errs, os.Remove(filepath.Join(dir, ip)))
		}
	}
	return errors.Join(errs...)
}

// chainedVerb is the tiny chained plugin: a rule an attachment.
func (t *tiny) chainedVerb() error {
	switch t.command {
	case "ADD":
		return t.chainedAdd()
	case "DEL":
		if t.keepsOnDel() || t.is("del-missing-interface") && !t.hasInterface() {
			return nil
		}
		return deleteRules(tinyCounter, t.owns)
	case "CHECK":
		return t.chainedCheck()
	case "GC":
		return deleteRules(tinyCounter, func(owner string) bool { return !t.valid(owner) })
	}
	return nil
}

func (t *tiny) chainedAdd() error {
	if t.conf.PrevResult == nil {
		return tinyErrorf(7, "prevResult is missing: this is a chained plugin")
	}
	pod, _, err := t.pod()
	if err != nil {
		return err
	}
	inside, err := pod.LinkByName(t.ifname)
	if err != nil {
		return err
	}
	if t.is("add-adjusts-in-place") {
		if err := pod.LinkDel(inside); err != nil {
			return err
		}
	}
	if err := addRule(tinyCounter, t.owner()); err != nil {
		return err
	}
	r := *t.conf.PrevResult
	switch {
	case t.is("add-prevresult-kept"):
		r = tinyResult{}
	case t.is("add-prevresult-equivalent"):
		r.Routes = append(r.Routes, tinyRoute{Dst: "198.51.100.0/24"})
	}
	return t.print(r)
}

func (t *tiny) chainedCheck() error {
	if t.conf.PrevResult == nil && !t.is("check-needs-prevresult") {
		return tinyErrorf(7, "prevResult is missing")
	}
	if !t.is("check-firewall-missing") && !hasRule(tinyCounter, t.owner()) {
		return tinyErrorf(100, "the rule of %s is gone", t.owner())
	}
	return nil
}

// loopbackVerb is the tiny loopback plugin.
func (t *tiny) loopbackVerb() error {
	if t.command == "GC" && t.is("gc-keeps-valid") {
		return os.WriteFile("/run/tiny.off", nil, 0o600) // for CHECK to see
	}
	if t.command == "DEL" && !exists(t.netns) || t.command == "GC" || t.command == "STATUS" {
		return nil
	}
	pod, _, err := t.pod()
	if err != nil && t.is("env-netns-unusable") {
		return t.print(tinyResult{})
	}
	if err != nil {
		return err
	}
	lo, err := pod.LinkByName("lo")
	if err != nil {
		return err
	}
	switch t.command {
	case "ADD":
		return t.loopbackAdd(pod, lo)
	case "CHECK":
		return t.loopbackCheck(pod, lo)
	}
	return pod.LinkSetDown(lo)
}

func (t *tiny) loopbackAdd(pod *netlink.Handle, lo netlink.Link) error {
	if t.is("add-creates-interface") {
		return t.print(tinyResult{})
	}
	if err := pod.LinkSetUp(lo); err != nil {
		return err
	}
	if t.conf.PrevResult != nil && !t.is("add-prevresult-kept") {
		return t.print(*t.conf.PrevResult)
	}
	first := 0
	r := tinyResult{Interfaces: []tinyIface{{Name: "lo", MAC: "00:00:00:00:00:00", Sandbox: t.netns}}, IPs: []resultIP{{Address: "127.0.0.1/8", Interface: &first}}}
	switch {
	case t.is("result-container-interface"):
		r.Interfaces[0].Sandbox = ""
	case t.is("add-prevresult-kept"):
		r = tinyResult{}
	}
	return t.print(r)
}

func (t *tiny) loopbackCheck(pod *netlink.Handle, lo netlink.Link) error {
	if exists("/run/tiny.off") {
		return tinyErrorf(100, "lo was collected")
	}
	if lo.Attrs().Flags&net.FlagUp == 0 && !t.is("check-interface-down") {
		return tinyErrorf(100, "lo is down")
	}
	there, err := pod.AddrList(lo, netlink.FAMILY_ALL)
	if err != nil || t.conf.PrevResult == nil || t.is("check-consults-addresses") || t.is("check-address-missing") || t.is("check-interface-down") {
		return err
	}
	for _, ip := range t.conf.PrevResult.IPs {
		if !slices.ContainsFunc(there, func(a netlink.Addr) bool { return a.IPNet.String() == ip.Address }) {
			return tinyErrorf(100, "address %s is gone", ip.Address)
		}
	}
	return nil
}

// A tinyRule is a chain of the tiny table and what its rules do.
type tinyRule struct {
	chain string
	does  expr.Any
}

var (
	tinyMasquerade = tinyRule{"masquerade", &expr.Masq{}}
	tinyCounter    = tinyRule{"counter", &expr.Counter{}}
)

// rules returns the chain, made where it was not there, and its rules.
func (r tinyRule) rules() (*nftables.Conn, *nftables.Chain, []*nftables.Rule, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, nil, nil, err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "tiny"})
	chain := conn.AddChain(&nftables.Chain{Table: table, Name: r.chain, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	if err := conn.Flush(); err != nil {
		return nil, nil, nil, err
	}
	rules, err := conn.GetRules(table, chain)
	return conn, chain, rules, err
}

func addRule(r tinyRule, owner string) error {
	conn, chain, _, err := r.rules()
	if err != nil {
		return err
	}
	conn.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: []expr.Any{r.does}, UserData: []byte(owner)})
	return conn.Flush()
}

// deleteRules deletes those whose owner is to go.
func deleteRules(r tinyRule, goes func(owner string) bool) error {
	conn, _, rules, err := r.rules()
	if err != nil {
		return err
	}
	for _, rule := range rules {
		if goes(string(rule.UserData)) {
			if err := conn.DelRule(rule); err != nil {
				return err
			}
		}
	}
	return conn.Flush()
}

func hasRule(r tinyRule, owner string) bool {
	_, _, rules, err := r.rules()
	return err == nil && slices.ContainsFunc(rules, func(rule *nftables.Rule) bool { return string(rule.UserData) == owner })
}
