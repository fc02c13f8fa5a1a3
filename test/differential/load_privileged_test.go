//go:build privileged

package differential

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// busyAddresses are as many as kube-proxy's IPVS mode gives a node in a large
// cluster. A list of them takes several messages, and one that something changed
// meanwhile is marked (NLM_F_DUMP_INTR).
const busyAddresses = 10000

// busy gives the node so many.
func (l *lab) busy() {
	l.Helper()
	l.sh(fmt.Sprintf(`{
for link in services one two; do echo link add $link type bridge; echo link set $link up; done
seq 1 %d | while read i; do echo addr add 10.96.$((i / 250)).$((i %% 250 + 1))/32 dev services; done
} | ip -batch -`, busyAddresses))
}

// A change is one that somebody makes, and takes back.
type change func(*lab) func() error

// meanwhile repeats the changes, each in a goroutine, until the test or end ends
// them.
func (l *lab) meanwhile(changes ...change) (end func()) {
	l.Helper()
	stop := make(chan struct{})
	var group sync.WaitGroup
	for i, prepare := range changes {
		make := prepare(l)
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					l.Logf("change %d was made %d times", i, n)
					return
				default:
				}
				if err := make(); err != nil {
					l.Errorf("change %d: %v", i, err)
					return
				}
			}
		})
	}
	end = sync.OnceFunc(func() { close(stop); group.Wait() })
	l.Cleanup(end)
	return end
}

// routing is a socket of the test's own to the node.
func (l *lab) routing() *netlink.Handle {
	l.Helper()
	at, err := netns.GetFromPath(l.node)
	if err != nil {
		l.Fatal(err)
	}
	defer at.Close()
	h, err := netlink.NewHandleAt(at, unix.NETLINK_ROUTE)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(h.Close)
	return h
}

// address comes and goes on a link.
func address(text, link string) change {
	return func(l *lab) func() error {
		h := l.routing()
		on, err := h.LinkByName(link)
		if err != nil {
			l.Fatal(err)
		}
		a, err := netlink.ParseAddr(text)
		if err != nil {
			l.Fatal(err)
		}
		return func() error { return errors.Join(h.AddrAdd(on, a), h.AddrDel(on, a)) }
	}
}

// table is somebody else's in the packet filter.
func table(l *lab) func() error {
	at, err := netns.GetFromPath(l.node)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { at.Close() })
	conn, err := nftables.New(nftables.WithNetNSFd(int(at)), nftables.AsLasting())
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { conn.CloseLasting() })
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "somebodys"}
	return func() error {
		conn.AddTable(table)
		if err := conn.Flush(); err != nil {
			return err
		}
		conn.DelTable(table)
		return conn.Flush()
	}
}

// interruptedDumps attaches pods while addresses change. It complains of what
// fails, and of what succeeds although it takes an interrupted list for the
// whole, which the reference admits on stderr. Whether a list is interrupted is a
// matter of luck, the more where processors are short: the reference, which mostly
// needs a few rounds for it, may have many.
func interruptedDumps(l *lab) string {
	rounds := 30
	if l.implementation == reference {
		rounds = 600
	}
	l.busy()
	l.meanwhile(address("10.97.0.1/32", "one"), address("10.98.0.1/32", "two"))
	config := bridge(`"isDefaultGateway":true,` + v4)
	for i := range rounds {
		p := sandbox{id: fmt.Sprintf("pod-%d", i), netns: l.pod()}
		var result object
		for _, command := range []string{"ADD", "CHECK", "DEL"} {
			var a answer
			result, a = l.verb(command, p, result, config)
			if a.exit != 0 || strings.Contains(a.stderr, "discarding ErrDumpInterrupted") {
				return fmt.Sprintf("%s, number %d: exit %d %s%.200s", command, i, a.exit, a.stdout, a.stderr)
			}
		}
	}
	return ""
}

// TestBusyNode does what our plugins have to read the most for while all of it
// changes: no command fails, CHECK finds what ADD made, and GC everything that is
// stale.
func TestBusyNode(t *testing.T) {
	for name, changes := range map[string][]change{
		"addresses":     {address("10.97.0.1/32", "one"), address("fd97::1/128", "two")},
		"packet filter": {table},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, ours)
			l.busy()
			before := l.attached()
			end := l.meanwhile(changes...)
			chain := []string{bridge(`"isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,` + dual),
				`{"type":"portmap","runtimeConfig":{"portMappings":[{"hostPort":8000,"containerPort":8080,"protocol":"udp"}]}}`}
			must := func(command string, p sandbox, prev object, chain ...string) object {
				t.Helper()
				result, a := l.verb(command, p, prev, chain...)
				if a.exit != 0 {
					t.Errorf("%s of %s: %s%s", command, p.id, a.stdout, a.stderr)
				}
				return result
			}
			for i := range 10 {
				p := sandbox{id: fmt.Sprintf("pod-%d", i), netns: l.pod()}
				result := must("ADD", p, nil, chain...)
				must("CHECK", p, result, chain...)
				if i%2 == 0 {
					must("DEL", p, result, chain...)
				}
			}
			for _, plugin := range chain {
				must("GC", sandbox{}, nil, strings.Replace(plugin, "{", `{"cni.dev/valid-attachments":[],`, 1))
			}
			end()
			if after := l.attached(); after != before {
				t.Errorf("the links and leases were\n%s\nand are\n%s", before, after)
			}
			if left := l.sh("nft list ruleset | grep -e pod- || true"); left != "" {
				t.Errorf("left in the packet filter:\n%s", left)
			}
		})
	}
}
