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

// task is a command for an attachment, and how it went.
type task struct {
	*attachment
	command string
	call    *Call
	err     error
}

// together runs all tasks at the same time.
func (p *probe) together(tasks []*task) {
	var group sync.WaitGroup
	for _, t := range tasks {
		r := p.request(p.unit.stage, t.command, t.attachment)
		group.Go(func() { t.call, t.err = r.run(p.ctx, p.host, p.timeout) })
	}
	group.Wait()
	p.note("%d executions at the same time:", len(tasks))
	for _, t := range tasks {
		p.must(t.err)
		p.events = append(p.events, Event{Call: t.call})
	}
}

// finished demands that all tasks succeeded and that no two ADDs were given
// one address.
func (p *probe) finished(tasks []*task) {
	owner := map[string]string{}
	for _, t := range tasks {
		p.accepts(t.call, "%s of %s, one of %d executions at the same time", t.command, t.id, len(tasks))
		if t.command != "ADD" {
			continue
		}
		r, err := parseResult(t.call.Stdout)
		if err != nil {
			p.violated("ADD of %s, one of %d executions at the same time, prints no result: %v", t.id, len(tasks), err)
		}
		t.final = r.raw
		p.distinct(owner, t.attachment, r)
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
	var tasks []*task
	for _, a := range p.attachments(crowd) {
		tasks = append(tasks, &task{attachment: a, command: "ADD"})
	}
	p.together(tasks)
	p.finished(tasks)
	p.stillWhole(tasks)
}

func concurrentDel(p *probe) {
	var tasks []*task
	for _, a := range p.attachments(crowd / 2) {
		p.add(a)
		tasks = append(tasks, &task{attachment: a, command: "DEL"})
	}
	for _, a := range p.attachments(crowd / 2) {
		tasks = append(tasks, &task{attachment: a, command: "ADD"})
	}
	p.together(tasks)
	p.finished(tasks)
	p.stillWhole(tasks)
}

// stillWhole demands that CHECK is content with what was added.
func (p *probe) stillWhole(tasks []*task) {
	for _, t := range tasks {
		if t.command == "ADD" && p.atLeast("0.4.0") {
			p.accepts(p.call("CHECK", t.attachment), "CHECK of %s, added while others were added or deleted", t.id)
		}
	}
}
