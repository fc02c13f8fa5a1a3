//go:build privileged

package filter

import (
	"fmt"
	"golang.org/x/sys/unix"
	"testing"
	"time"
)

func TestCost(t *testing.T) {
	l := newHost(t)
	l.apply(append(bases(), node()...)...)
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			o := Owner{Network: "net", ContainerID: fmt.Sprint("full", i), IfName: "eth0"}
			for _, s := range []step{HostPort{o, TCP, anyAddress, uint16(10000 + i), at(podB4, 80), ""}} {
				if err := s.Apply(l.conn); err != nil {
					t.Fatal(err)
				}
			}
			if i%200 == 199 {
				if err := l.conn.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, m := range []int{0, 1000, 5000, 10000} {
		start := cpu()
		fill(n, m)
		n = m
		t.Log(m, "filled in", cpu()-start)
		var add, del, node_, noop time.Duration
		const rounds = 100
		for range rounds {
			s := cpu()
			for _, st := range node() {
				if err := st.Apply(l.conn); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.conn.Flush(); err != nil {
				t.Fatal(err)
			}
			node_ += (cpu() - s)
			s = cpu()
			for _, st := range append(node(), HostPort{ownerA, TCP, anyAddress, 8080, at(podA4, 80), ""}, HostPort{ownerA, UDP, anyAddress, 8080, at(podA4, 80), ""}) {
				if err := st.Apply(l.conn); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.conn.Flush(); err != nil {
				t.Fatal(err)
			}
			add += (cpu() - s)
			s = cpu()
			RemoveOwner(l.conn, ownerA)
			if err := l.conn.Flush(); err != nil {
				t.Fatal(err)
			}
			del += (cpu() - s)
			s = cpu()
			RemoveOwner(l.conn, ownerA)
			if err := l.conn.Flush(); err != nil {
				t.Fatal(err)
			}
			noop += (cpu() - s)
		}
		t.Log(m, "node", node_/rounds, "add", add/rounds, "del", del/rounds, "noop del", noop/rounds)
	}
}

func cpu() time.Duration {
	var r unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
