package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/version"
)

// probe is what a row's check works with: a fresh host, the plugin under test
// and the record of what happened. Its methods end the check by a verdict, as
// testing.T.Fatal ends a test; a check that returns has passed.
type probe struct {
	ctx     context.Context
	target  Target
	unit    unit
	host    host
	timeout time.Duration
	events  []Event
	count   int    // attachments made
	path    string // CNI_PATH
}

// attachment is one interface of one container in the network.
type attachment struct {
	n      int
	id     string // CNI_CONTAINERID
	netns  string // CNI_NETNS
	ifname string // CNI_IFNAME
	prev   map[string]any
	final  map[string]any // the plugin's own result, once it was added
}

// verdict ends a check early.
type verdict struct {
	status Status
	reason string
}

// violated ends the check: the plugin broke the row's requirement.
func (p *probe) violated(format string, args ...any) {
	panic(verdict{Fail, fmt.Sprintf(format, args...)})
}

// inapplicable ends the check: the requirement does not concern this plugin
// or configuration.
func (p *probe) inapplicable(format string, args ...any) {
	panic(verdict{NotApplicable, fmt.Sprintf(format, args...)})
}

// blocked ends the check: it could not get as far as the requirement.
func (p *probe) blocked(format string, args ...any) {
	panic(verdict{Blocked, fmt.Sprintf(format, args...)})
}

// must ends the check where the suite itself could not do something.
func (p *probe) must(err error) {
	if err != nil {
		p.blocked("the suite could not go on: %v", err)
	}
}

// note records something the suite did.
func (p *probe) note(format string, args ...any) {
	p.events = append(p.events, Event{Note: fmt.Sprintf(format, args...)})
}

// since ends the check where the configuration's version has no such command.
func (p *probe) since(oldest, what string) {
	if !p.atLeast(oldest) {
		p.inapplicable("%s exists since version %s; the configuration has cniVersion %s", what, oldest, p.version())
	}
}

// version is the configuration's; stage put a string there.
func (p *probe) version() string { return p.unit.config["cniVersion"].(string) }

// atLeast compares it.
func (p *probe) atLeast(oldest string) bool {
	newer, err := version.GreaterThanOrEqualTo(p.version(), oldest)
	p.must(err)
	return newer
}

// attachment makes a pod and runs the plugins before the one under test.
func (p *probe) attachment() *attachment {
	netns, err := p.host.newPod()
	p.must(err)
	return p.attachmentIn(netns, p.ifname())
}

func (p *probe) ifname() string {
	if p.unit.Kind == Loopback {
		return "lo"
	}
	return "eth0"
}

// attachmentIn is one of another container ID in a pod that is there.
func (p *probe) attachmentIn(netns, ifname string) *attachment {
	p.count++
	a := &attachment{n: p.count, id: containerID(p.count), netns: netns, ifname: ifname}
	p.runBefore(a)
	return a
}

func containerID(n int) string { return "conformance-" + strconv.Itoa(n) }

// runBefore adds a by the plugins before the one under test; it ends with
// their result in a.prev.
func (p *probe) runBefore(a *attachment) {
	for _, s := range p.unit.before {
		call := p.run(p.request(s, "ADD", a))
		if call.Exit != 0 || call.Trouble != "" {
			p.blocked("%s, which comes before %s in the list, could not ADD", filepath.Base(s.binary), p.unit.Type)
		}
		var result map[string]any
		if err := json.Unmarshal([]byte(call.Stdout), &result); err != nil {
			p.blocked("%s, which comes before %s in the list, printed no result: %v", filepath.Base(s.binary), p.unit.Type, err)
		}
		a.prev = result
	}
}

