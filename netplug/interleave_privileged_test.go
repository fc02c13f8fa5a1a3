//go:build privileged

package netplug

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mascri/mascri/netplug/netns"
	"github.com/mascri/mascri/spec"
)

// The size of the random test: each worker has its own containers, and each
// container an interface in every network.
const (
	workers    = 4
	containers = 3 // of a worker
	networks   = 3
)

// A node under random operations. Plugins are processes here, so that they can
// be killed; everything that is known of the live attachments is in live.
type randomNode struct {
	*lab
	namespace string        // the node's
	usual     time.Duration // how long an ADD takes that nobody kills

	running sync.RWMutex // GC runs alone (SPEC section 3, "Lifecycle & Ordering")
	mutex   sync.Mutex   // of live
	live    map[placement]string
}

// A placement is an interface that may be attached: of a container, in the
// network of that number.
type placement struct {
	id      string
	network int
	netns   string
	port    int // of the host
}

func (p placement) attachment() spec.Attachment {
	return spec.Attachment{ContainerID: p.id, IfName: fmt.Sprintf("net%d", p.network)}
}

func networkOf(number int) string { return fmt.Sprintf("lab%d", number) }

// config is the network's, of either address family or both.
func (n *randomNode) config(p placement, keys string) string {
	v4, v6 := fmt.Sprintf(`[{"subnet":"10.88.%d.0/24"}]`, p.network), fmt.Sprintf(`[{"subnet":"fd88:%d::/64"}]`, p.network)
	ranges := []string{v4, v6, v4 + "," + v6}[p.network%3]
	return fmt.Sprintf(`{"cniVersion":"1.1.0","name":%q,"type":"netplug","bridge":"br-lab%d",%s
		"isGateway":true,"ipMasq":true,"macspoofchk":true,"hairpinMode":true,
		"runtimeConfig":{"portMappings":[{"hostPort":%d,"containerPort":80,"protocol":"tcp"}]},
		"ipam":{"type":"ipam","dataDir":%q,"ranges":[%s]}}`, networkOf(p.network), p.network, keys, p.port, n.data, ranges)
}

// exec runs the plugin as a process, and kills it where kill is not 0 after
// that part of the usual time.
func (n *randomNode) exec(command string, p placement, keys string, kill float64) (a answer, killed bool, err error) {
	c := call{command: command, id: p.id, netns: p.netns, ifname: p.attachment().IfName}
	node := *n.lab
	node.linked = rand.IntN(2) == 0 // either way of asking the IPAM plugin, on one store
	cmd := exec.Command(filepath.Join(n.bin, "netplug"))
	cmd.Env, cmd.Stdin = node.environment(c), strings.NewReader(n.config(p, keys))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := netns.Do(n.namespace, cmd.Start); err != nil {
		return a, false, err
	}
	if kill > 0 {
		defer time.AfterFunc(time.Duration(kill*float64(n.usual)), func() { _ = cmd.Process.Kill() }).Stop() // it may be over
	}
	err = cmd.Wait()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		return a, false, err
	}
	return answer{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}, cmd.ProcessState.ExitCode() < 0, nil
}

// mustExec is exec of what has to succeed unless it is killed.
func (n *randomNode) mustExec(command string, p placement, keys string, kill float64) (stdout string, killed bool, err error) {
	a, killed, err := n.exec(command, p, keys, kill)
	if err == nil && !killed && a.code != 0 {
		err = fmt.Errorf("%s %v: %s%s", command, p, a.stdout, a.stderr)
	}
	return a.stdout, killed, err
}

// TestRandomKills interleaves ADD, DEL, CHECK and GC of many containers in
// several networks, a third of them killed somewhere. No two live attachments
// ever have one address, and in the end leases, links and elements of the packet
// filter are those of the live ones.
func TestRandomKills(t *testing.T) {
	operations := 1000
	if testing.Short() {
		operations = 50
	}
	n := &randomNode{lab: newLab(t), live: map[placement]string{}}
	n.namespace = n.node()
	places := n.places()
	started := time.Now()
	for _, p := range []placement{places[0][0], places[0][0]} { // the first one makes the node's part as well
		started = time.Now()
		for _, command := range []string{"ADD", "DEL"} {
			if _, _, err := n.mustExec(command, p, "", 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.usual = time.Since(started) / 2

	var group sync.WaitGroup
	var kills [workers]int
	for worker := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 11))
			for i := range operations / workers {
				killed, err := n.operate(random, places[worker], i%40 == 39)
				if err != nil {
					t.Error(err)
					return
				}
				if killed {
					kills[worker]++
				}
			}
		})
	}
	group.Wait()
	t.Logf("%v a command, killed %v, %d live at the end", n.usual, kills, len(n.live))
	n.compare()
	for p, result := range n.live {
		if _, _, err := n.mustExec("CHECK", p, `"prevResult":`+result+`,`, 0); err != nil {
			t.Error(err)
		}
	}
	n.live = map[placement]string{} // a runtime that lost everything: one GC a network cleans up
	if _, err := n.collect(0); err != nil {
		t.Error(err)
	}
	n.compare()
}

