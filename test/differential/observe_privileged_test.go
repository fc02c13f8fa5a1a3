//go:build privileged

package differential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mascri/mascri/netplug/netns"
)

// kernel notes the state of the node, the pods and the lease files.
func (r *run) kernel(stage string) {
	r.namespaceState(stage+"/node", r.node)
	for _, port := range r.list(r.node, "bridge", "-j", "vlan", "show") {
		r.flatten(fmt.Sprintf("%s/node/link %s/vlans", stage, port["ifname"]), port["vlans"])
	}
	for i, pod := range r.pods {
		r.namespaceState(fmt.Sprintf("%s/pod %d", stage, i+1), pod)
	}
	r.files(stage)
	r.remains(stage)
}

// volatile are fields that differ between any two runs, that only say what
// another one says in other words, or that follow a link's carrier with delay.
var volatile = regexp.MustCompile(`/(ifindex|link|link_index|link_netnsid|stats|[a-z_]*_timer|valid_life_time|preferred_life_time|tentative|num_[rt]x_queues|[gt]so_[a-z0-9_]*|gro_[a-z0-9_]*|root_id|topology_change[a-z_]*|iif|id|no|designated_port)$|/link (cni0|br-lab)(\.[0-9]+)?/operstate$|/route .*/flags$`)

// namespaceState notes what ip says in a namespace, and its sysctls.
func (r *run) namespaceState(stage, path string) {
	for _, link := range r.list(path, "ip", "-j", "-d", "addr", "show") {
		name := fmt.Sprintf("%s/link %s", stage, link["ifname"])
		addresses, _ := link["addr_info"].([]any)
		for _, a := range addresses {
			address := a.(object)
			r.flatten(fmt.Sprintf("%s/address %s", name, address["local"]), address)
		}
		delete(link, "addr_info")
		r.flatten(name, link)
	}
	for _, family := range []string{"-4", "-6"} {
		for _, route := range r.list(path, "ip", family, "-j", "-N", "route", "show", "table", "all") {
			r.route(stage, family, route)
		}
	}
	if !strings.HasPrefix(stage, "after DEL") { // DEL changes none, and they are thousands
		r.sysctls(stage, path)
	}
}

// list runs a command that prints a JSON list of objects, in a namespace.
func (l *lab) list(path, command string, arguments ...string) []object {
	l.Helper()
	var out []byte
	err := netns.Do(path, func() (err error) {
		out, err = exec.Command(command, arguments...).Output()
		return err
	})
	if err != nil {
		l.Fatalf("%s %s: %v", command, strings.Join(arguments, " "), err)
	}
	var all []object
	if len(bytes.TrimSpace(out)) == 0 {
		return nil
	}
	if err := json.Unmarshal(out, &all); err != nil {
		l.Fatalf("%s: %v\n%s", command, err, out)
	}
	return slices.DeleteFunc(all, func(o object) bool { return len(o) == 0 })
}

// route notes a route, but those that the kernel adds to each address.
func (r *run) route(stage, family string, route object) {
	dst, table := fmt.Sprint(route["dst"]), fmt.Sprint(route["table"])
	if table == "255" || strings.HasPrefix(dst, "fe80:") || strings.HasPrefix(dst, "ff00:") {
		return
	}
	name := fmt.Sprintf("%s/link %s/route %s %s", stage, route["dev"], family, dst)
	if route["table"] != nil {
		name += " table " + table
	}
	r.flatten(name, route)
}

// sysctlDirs are the settings that a plugin may touch: the namespace's and
// each link's.
var sysctlDirs = []string{"net/ipv4/conf", "net/ipv6/conf"}

