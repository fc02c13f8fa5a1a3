//go:build privileged

package filter

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCostDoesNotGrow measures what adding and removing an attachment costs on a
// node with no host ports and with 5,000. Processor time, because the machine
// may have other work; with a margin, because it is not that exact either.
func TestCostDoesNotGrow(t *testing.T) {
	l := newHost(t)
	l.apply(node()...)
	empty := l.addAndRemove()
	for i := range 5000 {
		o := Owner{Network: "net", ContainerID: fmt.Sprint("full", i), IfName: "eth0"}
		if err := (HostPort{Owner: o, Protocol: TCP, HostPort: uint16(10000 + i), Pod: at(podB4, 80)}).Apply(l.conn); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 {
			if err := l.conn.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	full := l.addAndRemove()
	t.Logf("an ADD and DEL of 2 host ports: %v with none, %v with 5,000", empty, full)
	if full > 2*empty {
		t.Errorf("an ADD and DEL of 2 host ports cost %v with none and %v with 5,000", empty, full)
	}
}

// addAndRemove is the least processor time that an ADD and DEL took.
func (l *lab) addAndRemove() time.Duration {
	l.Helper()
	least := time.Hour
	for range 50 {
		before := l.processorTime()
		for _, s := range append(node(),
			HostPort{Owner: ownerA, Protocol: TCP, HostPort: 8080, Pod: at(podA4, 80)},
			HostPort{Owner: ownerA, Protocol: TCP, HostPort: 8081, Pod: at(podA4, 81)}) {
			if err := s.Apply(l.conn); err != nil {
				l.Fatal(err)
			}
		}
		if err := l.conn.Flush(); err != nil {
			l.Fatal(err)
		}
		RemoveOwner(l.conn, ownerA)
		if err := l.conn.Flush(); err != nil {
			l.Fatal(err)
		}
		least = min(least, l.processorTime()-before)
	}
	return least
}

func (l *lab) processorTime() time.Duration {
	l.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		l.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