// places makes the pods and what can be attached to them, by worker.
func (n *randomNode) places() (all [workers][]placement) {
	port := 20000
	for worker := range workers {
		for c := range containers {
			pod := n.pod()
			for network := range networks {
				port++
				all[worker] = append(all[worker], placement{fmt.Sprintf("pod-%d-%d", worker, c), network, pod, port})
			}
		}
	}
	return all
}

// operate does one thing that a runtime does: GC alone, the rest beside others.
func (n *randomNode) operate(random *rand.Rand, mine []placement, gc bool) (killed bool, err error) {
	kill := 0.0
	if random.IntN(3) == 0 {
		kill = random.Float64()
	}
	if gc {
		n.running.Lock()
		defer n.running.Unlock()
		return n.collect(kill)
	}
	n.running.RLock()
	defer n.running.RUnlock()
	p := mine[random.IntN(len(mine))]
	result, attached := n.result(p)
	switch {
	case !attached:
		return n.attach(p, kill)
	case random.IntN(2) == 0:
		_, killed, err = n.mustExec("CHECK", p, `"prevResult":`+result+`,`, kill)
		return killed, err
	default:
		return n.detach(p, kill)
	}
}

func (n *randomNode) result(p placement) (string, bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	result, ok := n.live[p]
	return result, ok
}

// attach is ADD, and DEL where it was killed, as SPEC section 3 asks.
func (n *randomNode) attach(p placement, kill float64) (killed bool, err error) {
	stdout, killed, err := n.mustExec("ADD", p, "", kill)
	if err != nil {
		return false, err
	}
	if killed {
		_, err := n.detach(p, 0)
		return true, err
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for other, result := range n.live {
		for _, address := range addressesOf(result) {
			if slices.Contains(addressesOf(stdout), address) {
				return false, fmt.Errorf("%v and %v have %s", p, other, address)
			}
		}
	}
	n.live[p] = stdout
	return false, nil
}

// detach is DEL until one comes through. From the first on the addresses may be
// somebody else's.
func (n *randomNode) detach(p placement, kill float64) (killed bool, err error) {
	n.mutex.Lock()
	delete(n.live, p)
	n.mutex.Unlock()
	_, killed, err = n.mustExec("DEL", p, "", kill)
	if err == nil && killed {
		_, _, err = n.mustExec("DEL", p, "", 0)
	}
	return killed, err
}

// collect is GC of each network with what is live; killed, it is repeated.
func (n *randomNode) collect(kill float64) (killed bool, err error) {
	for network := range networks {
		valid := []spec.Attachment{}
		for p := range n.live {
			if p.network == network {
				valid = append(valid, p.attachment())
			}
		}
		list, err := json.Marshal(valid)
		if err != nil {
			return killed, err
		}
		keys := `"cni.dev/valid-attachments":` + string(list) + `,`
		_, died, err := n.mustExec("GC", placement{network: network}, keys, kill)
		if err == nil && died {
			killed = true
			_, _, err = n.mustExec("GC", placement{network: network}, keys, 0)
		}
		if err != nil {
			return killed, err
		}
	}
	return killed, nil
}

// addressesOf are a result's, without their lengths.
func addressesOf(result string) (all []string) {
	var r parsed
	if json.Unmarshal([]byte(result), &r) != nil {
		return []string{"no result"}
	}
	for i := range r.IPs {
		all = append(all, r.ip(i))
	}
	return all
}

// compare wants the leases, links and elements of the live attachments.
func (n *randomNode) compare() {
	n.Helper()
	var leases, links, comments []string
	for p, result := range n.live {
		for _, address := range addressesOf(result) {
			leases = append(leases, fmt.Sprintf("%s/%s=%s\r\n%s", networkOf(p.network), address, p.id, p.attachment().IfName))
		}
		links = append(links, hostEnd(networkOf(p.network), p.attachment()))
		comments = append(comments, networkOf(p.network)+"/"+p.attachment().String())
	}
	n.same("leases", n.leases(), leases)
	n.same("links", strings.Fields(n.sh(`ip -br link show type veth | cut -d@ -f1`)), links)
	n.same("owners of elements", matches(`(lab\d/pod-\d-\d/net\d)"`, n.sh("nft list ruleset")), comments)
	if chains := matches(`chain (pod-[0-9a-f-]*) `, n.sh("nft list table ip mascri; nft list table ip6 mascri")); len(chains) < len(n.live) || len(n.live) == 0 && len(chains) > 0 {
		n.Errorf("%d attachments have the chains %v", len(n.live), chains)
	}
}

func (n *randomNode) leases() (found []string) {
	n.Helper()
	paths, err := filepath.Glob(filepath.Join(n.data, "lab*", "*[.:]*"))
	if err != nil {
		n.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasPrefix(filepath.Base(path), "last_reserved_ip") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			n.Fatal(err)
		}
		name, err := filepath.Rel(n.data, path)
		if err != nil {
			n.Fatal(err)
		}
		found = append(found, name+"="+string(content))
	}
	return found
}

// matches are what the pattern's group matches.
func matches(pattern, text string) (found []string) {
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// same compares two sets.
func (n *randomNode) same(what string, got, want []string) {
	n.Helper()
	for _, list := range []*[]string{&got, &want} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if !slices.Equal(got, want) {
		n.Errorf("%s: %q, want those of the live attachments: %q", what, got, want)
	}
}
