package conformance

import (
	"sync"
)

// lifecycleRows are section 3, "Lifecycle & Ordering".
var lifecycleRows = []Row{
	{
		ID: "concurrent-add", Section: "3 Lifecycle & Ordering", Level: Must, Kinds: everyKind,
		Requirement: "ADDs of different containers may run at the same time: all succeed, and no address is given twice.",
		Why:         "A node that starts runs them by the dozen.",
		check:       concurrentAdd,
	},
	{
		ID: "concurrent-del", Section: "3 Lifecycle & Ordering", Level: Must, Kinds: everyKind,
		Requirement: "DELs and ADDs of different containers may run at the same time: all succeed, and what stays is whole.",
		Why:         "A deployment that rolls over deletes and starts pods at once.",
		check:       concurrentDel,
	},
}

// crowd is how many plugins run at once.
const crowd = 8

// attachments makes n of them.
func (p *probe) attachments(n int) []*attachment {
	var all []*attachment
	for range n {
		all = append(all, p.attachment())
	}
	return all
}

// together runs one command for each attachment at the same time.
func (p *probe) together(commands map[*attachment]string) map[*attachment]*Call {
	var group sync.WaitGroup
	var lock sync.Mutex
	calls := map[*attachment]*Call{}
	var failure error
	for a, command := range commands {
		r := p.request(p.unit.stage, command, a)
		group.Go(func() {
			call, err := r.run(p.ctx, p.host, p.timeout)
			lock.Lock()
			defer lock.Unlock()
			calls[a] = call
			if err != nil {
				failure = err
			}
		})
	}
	group.Wait()
	p.must(failure)
	p.note("%d executions at the same time:", len(calls))
	for _, call := range calls {
		p.events = append(p.events, Event{Call: call})
	}
	return calls
}

// addTogether adds all of them at once and demands that it works.
func (p *probe) addTogether(all []*attachment) {
	commands := map[*attachment]string{}
	for _, a := range all {
		commands[a] = "ADD"
	}
	owner := map[string]string{}
	for a, call := range p.together(commands) {
		p.accepts(call, "ADD of %s, one of %d at the same time", a.id, len(all))
		r, err := parseResult(call.Stdout)
		if err != nil {
			p.violated("ADD of %s, one of %d at the same time, prints no result: %v", a.id, len(all), err)
		}
		a.final = r.raw
		p.distinct(owner, a, r)
	}
}

// distinct demands that nobody has the same address. A chained plugin's are
// not its own, and all loopbacks have the same.
func (p *probe) distinct(owner map[string]string, a *attachment, r result) {
	if p.unit.Kind == Chained || p.unit.Kind == Loopback {
		return
	}
	for _, ip := range r.IPs {
		if other, taken := owner[ip.Address]; taken {
			p.violated("%s was given to %s and to %s", ip.Address, other, a.id)
		}
		owner[ip.Address] = a.id
	}
}

func concurrentAdd(p *probe) {
	all := p.attachments(crowd)
	p.addTogether(all)
	if !p.atLeast("0.4.0") {
		return
	}
	for _, a := range all {
		p.accepts(p.call("CHECK", a), "CHECK of %s, added with %d others at the same time", a.id, crowd-1)
	}
}

func concurrentDel(p *probe) {
	leaving, coming := p.attachments(crowd/2), p.attachments(crowd/2)
	for _, a := range leaving {
		p.add(a)
	}
	commands := map[*attachment]string{}
	for i := range leaving {
		commands[leaving[i]], commands[coming[i]] = "DEL", "ADD"
	}
	owner := map[string]string{}
	for a, call := range p.together(commands) {
		p.accepts(call, "%s of %s, with ADDs and DELs at the same time", commands[a], a.id)
		if commands[a] == "DEL" {
			continue
		}
		r, err := parseResult(call.Stdout)
		if err != nil {
			p.violated("ADD of %s prints no result: %v", a.id, err)
		}
		a.final = r.raw
		p.distinct(owner, a, r)
	}
	for _, a := range coming {
		if p.atLeast("0.4.0") {
			p.accepts(p.call("CHECK", a), "CHECK of %s, added while others were deleted", a.id)
		}
	}
}
