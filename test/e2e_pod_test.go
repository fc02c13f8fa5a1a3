//go:build e2e && linux

package test

import (
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// details are what PodSandboxStatus tells a person beyond the CRI's fields.
type details struct {
	PID        int
	ResolvConf string
}

// details asks for them.
func (n *node) details(id string) (d details) {
	n.t.Helper()
	answer, err := n.PodSandboxStatus(n.t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	if err != nil {
		n.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(answer.GetInfo()["sandbox"]), &d); err != nil {
		n.t.Fatalf("info %q: %v", answer.GetInfo()["sandbox"], err)
	}
	return d
}

// stateOf is a pod's state as the list shows it, "" where it shows none.
func (n *node) stateOf(id string) string {
	n.t.Helper()
	for _, pod := range n.list(nil) {
		if pod.GetId() == id {
			return pod.GetState().String()
		}
	}
	return ""
}

func TestPodLifecycle(t *testing.T) {
	n := newNode(t)
	config := podConfig("web", func(c *runtimeapi.PodSandboxConfig) {
		c.Labels = map[string]string{"app": "web"}
		c.Annotations = map[string]string{"note": "one=two; three\nfour"}
	})
	id := n.run(config)

	got := n.status(id)
	if got.GetState() != runtimeapi.PodSandboxState_SANDBOX_READY {
		t.Errorf("state %s after RunPodSandbox", got.GetState())
	}
	if m := got.GetMetadata(); m.GetName() != "web" || m.GetNamespace() != "test" || m.GetUid() != "uid-web" {
		t.Errorf("metadata %v", m)
	}
	if !maps.Equal(got.GetLabels(), config.Labels) || !maps.Equal(got.GetAnnotations(), config.Annotations) {
		t.Errorf("labels %v, annotations %v", got.GetLabels(), got.GetAnnotations())
	}
	pings(t, "", n.addresses(id)[0])
	for kind, made := range n.remains() {
		// An eye that sees nothing now would see nothing left later.
		if len(made) == 0 && kind != "packet-filter elements" {
			t.Errorf("%s: the pod has none", kind)
		}
	}

	n.stop(id)
	n.stop(id)
	if got := n.stateOf(id); got != "SANDBOX_NOTREADY" {
		t.Errorf("state %s after StopPodSandbox", got)
	}
	if left := append(n.leases(), n.veths()...); len(left) > 0 {
		t.Errorf("StopPodSandbox left %v", left)
	}
	n.remove(id)
	n.remove(id)
	if got := n.stateOf(id); got != "" {
		t.Errorf("state %s after RemovePodSandbox", got)
	}
}

func TestTraceShowsThePathToTheVethPair(t *testing.T) {
	n := newNode(t)
	id := n.run(podConfig("traced", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
	answer, err := n.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	trace := answer.GetInfo()["trace"]
	at := 0
	for _, step := range []string{"docker create", "docker start", "ip link add", "type veth peer name eth0", "hostports"} {
		next := strings.Index(trace[at:], step)
		if next < 0 {
			t.Fatalf("no %q after character %d of the trace:\n%s", step, at, trace)
		}
		at += next
	}
}

func TestRemoveWithoutStop(t *testing.T) {
	n := newNode(t)
	n.remove(n.run(podConfig("hasty", hostPort(runtimeapi.Protocol_TCP, 8080, 80))))
	n.assertNothingLeft()
}

func TestUnknownPods(t *testing.T) {
	n := newNode(t)
	for _, id := range []string{strings.Repeat("0", 64), "../../etc/passwd", "nobody"} {
		n.stop(id)
		n.remove(id)
		_, err := n.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
		if status.Code(err) != codes.NotFound {
			t.Errorf("PodSandboxStatus(%q) = %v, want NotFound", id, err)
		}
	}
}

func TestSamePodTwice(t *testing.T) {
	n := newNode(t)
	config := podConfig("twin")
	first := n.run(config)
	_, err := n.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
	if status.Code(err) != codes.AlreadyExists || !strings.Contains(err.Error(), "twin") {
		t.Errorf("the same pod and attempt again: %v, want AlreadyExists and the pod's name", err)
	}
	if pods := n.list(nil); len(pods) != 1 || pods[0].GetId() != first {
		t.Errorf("pods after that: %v", pods)
	}
	pings(t, "", n.addresses(first)[0])
	config.Metadata.Attempt++
	if second := n.run(config); second == first {
		t.Error("the next attempt is the first pod")
	}
}

func TestListFilters(t *testing.T) {
	n := newNode(t)
	labelled := func(name, app string) string {
		return n.run(podConfig(name, func(c *runtimeapi.PodSandboxConfig) { c.Labels = map[string]string{"app": app, "tier": "x"} }))
	}
	web, db, stopped := labelled("web", "web"), labelled("db", "db"), labelled("old", "web")
	n.stop(stopped)
	ready := &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY}
	cases := map[string]struct {
		filter *runtimeapi.PodSandboxFilter
		want   []string
	}{
		"no filter":       {nil, []string{web, db, stopped}},
		"an ID":           {&runtimeapi.PodSandboxFilter{Id: db}, []string{db}},
		"an ID's head":    {&runtimeapi.PodSandboxFilter{Id: db[:12]}, []string{db}},
		"a state":         {&runtimeapi.PodSandboxFilter{State: ready}, []string{web, db}},
		"a label":         {&runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"app": "web"}}, []string{web, stopped}},
		"label and state": {&runtimeapi.PodSandboxFilter{State: ready, LabelSelector: map[string]string{"app": "web"}}, []string{web}},
		"no such label":   {&runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"app": "none"}}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, pod := range n.list(c.filter) {
				got = append(got, pod.GetId())
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("lists %v, want %v", got, c.want)
			}
		})
	}
}

