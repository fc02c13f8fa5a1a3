//go:build privileged

package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

// remove takes an owner's elements away, as DEL does.
func (l *lab) remove(o Owner) {
	l.Helper()
	RemoveOwner(l.conn, o)
	if err := l.conn.Flush(); err != nil {
		l.Fatal(err)
	}
}

// attachment is everything a pod can own.
func attachment(o Owner, port uint16, pod4, pod6 netip.Addr) []step {
	return []step{
		HostPort{o, TCP, anyAddress, port, at(pod4, 80), ""}, HostPort{o, UDP, host4, port, at(pod4, 80), ""},
		HostPort{o, TCP, anyAddress, port, at(pod6, 80), ""}, HostPort{o, SCTP, host6, port, at(pod6, 80), ""},
		SpoofCheck{o, fmt.Sprintf("veth%d", port), [6]byte{2, 0, 0, 0, byte(port >> 8), byte(port)}},
	}
}

func bases() []step { return []step{Ruleset{IPv4}, Ruleset{IPv6}, Ruleset{Bridge}} }

func TestRemoveOwnerLeavesOthersAndNothing(t *testing.T) {
	l := newHost(t)
	l.apply(bases()...)
	empty := l.ruleset()
	l.apply(attachment(ownerA, 8080, podA4, podA6)...)
	onlyA := l.ruleset()

	elsewhere := Owner{Network: "other", ContainerID: "a", IfName: "eth0"}
	second := Owner{Network: "net", ContainerID: "a", IfName: "eth1"}
	for i, o := range []Owner{ownerB, elsewhere, second} {
		l.apply(attachment(o, 9000+uint16(i), podB4, podB6)...)
	}
	for _, o := range []Owner{ownerB, elsewhere, second} {
		l.remove(o)
	}
	if got := l.ruleset(); !slices.Equal(got, onlyA) {
		t.Errorf("after the others are gone:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(onlyA, "\n"))
	}
	l.remove(ownerA)
	if got := l.ruleset(); !slices.Equal(got, empty) {
		t.Errorf("after all are gone:\n%s", strings.Join(got, "\n"))
	}
	l.remove(ownerA)
}

func TestRemoveOwnerWithoutTables(t *testing.T) {
	l := newHost(t)
	l.remove(ownerA)
	if got := l.run("nft list ruleset"); got != "" {
		t.Errorf("removing nothing made %s", got)
	}
}

func TestNewestOwnerHasThePort(t *testing.T) {
	l := newHost(t)
	l.apply(bases()...)
	l.apply(attachment(ownerA, 8080, podA4, podA6)...)
	l.apply(attachment(ownerB, 8080, podB4, podB6)...)
	onlyB := l.ruleset()
	for _, s := range attachment(ownerA, 8080, podA4, podA6) {
		err := s.Check(l.conn)
		if err == nil || !strings.Contains(err.Error(), "another attachment") {
			t.Errorf("%s: Check of the former owner says %v", s, err)
		}
	}
	l.remove(ownerA)
	if got := l.ruleset(); !slices.Equal(got, onlyB) {
		t.Errorf("the former owner's DEL changed\n%s\nto\n%s", strings.Join(onlyB, "\n"), strings.Join(got, "\n"))
	}
}

// TestReplacedPodKeepsAddress: the new pod can get the leaked one's address.
func TestReplacedPodKeepsAddress(t *testing.T) {
	l := newHost(t)
	l.apply(bases()...)
	l.apply(attachment(ownerA, 8080, podA4, podA6)...)
	l.apply(attachment(ownerB, 8080, podA4, podA6)...)
	l.remove(ownerA)
	for _, s := range attachment(ownerB, 8080, podA4, podA6) {
		if err := s.Check(l.conn); err != nil {
			t.Error(err)
		}
	}
}

func TestCollectKeepsTheLivingAndOtherNetworks(t *testing.T) {
	l := newHost(t)
	l.apply(bases()...)
	elsewhere := Owner{Network: "other", ContainerID: "a", IfName: "eth0"}
	l.apply(attachment(ownerB, 9001, podB4, podB6)...)
	l.apply(attachment(elsewhere, 9002, podB4, podB6)...)
	want := l.ruleset()
	for i := range uint16(3 * collectAtOnce / 2) {
		gone := Owner{Network: "net", ContainerID: fmt.Sprint("gone", i), IfName: "eth0"}
		l.apply(attachment(gone, 10000+i, podA4, podA6)...)
	}
	if err := Collect(l.conn, "net", []Owner{ownerB}); err != nil {
		t.Fatal(err)
	}
	if got := l.ruleset(); !slices.Equal(got, want) {
		t.Errorf("collected too much or too little:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFlushedTable: an administrator's nft flush removes the rules, indexes
// among them, and leaves the elements.
func TestFlushedTable(t *testing.T) {
	for name, removal := range map[string]func(*lab){
		"DEL": func(l *lab) { l.remove(ownerA) },
		"GC": func(l *lab) {
			if err := Collect(l.conn, "net", nil); err != nil {
				l.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newHost(t)
			l.apply(bases()...)
			empty := l.ruleset()
			l.apply(attachment(ownerA, 8080, podA4, podA6)...)
			l.run("nft flush table ip mascri; nft flush table ip6 mascri; nft flush table bridge mascri")
			for _, s := range bases() {
				if err := s.Check(l.conn); err == nil {
					t.Errorf("Check of %v passes on a flushed table", s)
				}
			}
			removal(l)
			l.apply(bases()...)
			if got := l.ruleset(); !slices.Equal(got, empty) {
				t.Errorf("left after a flush and the removal:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

// TestParallel has many attachments fight for the same ports from different
// connections: the owner of each port has to be one that asked, and when all
// are gone nothing is left.
func TestParallel(t *testing.T) {
	l := newHost(t)
	l.apply(bases()...)
	empty := l.ruleset()
	const rounds, fighters = 10, 6
	conns := make([]*Conn, fighters)
	for i := range conns {
		conn, err := Open() // here: another goroutine's thread is in another namespace
		if err != nil {
			t.Fatal(err)
		}
		defer l.close(conn)
		conns[i] = conn
	}
	var all sync.WaitGroup
	for i, conn := range conns {
		all.Go(func() {
			o := Owner{Network: "net", ContainerID: fmt.Sprint(i), IfName: "eth0"}
			for range rounds {
				for _, s := range attachment(o, 8080, podA4, podA6)[:4] {
					if err := s.Apply(conn); err != nil {
						t.Error(err)
					}
				}
				if err := conn.Flush(); err != nil {
					t.Errorf("fighter %d adds: %v", i, err)
				}
				RemoveOwner(conn, o)
				if err := conn.Flush(); err != nil {
					t.Errorf("fighter %d removes: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	if got := l.ruleset(); !slices.Equal(got, empty) {
		t.Errorf("left after everybody removed theirs:\n%s", strings.Join(got, "\n"))
	}
}
