package netplug

import (
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"

	"github.com/mascri/mascri/spec"
)

var update = flag.Bool("update", false, "write the scripts in testdata/plans anew")

// request is an ADD of container c1 to network "lab" with the given keys.
func request(keys string) *spec.Request {
	return &spec.Request{
		Command: "ADD", Name: "lab", ContainerID: "c1", IfName: "eth0", Netns: "/run/netns/pod",
		Config: []byte(`{"cniVersion":"1.1.0","name":"lab","type":"netplug",` + keys + `}`),
	}
}

// answer is an IPAM plugin's result.
func ipamResult(t *testing.T, addresses ...string) *current.Result {
	t.Helper()
	result := &current.Result{}
	for _, a := range addresses {
		ip, n, err := net.ParseCIDR(a)
		if err != nil {
			t.Fatal(err)
		}
		n.IP = ip
		result.IPs = append(result.IPs, &current.IPConfig{Address: *n})
	}
	return result
}

// TestPlansAreTheScripts compares each plan with the shell script that a person
// would write for it. A new configuration starts as a new script here.
func TestPlansAreTheScripts(t *testing.T) {
	tests := []struct {
		name, keys string
		addresses  []string
	}{
		{"layer2", `"bridge":"br0"`, nil},
		{"address", `"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24"}},
		{"gateway", `"isGateway":true,"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24"}},
		{"default-gateway-dual-stack", `"isDefaultGateway":true,"ipMasq":true,"mtu":1400,"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24", "fd88::2/64"}},
		{"two-addresses-one-family", `"isDefaultGateway":true,"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24", "10.89.0.2/24"}},
		{"host-ports", `"isGateway":true,"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"TCP"},{"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"192.0.2.1"},{"hostPort":54,"containerPort":54,"protocol":"udp","hostIP":"::"}]},"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24"}},
		{"port-flags", `"hairpinMode":true,"portIsolation":true,"macspoofchk":true,"args":{"cni":{"mac":"02:00:00:00:00:07"}},"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24"}},
		{"vlans", `"isGateway":true,"vlan":100,"vlanTrunk":[{"id":7},{"minID":20,"maxID":22}],"ipam":{"type":"ipam"}`, []string{"10.88.0.2/24"}},
		{"promiscuous", `"promiscMode":true,"enabledad":true,"ipam":{"type":"ipam"}`, []string{"fd88::2/64"}},
		{"interface-down", `"disableContainerInterface":true`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := Preview(request(tt.keys), ipamResult(t, tt.addresses...))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "plans", tt.name+".sh")
			if *update {
				if err := os.WriteFile(file, []byte(plan.Script()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(plan.Script(), "\n")); diff != "" {
				t.Errorf("the plan differs from %s (-):\n%s", file, diff)
			}
		})
	}
}