// request is what a runtime would send for a: section 3, "Deriving request
// configuration". a is nil for GC, STATUS and VERSION.
func (p *probe) request(s stage, command string, a *attachment) request {
	r := request{binary: s.binary, config: maps.Clone(s.config), env: map[string]string{
		"PATH":        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"CNI_COMMAND": command,
		"CNI_PATH":    p.path,
	}}
	if a == nil {
		return r
	}
	r.env["CNI_CONTAINERID"], r.env["CNI_NETNS"], r.env["CNI_IFNAME"] = a.id, a.netns, a.ifname
	if args := p.target.runtimeConfig(s, a.n); args != nil {
		r.config["runtimeConfig"] = args
	}
	previous := a.prev
	if command != "ADD" && a.final != nil {
		previous = a.final
	}
	if previous != nil {
		r.config["prevResult"] = previous
	}
	return r
}

// call runs the plugin under test.
func (p *probe) call(command string, a *attachment, options ...option) *Call {
	r := p.request(p.unit.stage, command, a)
	for _, change := range options {
		change(&r)
	}
	return p.run(r)
}

func (p *probe) run(r request) *Call {
	call, err := r.run(p.ctx, p.host, p.timeout)
	p.must(err)
	p.events = append(p.events, Event{Call: call})
	return call
}

// accepts demands success.
func (p *probe) accepts(call *Call, what string, args ...any) {
	if call.Trouble != "" {
		p.violated(what+": the plugin %s", append(args, call.Trouble)...)
	}
	if call.Exit != 0 {
		p.violated(what+": the plugin exits with code %d: %s", append(args, call.Exit, complaint(call))...)
	}
}

// refuses demands an error, and one that the plugin itself reports.
func (p *probe) refuses(call *Call, what string, args ...any) {
	if call.Trouble != "" {
		p.violated(what+": the plugin %s", append(args, call.Trouble)...)
	}
	if call.Exit == 0 {
		p.violated(what+": the plugin exits with code 0, which means success", args...)
	}
}

// add adds a, as the start of a check of something else.
func (p *probe) add(a *attachment, options ...option) result {
	call := p.call("ADD", a, options...)
	p.prepared(call, "the ADD that this check starts from")
	r, err := parseResult(call.Stdout)
	if err != nil {
		p.blocked("the ADD that this check starts from printed no result: %v", err)
	}
	a.final = r.raw
	return r
}

// added makes an attachment and adds it.
func (p *probe) added(options ...option) (*attachment, result) {
	a := p.attachment()
	return a, p.add(a, options...)
}

// prepared demands success of a step before the requirement.
func (p *probe) prepared(call *Call, what string) {
	if call.Exit != 0 || call.Trouble != "" {
		p.blocked("%s did not work (exit code %d): %s", what, call.Exit, complaint(call))
	}
}

// gc runs GC with these attachments valid. libcni sends the list under the
// key's older name as well.
func (p *probe) gc(valid []*attachment, options ...option) *Call {
	list := []any{}
	for _, a := range valid {
		list = append(list, map[string]any{"containerID": a.id, "ifname": a.ifname})
	}
	keys := []option{set("cni.dev/valid-attachments", list), set("cni.dev/attachments", list)}
	return p.call("GC", nil, slices.Concat(keys, options)...)
}

// complaint is the error a plugin printed, in one line.
func complaint(call *Call) string {
	if e, err := parseError(call.Stdout); err == nil {
		return strings.TrimSpace(fmt.Sprintf("code %v, %s %s", e.raw["code"], e.Msg, e.Details))
	}
	text := call.Stderr
	if text == "" {
		text = call.Stdout
	}
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return "it says nothing"
	}
	return text
}

// delegate ends the check where the plugin delegates to none.
func (p *probe) delegate() {
	if p.unit.ipam == "" {
		p.inapplicable("the configuration names no IPAM plugin, so nothing is delegated")
	}
}

// noDelegate ends the check where the plugin needs CNI_PATH to delegate.
func (p *probe) noDelegate() {
	if p.unit.ipam != "" {
		p.inapplicable("the plugin delegates to %s and has to look that up in CNI_PATH", p.unit.ipam)
	}
}
