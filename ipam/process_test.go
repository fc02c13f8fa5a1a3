package ipam

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mascri/mascri/spec"
)

// The test binary is the plugin when this is in its environment; the value is
// the change of the disk before which it kills itself, 0 = never.
const (
	killVariable = "IPAM_TEST_KILL_BEFORE_CHANGE"
	bootVariable = "IPAM_TEST_BOOT_ID_FILE"
)

func TestMain(m *testing.M) {
	if limit, ok := os.LookupEnv(killVariable); ok {
		armKill(limit)
		bootIDFile = os.Getenv(bootVariable)
		spec.Main(Plugin())
	}
	os.Exit(m.Run())
}

func armKill(limit string) {
	left, err := strconv.Atoi(limit)
	if err != nil {
		panic(err)
	}
	beforeChange = func() {
		if left--; left == 0 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				panic(err)
			}
			select {}
		}
	}
}

// exec runs a verb in a process of its own; killed tells that it did not end
// by itself. It may be called from any goroutine.
func (n *node) exec(command, id string, killBefore int) (a answer, killed bool, err error) {
	var stdout bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(environment(command, id, "eth0", n.args), killVariable+"="+strconv.Itoa(killBefore), bootVariable+"="+bootIDFile)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(n.config()), &stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return answer{}, true, nil
		}
		err = nil
	}
	if err == nil && stdout.Len() > 0 {
		err = json.Unmarshal(stdout.Bytes(), &a)
	}
	return a, false, err
}

// TestManyProcesses: 200 ADDs at once, 200 different addresses.
func TestManyProcesses(t *testing.T) {
	n := newNode(t, dualStack)
	const count = 200
	var group sync.WaitGroup
	answers := make([]answer, count)
	for i := range count {
		group.Go(func() {
			a, _, err := n.exec("ADD", "c"+strconv.Itoa(i), 0)
			if err != nil {
				a.Msg = err.Error()
			}
			answers[i] = a
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for i, a := range answers {
		if a.Code != 0 || len(a.IPs) != 2 {
			t.Fatalf("ADD c%d: %+v", i, a)
		}
		for _, ip := range a.IPs {
			if seen[ip.Address] {
				t.Errorf("%s is handed out twice", ip.Address)
			}
			seen[ip.Address] = true
		}
	}
	n.consistent()
}

func TestManyGoroutines(t *testing.T) {
	n := newNode(t, `"subnet":"10.1.0.0/16"`)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			owner := "c" + strconv.Itoa(i)
			if a := n.run("ADD", owner); a.Code != 0 {
				t.Errorf("ADD %s: %s", owner, a.Msg)
			}
			if i%2 == 0 {
				if a := n.run("DEL", owner); a.Code != 0 {
					t.Errorf("DEL %s: %s", owner, a.Msg)
				}
			}
		})
	}
	group.Wait()
	if got := len(n.leases()); got != 100 {
		t.Errorf("%d leases, want 100", got)
	}
	n.consistent()
}

// maxChanges bounds the loop below; a command changes the disk some 40 times.
const maxChanges = 500

// TestKilledBeforeEachChange kills each kind of command before each single
// change that it makes to the disk. Then a live lease is still there, the next
// ADD of another container works, DEL gives back, and nothing is left over.
func TestKilledBeforeEachChange(t *testing.T) {
	for _, test := range []struct {
		name, command string
		prepare       func(*node)
	}{
		{"first ADD", "ADD", func(n *node) { n.remove("") }},
		{"ADD", "ADD", func(*node) {}},
		{"ADD after host-local", "ADD", func(n *node) { n.write("10.1.2.60", "host\r\neth0"); n.write("10.1.2.61", "") }},
		{"ADD after a reboot", "ADD", func(n *node) { otherBoot(t, "boot-2"); n.remove("10.1.2.2"); n.write("10.1.2.2", "live\r\neth0") }},
		{"DEL", "DEL", func(n *node) { n.must("ADD", "victim") }},
		{"DEL after host-local", "DEL", func(n *node) { n.must("ADD", "victim"); n.write("10.1.2.61", "") }},
		{"GC", "GC", func(n *node) { n.must("ADD", "victim"); n.valid("live/eth0", "host/eth0", "next/eth0") }},
		{"STATUS", "STATUS", func(n *node) { n.write("10.1.2.61", "") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for change := 1; ; change++ {
				if change > maxChanges {
					t.Fatalf("still killed before change %d", change)
				}
				otherBoot(t, "boot-1")
				n := newNode(t, dualStack)
				n.must("ADD", "live")
				test.prepare(n)
				stay := slices.DeleteFunc(n.leases(), func(l string) bool { return !strings.HasSuffix(l, "=host/eth0") && !strings.HasSuffix(l, "=live/eth0") })
				_, killed, err := n.exec(test.command, "victim", change)
				if err != nil {
					t.Fatal(err)
				}
				n.recovers(change, stay)
				if !killed {
					t.Logf("%d changes", change-1)
					return
				}
			}
		})
	}
}