func TestPodSettings(t *testing.T) {
	n := newNode(t)
	id := n.run(podConfig("set", func(c *runtimeapi.PodSandboxConfig) {
		c.Hostname = "a-name-of-its-own"
		c.DnsConfig = &runtimeapi.DNSConfig{Servers: []string{"192.0.2.53", "2001:db8::53"}, Searches: []string{"svc.example"}, Options: []string{"ndots:5"}}
		c.Linux.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "20000 20999", "kernel.shm_rmid_forced": "1"}
	}))
	d := n.details(id)

	if got := shell(t, "nsenter", "--uts", "--target", strconv.Itoa(d.PID), "uname", "-n"); got != "a-name-of-its-own\n" {
		t.Errorf("hostname %q", got)
	}
	resolvConf, err := os.ReadFile(d.ResolvConf)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"nameserver 192.0.2.53", "nameserver 2001:db8::53", "search svc.example", "options ndots:5"} {
		if !strings.Contains(string(resolvConf), line+"\n") {
			t.Errorf("no %q in resolv.conf:\n%s", line, resolvConf)
		}
	}
	var ports []byte
	err = in(n.netns(id), func() (err error) {
		ports, err = os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
		return err
	})
	if err != nil || strings.Join(strings.Fields(string(ports)), " ") != "20000 20999" {
		t.Errorf("ip_local_port_range %q, %v", ports, err)
	}
	if got := shell(t, "nsenter", "--ipc", "--target", strconv.Itoa(d.PID), "sysctl", "-n", "kernel.shm_rmid_forced"); got != "1\n" {
		t.Errorf("kernel.shm_rmid_forced %q", got)
	}
}

// TestLoopbackHasBothFamilies: a program that listens on localhost may take ::1,
// unless the pod wants no IPv6.
func TestLoopbackHasBothFamilies(t *testing.T) {
	n := newNode(t)
	for name, test := range map[string]struct {
		sysctls map[string]string
		want    bool
	}{
		"usual":   {nil, true},
		"without": {map[string]string{"net.ipv6.conf.all.disable_ipv6": "1"}, false},
	} {
		id := n.run(podConfig(name, func(c *runtimeapi.PodSandboxConfig) { c.Linux.Sysctls = test.sysctls }))
		var got bool
		err := in(n.netns(id), func() error {
			listener, err := net.Listen("tcp6", "[::1]:0")
			if got = err == nil; got {
				return listener.Close()
			}
			return nil
		})
		if err != nil || got != test.want {
			t.Errorf("%s: can listen on ::1: %v, want %v, error %v", name, got, test.want, err)
		}
	}
}

func TestHostNetwork(t *testing.T) {
	n := newNode(t)
	id := n.run(podConfig("host", func(c *runtimeapi.PodSandboxConfig) {
		c.Linux.SecurityContext = &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Network: runtimeapi.NamespaceMode_NODE}}
	}))
	got := n.status(id)
	if ip := got.GetNetwork().GetIp(); ip != "" {
		t.Errorf("a pod on the host's network has the address %s of its own", ip)
	}
	if mode := got.GetLinux().GetNamespaces().GetOptions().GetNetwork(); mode != runtimeapi.NamespaceMode_NODE {
		t.Errorf("network mode %s", mode)
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	pods, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(n.details(id).PID), "ns/net"))
	if err != nil || pods != own {
		t.Errorf("the pod is in %s, the host in %s (%v)", pods, own, err)
	}
	if left := append(n.leases(), n.veths()...); len(left) > 0 {
		t.Errorf("it was put on a CNI network as well: %v", left)
	}
}