// sysctls notes them: /proc/sys/net shows the namespace of the thread.
func (r *run) sysctls(stage, path string) {
	err := netns.Do(path, func() error {
		if err := r.sysctl(stage+"/sysctl ipv4/ip_forward", "/proc/sys/net/ipv4/ip_forward"); err != nil {
			return err
		}
		for _, dir := range sysctlDirs {
			family := strings.Split(dir, "/")[1]
			settings, err := filepath.Glob("/proc/sys/" + dir + "/*/*")
			if err != nil {
				return err
			}
			for _, p := range settings {
				link, key := filepath.Base(filepath.Dir(p)), filepath.Base(p)
				if key == "stable_secret" {
					continue // has no value until somebody sets it, and then a random one
				}
				subject := fmt.Sprintf("%s/link %s/sysctl %s/%s", stage, r.plain(link), family, key)
				if err := r.sysctl(subject, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		r.Fatalf("read sysctls: %v", err)
	}
}

// sysctl notes one of thousands: nothing random is in its name or value.
func (r *run) sysctl(name, path string) error {
	value, err := os.ReadFile(path)
	r.seen[name] = strings.TrimSpace(string(value))
	return err
}

// files notes the lease directory: names, modes, contents.
func (r *run) files(stage string) {
	err := filepath.WalkDir(r.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == r.data {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := stage + "/file " + strings.TrimPrefix(path, r.data+"/")
		r.note(name, info.Mode().String())
		if entry.Type().IsRegular() && !strings.Contains(name, "index") {
			content, err := os.ReadFile(path)
			r.note(name+"/content", fmt.Sprintf("%q", content))
			return err
		}
		return nil
	})
	if err != nil {
		r.Fatalf("read the lease directory: %v", err)
	}
}

// remains notes whether the packet filter still names the pod: the reference
// does so in comments.
func (r *run) remains(stage string) {
	if !strings.HasPrefix(stage, "after DEL") && !strings.HasPrefix(stage, "after the failed") {
		return
	}
	rules := r.sh("nft list ruleset")
	r.note(stage+"/packet filter names pod-one", fmt.Sprint(strings.Contains(rules, "pod-one")))
}

// checkMACs compares the MACs of a result with the kernel's and replaces those
// that the kernel chose.
func (r *run) checkMACs(result object) {
	interfaces, _ := result["interfaces"].([]any)
	for _, entry := range interfaces {
		i, ok := entry.(object)
		if !ok || i["mac"] == nil || i["name"] == "lo" {
			continue
		}
		path, _ := i["sandbox"].(string)
		if path == "" {
			path = r.node
		}
		links := r.list(path, "ip", "-j", "link", "show", fmt.Sprint(i["name"]))
		if len(links) != 1 || links[0]["address"] != i["mac"] {
			r.Errorf("%s: the result says that %s has MAC %s, the kernel %v", r.implementation.name, i["name"], i["mac"], links)
		}
	}
}

// flatten notes each value of a JSON value under its path.
func (r *run) flatten(name string, value any) {
	switch v := value.(type) {
	case object:
		for key, member := range v {
			r.flatten(name+"/"+key, member)
		}
	case []any:
		if words, ok := stringsOf(v); ok {
			words = slices.DeleteFunc(words, func(w string) bool { return w == "NO-CARRIER" || w == "LOWER_UP" })
			slices.Sort(words)
			r.note(name, strings.Join(words, " "))
			return
		}
		for i, member := range v {
			r.flatten(fmt.Sprintf("%s/%d", name, i), member)
		}
	case float64:
		r.note(name, fmt.Sprint(int64(v)))
	default:
		r.note(name, fmt.Sprint(v))
	}
}

func stringsOf(list []any) (words []string, ok bool) {
	for _, member := range list {
		word, ok := member.(string)
		if !ok {
			return nil, false
		}
		words = append(words, word)
	}
	return words, true
}

// note notes one value, with what is random in it replaced.
func (r *run) note(name, value string) {
	if !volatile.MatchString(name) {
		r.seen[r.plain(name)] = r.plain(value)
	}
}

var (
	hostEnds  = regexp.MustCompile(`\bveth[0-9a-z]{8,11}\b`)
	macs      = regexp.MustCompile(`\b[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}\b`)
	linkLocal = regexp.MustCompile(`\bfe80::[0-9a-f:]+`)
)

// plain replaces what the kernel, the plugins or the lab choose at random.
func (r *run) plain(text string) string {
	text = strings.ReplaceAll(text, r.data, "DATA")
	for i, pod := range r.pods {
		text = strings.ReplaceAll(text, pod, fmt.Sprintf("POD%d", i+1))
	}
	text = linkLocal.ReplaceAllString(text, "fe80::LL")
	text = macs.ReplaceAllStringFunc(text, func(mac string) string {
		hw, err := net.ParseMAC(mac)
		if err == nil && (hw[0] == 0 || hw[0] == 0xff || strings.HasPrefix(mac, "02:00:00:")) {
			return mac // nobody's, everybody's, or the scenario's
		}
		return "MAC"
	})
	return hostEnds.ReplaceAllStringFunc(text, func(name string) string {
		if i := slices.Index(r.hosts, name); i >= 0 {
			return fmt.Sprintf("HOST%d", i+1)
		}
		r.hosts = append(r.hosts, name)
		return fmt.Sprintf("HOST%d", len(r.hosts))
	})
}
