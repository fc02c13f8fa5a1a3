//go:build privileged

package differential

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// A scenario is one configuration and what is done with it.
type scenario struct {
	name    string
	version string   // cniVersion, "1.0.0" where it is empty
	plugins []string // the chain, as JSON; name and cniVersion are added
	args    string   // CNI_ARGS
	prepare string   // a shell script, run on the node first; POD is the pod
	later   string   // another, run before CHECK
	second  bool     // a second pod is attached as well, after the first, without runtimeConfig
	rival   bool     // a second pod is attached with the first one's runtimeConfig
	blind   bool     // DEL gets neither the namespace nor a prevResult
	lo      bool     // the pod's lo stays down: it is the subject
	says    string   // ADD fails, with this in the reference's message
	ports   []hostPort
	spoof   bool // look what becomes of frames with a foreign MAC
	vlans   bool // where the kernel cannot filter VLANs, ADD fails
}

// A hostPort is a port that the outside tries.
type hostPort struct {
	protocol string // "tcp" or "udp"
	port     int
}

// networkName is the name of every scenario's network.
const networkName = "lab"

// run runs the scenario with the lab's implementation.
func (l *lab) run(s scenario) observation {
	l.Helper()
	if s.vlans && !l.filtersVLANs() {
		s.says = "operation not supported"
	}
	r := run{lab: l, scenario: s, seen: observation{}}
	netns := l.pod()
	if s.lo {
		l.sh("nsenter --net=" + netns + " ip link set lo down")
	}
	if s.prepare != "" {
		l.sh(strings.NewReplacer("POD", netns, "DATA", l.data).Replace(s.prepare))
	}
	if !r.attach("add", "pod-one", netns) {
		r.kernel("after the failed ADD")
		r.detach("DEL after the failed ADD", "pod-one", netns)
		return r.seen
	}
	if s.second || s.rival {
		r.without = s.second
		r.attach("second ADD", "pod-two", l.pod())
		r.without = false
	}
	r.kernel("after ADD")
	r.packets()
	r.sh(s.later)
	r.verify("pod-one", netns)
	r.detach("DEL", "pod-one", netns)
	r.kernel("after DEL")
	r.detach("repeated DEL", "pod-one", netns)
	return r.seen
}

// A run is a scenario under way.
type run struct {
	*lab
	scenario
	seen    observation
	result  object   // of the first pod's ADD
	without bool     // what follows gets no runtimeConfig
	hosts   []string // the host ends of veth pairs, as they were first seen
}

// plugin completes the configuration of the chain's i-th plugin.
func (r *run) plugin(i int, prev object) object {
	p := r.object(r.plugins[i])
	p["name"], p["cniVersion"] = networkName, r.cniVersion()
	if prev != nil {
		p["prevResult"] = prev
	}
	if r.without {
		delete(p, "runtimeConfig")
	}
	return p
}

func (r *run) cniVersion() string {
	if r.version == "" {
		return "1.0.0"
	}
	return r.version
}

// attach runs ADD through the chain, and tells whether it succeeded.
func (r *run) attach(stage, id, netns string) bool {
	var prev object
	for i := range r.plugins {
		c := call{command: "ADD", id: id, netns: netns, plugin: r.plugin(i, prev), args: r.args}
		a := r.execute(c)
		r.answer(fmt.Sprintf("%s/%s", stage, c.plugin["type"]), a)
		if a.exit != 0 {
			return false
		}
		prev = object{}
		if err := json.Unmarshal([]byte(a.stdout), &prev); err != nil {
			r.Errorf("%s: the result is no JSON object: %v\n%s", stage, err, a.stdout)
			return false
		}
		r.describe(fmt.Sprintf("%s/%s/result", stage, c.plugin["type"]), prev)
	}
	if r.result == nil {
		r.result = prev
	}
	if r.says != "" && stage == "add" && r.implementation == reference {
		r.Errorf("ADD succeeds, the table says that it fails with %q", r.says)
	}
	return true
}

// verify runs CHECK, which came with 0.4.0.
func (r *run) verify(id, netns string) {
	if r.cniVersion() < "0.4.0" {
		return
	}
	for i := range r.plugins {
		c := call{command: "CHECK", id: id, netns: netns, plugin: r.plugin(i, r.result), args: r.args}
		r.answer(fmt.Sprintf("CHECK/%s", c.plugin["type"]), r.execute(c))
	}
}

// detach runs DEL through the chain, backwards; prevResult came with 0.4.0.
func (r *run) detach(stage, id, netns string) {
	prev := r.result
	if r.cniVersion() < "0.4.0" {
		prev = nil
	}
	if r.blind {
		netns, prev = "", nil
	}
	for i := len(r.plugins) - 1; i >= 0; i-- {
		c := call{command: "DEL", id: id, netns: netns, plugin: r.plugin(i, prev), args: r.args}
		r.answer(fmt.Sprintf("%s/%s", stage, c.plugin["type"]), r.execute(c))
	}
}

// filtersVLANs tells whether the kernel's bridges can (CONFIG_BRIDGE_VLAN_FILTERING).
func (l *lab) filtersVLANs() bool {
	return l.sh("ip link add probe type bridge vlan_filtering 1 2>&1 && ip link del probe || true") == ""
}

// answer notes how an execution ended.
func (r *run) answer(stage string, a answer) {
	r.seen[stage+"/exit"] = fmt.Sprint(a.exit)
	if a.exit == 0 {
		return
	}
	var e object
	if err := json.Unmarshal([]byte(a.stdout), &e); err != nil {
		r.seen[stage+"/error"] = "no error object"
		r.Logf("%s: %s%s", stage, a.stdout, a.stderr)
		return
	}
	msg := fmt.Sprint(e["msg"], " ", e["details"])
	r.Logf("%s: %s: code %v %s", r.implementation.name, stage, e["code"], msg)
	r.seen[stage+"/error/code"] = fmt.Sprint(e["code"])
	if strings.HasPrefix(stage, "add/") && (r.says == "" || !strings.Contains(msg, r.says)) {
		r.Errorf("%s: %s ends with %q, the table says %q", r.implementation.name, stage, msg, r.says)
	}
}

// describe notes a result.
func (r *run) describe(stage string, result object) {
	result = maps.Clone(result)
	r.checkMACs(result)
	r.flatten(stage, result)
}
