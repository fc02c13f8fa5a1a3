package conformance

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// linksIn returns the links of a pod, or of the host for "".
func (p *probe) linksIn(netns string) []link {
	var all []link
	p.must(p.host.do(netns, func() (err error) {
		all, err = links()
		return err
	}))
	return all
}

func (p *probe) addressesIn(netns string) []address {
	var all []address
	p.must(p.host.do(netns, func() (err error) {
		all, err = addresses()
		return err
	}))
	return all
}

func (p *probe) routesIn(netns string) []route {
	var all []route
	p.must(p.host.do(netns, func() (err error) {
		all, err = routes()
		return err
	}))
	return all
}

func (p *probe) filter() packetFilter {
	var filter packetFilter
	p.must(p.host.do("", func() (err error) {
		filter, err = readFilter()
		return err
	}))
	return filter
}

// damage changes a namespace behind the plugin's back.
func (p *probe) damage(netns string, f func() error, command string, args ...any) {
	where := ""
	if netns != "" {
		where = " (in " + netns + ")"
	}
	p.note("%s%s", fmt.Sprintf(command, args...), where)
	p.must(p.host.do(netns, f))
}

// containerLink returns the interface that a's plugin made.
func (p *probe) containerLink(a *attachment) link {
	l, found := find(p.linksIn(a.netns), a.ifname)
	if !found {
		p.blocked("there is no interface %s in %s after ADD", a.ifname, a.netns)
	}
	return l
}

// footprint is what attachments can leave on a host: names by what they are of.
type footprint map[string][]string

// footprint looks at the host and the files a plugin keeps.
func (p *probe) footprint() footprint {
	names := map[int]string{}
	f := footprint{}
	for _, l := range p.linksIn("") {
		names[l.Index] = l.Name
		f["interfaces"] = append(f["interfaces"], l.Name)
	}
	for _, a := range slices.DeleteFunc(p.addressesIn(""), address.linkLocal) {
		f["addresses"] = append(f["addresses"], a.Prefix.String()+" on "+names[a.Link])
	}
	for _, r := range slices.DeleteFunc(p.routesIn(""), route.linkLocal) {
		f["routes"] = append(f["routes"], r.Dst.String()+" dev "+names[r.Link])
	}
	// They have no names to tell them apart by.
	f["packet-filter objects"] = make([]string, p.filter().objects)
	f["files"] = p.files()
	return f
}

// files lists what is in the private directories but for the suite's own.
func (p *probe) files() []string {
	var all []string
	walk := func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since its directory was read
		}
		if err != nil {
			return err
		}
		if path == podDir || path == standInDir || path == p.target.BinDir {
			return fs.SkipDir
		}
		if !entry.IsDir() {
			all = append(all, path)
		}
		return nil
	}
	p.must(p.host.do("", func() error {
		for _, dir := range privateDirs {
			if err := filepath.WalkDir(dir, walk); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}))
	return all
}

// growth says what there is more of than there was; "" for nothing. Only
// numbers count: the one lease file after an ADD may have another name.
func (f footprint) growth(now footprint) string {
	var grown []string
	for _, category := range slices.Sorted(maps.Keys(now)) {
		more := len(now[category]) - len(f[category])
		if more <= 0 {
			continue
		}
		added := slices.DeleteFunc(slices.Clone(now[category]), func(name string) bool { return slices.Contains(f[category], name) })
		entry := fmt.Sprintf("%s: %d more", category, more)
		if names := strings.Trim(strings.Join(added, ", "), ", "); names != "" {
			entry += " (" + names + ")"
		}
		grown = append(grown, entry)
	}
	return strings.Join(grown, "; ")
}

// settledFootprint waits until the kernel has taken down what it removes in
// the background, so that nothing of it hides a later leak.
func (p *probe) settledFootprint() footprint {
	deadline := time.Now().Add(3 * time.Second)
	for last := p.footprint(); ; {
		time.Sleep(40 * time.Millisecond)
		now := p.footprint()
		if last.growth(now) == "" && now.growth(last) == "" || time.Now().After(deadline) {
			return now
		}
		last = now
	}
}

// settled returns the growth once the kernel is done: it takes the links of a
// vanished namespace down in the background.
func (p *probe) settled(before footprint) string {
	deadline := time.Now().Add(3 * time.Second)
	for {
		growth := before.growth(p.footprint())
		if growth == "" || time.Now().After(deadline) {
			return growth
		}
		time.Sleep(20 * time.Millisecond)
	}
}