// recovers is what must hold after any kill.
func (n *node) recovers(change int, stay []string) {
	n.t.Helper()
	for _, lease := range n.leases() {
		if strings.HasSuffix(lease, "=") && !strings.HasPrefix(lease, "10.1.2.61=") {
			n.t.Fatalf("change %d: empty lease %s", change, lease)
		}
	}
	n.must("ADD", "next")
	n.must("DEL", "victim")
	n.must("DEL", "next")
	if bootOf(n.t) == "boot-2" { // v6 of the first boot is rightly gone
		stay = slices.DeleteFunc(stay, func(l string) bool { return strings.HasPrefix(l, "fd00") })
	}
	n.holds(stay...)
	n.consistent()
}

func bootOf(t testing.TB) string {
	t.Helper()
	id, err := os.ReadFile(bootIDFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

// TestRandomKills interleaves ADD, DEL, CHECK and GC of many containers in
// many processes, a third of which are killed somewhere. In the end the leases
// are those of the live containers.
func TestRandomKills(t *testing.T) {
	operations := 1000
	if testing.Short() {
		operations = 100
	}
	const workers = 8
	n := newNode(t, dualStack)
	n.valid()
	var group sync.WaitGroup
	live := make([]map[string]string, workers)
	var running sync.RWMutex // a runtime runs GC alone (section 3, "Lifecycle & Ordering")
	collect := func(random *rand.Rand) {
		running.Lock()
		defer running.Unlock()
		var valid []string
		for _, mine := range live {
			for id := range mine {
				valid = append(valid, "w"+id+"/eth0")
			}
		}
		n.valid(valid...)
		if a, _, err := n.exec("GC", "", random.IntN(60)); err != nil || a.Code != 0 {
			t.Errorf("GC: %s %v", a.Msg, err)
		}
	}
	for worker := range workers {
		live[worker] = map[string]string{}
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 7))
			for i := range operations / workers {
				if i%20 == 19 {
					collect(random)
				}
				running.RLock()
				err := n.randomOperation(random, live[worker], strconv.Itoa(worker)+"-"+strconv.Itoa(i%5))
				running.RUnlock()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	var want []string
	for _, mine := range live {
		for id, addresses := range mine {
			for addr := range strings.FieldsSeq(addresses) {
				want = append(want, addr+"=w"+id+"/eth0")
			}
		}
	}
	n.holds(want...)
	n.must("STATUS", "")
	n.consistent()

	n.valid() // a runtime that lost everything: one GC cleans up
	n.must("GC", "")
	n.holds()
}

// randomOperation attaches or detaches a container, perhaps killed on the way;
// as a runtime does, a failed ADD is followed by DEL, and DEL is repeated.
func (n *node) randomOperation(random *rand.Rand, live map[string]string, id string) error {
	kill := 0
	if random.IntN(3) == 0 {
		kill = 1 + random.IntN(30)
	}
	if _, attached := live[id]; !attached {
		a, killed, err := n.exec("ADD", "w"+id, kill)
		if err != nil {
			return err
		}
		if !killed && a.Code == 0 {
			live[id] = a.addresses()
			return nil
		}
		if !killed {
			return errors.New("ADD " + id + ": " + a.Msg)
		}
	} else if random.IntN(2) == 0 {
		a, _, err := n.exec("CHECK", "w"+id, kill)
		if err == nil && a.Code != 0 {
			err = errors.New("CHECK " + id + ": " + a.Msg)
		}
		return err
	}
	for try := kill; ; try = 0 {
		a, killed, err := n.exec("DEL", "w"+id, try)
		if err == nil && a.Code != 0 {
			err = errors.New("DEL " + id + ": " + a.Msg)
		}
		if err != nil || !killed {
			delete(live, id)
			return err
		}
	}
}