// TestNodeStepsAreTheSameForEveryPod: what is shared must not depend on who
// comes first.
func TestNodeStepsAreTheSameForEveryPod(t *testing.T) {
	keys := `"isDefaultGateway":true,"ipMasq":true,"ipam":{"type":"ipam"}`
	first, err := Preview(request(keys), ipamResult(t, "10.88.0.2/24"))
	if err != nil {
		t.Fatal(err)
	}
	other := request(keys)
	other.ContainerID = "c2"
	second, err := Preview(other, ipamResult(t, "10.88.0.3/24"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Plan{Node: first.Node}.Script(), Plan{Node: second.Node}.Script()); diff != "" {
		t.Error(diff)
	}
}

func TestBadConfigurationNamesTheCulprit(t *testing.T) {
	for keys, culprit := range map[string]string{
		`"bridge":"a/b"`:                        "a/b",
		`"bridge":"abcdefghijklmnop"`:           "abcdefghijklmnop",
		`"mtu":20`:                              "20",
		`"mtu":70000`:                           "70000",
		`"vlan":4095`:                           "4095",
		`"vlan":-1`:                             "-1",
		`"vlanTrunk":[{"minID":5}]`:             "maxID is missing",
		`"vlanTrunk":[{"maxID":5}]`:             "minID is missing",
		`"vlanTrunk":[{"minID":9,"maxID":5}]`:   "minID is greater than maxID",
		`"vlanTrunk":[{"id":0}]`:                "incorrect trunk id",
		`"vlanTrunk":[{"minID":0,"maxID":2}]`:   "incorrect trunk minID",
		`"hairpinMode":true,"promiscMode":true`: "promiscMode",
		`"ipMasqBackend":"pf"`:                  "pf",
		`"ipam":{"type":"../host-local"}`:       "../host-local",
		`"disableContainerInterface":true,"ipam":{"type":"ipam"}`:                                    "DisableContainerInterface",
		`"args":{"cni":{"mac":"nonsense"}}`:                                                          "nonsense",
		`"runtimeConfig":{"portMappings":[{"hostPort":0,"containerPort":80,"protocol":"tcp"}]}`:      "Invalid host port number: 0",
		`"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":65536,"protocol":"tcp"}]}`:  "Invalid container port number: 65536",
		`"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"protocol":"gre"}]}`:     "gre",
		`"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"hostIP":"not-an-ip"}]}`: "not-an-ip",
		`"isGateway":true,"vlan":100,"bridge":"abcdefghijkl","ipam":{"type":"ipam"}`:                 "abcdefghijkl.100",
	} {
		_, err := Preview(request(keys), ipamResult(t, "10.88.0.2/24"))
		if err == nil || spec.CodeOf(err) != spec.InvalidConfig || !strings.Contains(err.Error(), culprit) {
			t.Errorf("%s: %v (code %d), expected code 7 naming %q", keys, err, spec.CodeOf(err), culprit)
		}
	}
}

func TestMACPrecedence(t *testing.T) {
	r := request(`"runtimeConfig":{"mac":"02:00:00:00:00:01"},"args":{"cni":{"mac":"02:00:00:00:00:02"}}`)
	r.Args = spec.Args{{Key: "MAC", Value: "02:00:00:00:00:03"}}
	cfg, err := parse(r)
	if err != nil || cfg.MAC.String() != "02:00:00:00:00:01" {
		t.Errorf("MAC %s, %v; expected runtimeConfig's", cfg.MAC, err)
	}
}

func TestHostEndNames(t *testing.T) {
	seen := map[string]spec.Attachment{}
	for _, network := range []string{"a", "b"} {
		for _, id := range []string{"c1", "c2", strings.Repeat("x", 200)} {
			for _, ifname := range []string{"eth0", "eth1"} {
				a := spec.Attachment{ContainerID: id, IfName: ifname}
				name := hostEnd(network, a)
				if err := spec.CheckIfName(name); err != nil {
					t.Errorf("%q: %v", name, err)
				}
				if other, taken := seen[name]; taken {
					t.Errorf("%v and %v share the name %s", a, other, name)
				}
				seen[name] = a
				if !ownedBy(network, name, alias(network, a)) || !ownedBy(network, name, "") || ownedBy(network+"x", name, alias(network, a)) {
					t.Errorf("%s is not recognised as network %s's alone", name, network)
				}
			}
		}
	}
}

// FuzzConfig: no configuration makes the parser panic, and what passes it has a
// plan of commands that name only valid interfaces.
func FuzzConfig(f *testing.F) {
	f.Add(`{"bridge":"br0","isGateway":true,"vlan":5,"vlanTrunk":[{"minID":1,"maxID":4094}]}`)
	f.Add(`{"runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":2,"protocol":"sctp","hostIP":"::1"}]}}`)
	f.Add(`{"macspoofchk":true,"args":{"cni":{"mac":"02:00:00:00:00:01"}},"enabledad":true}`)
	f.Fuzz(func(t *testing.T, config string) {
		r := request("")
		r.Config = []byte(config)
		plan, err := Preview(r, &current.Result{IPs: []*current.IPConfig{{Address: net.IPNet{IP: net.IPv4(10, 1, 2, 3), Mask: net.CIDRMask(24, 32)}}}})
		if err != nil {
			return
		}
		for _, step := range plan.Steps() {
			if b, ok := step.(Bridge); ok && spec.CheckIfName(b.Name) != nil {
				t.Errorf("the plan makes a bridge %q", b.Name)
			}
			if step.String() == "" {
				t.Errorf("%#v prints nothing", step)
			}
		}
	})
}

// FuzzResult: whatever an IPAM plugin or a prevResult says, the plan has valid
// addresses or there is an error.
func FuzzResult(f *testing.F) {
	f.Add([]byte{10, 1, 2, 3}, 24, 32, []byte{10, 1, 2, 1})
	f.Add([]byte{}, 200, 7, []byte{1})
	f.Add([]byte(net.ParseIP("::ffff:10.1.2.3")), 120, 128, []byte(nil))
	f.Fuzz(func(t *testing.T, ip []byte, ones, bits int, gw []byte) {
		result := &current.Result{IPs: []*current.IPConfig{{Address: net.IPNet{IP: ip, Mask: net.CIDRMask(ones, bits)}, Gateway: gw}}}
		leases, _, err := addresses(result)
		if err != nil {
			return
		}
		for _, l := range leases {
			if !l.Address.IsValid() || l.Address.Addr() == (netip.Addr{}) {
				t.Errorf("lease %+v", l)
			}
		}
	})
}
