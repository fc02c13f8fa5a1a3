package portmap

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/mascri/mascri/netplug/filter"
	"github.com/mascri/mascri/spec"
)

func ports(mapping string) string {
	return `{"name":"net","runtimeConfig":{"portMappings":[` + mapping + `]}}`
}

func TestParseRefusesWithCodeAndCulprit(t *testing.T) {
	for config, want := range map[string]struct {
		code spec.Code
		says string
	}{
		`{`:            {spec.Decode, "failed to parse network configuration"},
		`{"snat":"x"}`: {spec.Decode, "snat"},
		ports(`{"hostPort":0,"containerPort":80,"protocol":"tcp"}`):                        {spec.InvalidConfig, "Invalid host port number: 0"},
		ports(`{"hostPort":65536,"containerPort":80,"protocol":"tcp"}`):                    {spec.InvalidConfig, "Invalid host port number: 65536"},
		ports(`{"hostPort":80,"containerPort":-1,"protocol":"tcp"}`):                       {spec.InvalidConfig, "Invalid container port number: -1"},
		ports(`{"hostPort":80,"containerPort":65536,"protocol":"tcp"}`):                    {spec.InvalidConfig, "Invalid container port number: 65536"},
		ports(`{"hostPort":80,"containerPort":80},{"hostPort":80,"containerPort":81}`):     {spec.InvalidConfig, "host port tcp/80 is to lead to container ports 80 and 81"},
		ports(`{"hostPort":80,"containerPort":80,"protocol":"icmp"}`):                      {spec.InvalidConfig, "icmp"},
		ports(`{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"not-an-ip"}`):  {spec.InvalidConfig, "not-an-ip"},
		ports(`{"hostPort":80,"containerPort":80,"protocol":"tcp","hostIP":"fe80::1%lo"}`): {spec.InvalidConfig, "fe80::1%lo"},
		`{"backend":"ebpf"}`: {spec.InvalidConfig, `unrecognized backend "ebpf"`},
		`{"backend":"nftables","externalSetMarkChain":"X"}`:               {spec.InvalidConfig, "nftables backend was requested but configuration contains iptables-specific options [externalSetMarkChain]"},
		`{"backend":"nftables","conditionsV4":["-s","10.0.0.1"]}`:         {spec.InvalidConfig, "iptables-specific options [conditionsV4]"},
		`{"backend":"iptables","conditionsV6":["ip6","saddr","fd00::1"]}`: {spec.InvalidConfig, "nftables-specific options [conditionsV6]"},
		`{"externalSetMarkChain":"X","markMasqBit":5}`:                    {spec.InvalidConfig, "Cannot specify externalSetMarkChain and markMasqBit"},
		`{"markMasqBit":32}`: {spec.InvalidConfig, "MasqMarkBit must be between 0 and 31"},
		`{"conditionsV4":["-m","owner","--uid-owner","5"]}`: {spec.InvalidConfig, "-m"},
		`{"conditionsV6":["-s","10.0.0.0/8"]}`:              {spec.InvalidConfig, "10.0.0.0/8"},
	} {
		_, err := Parse([]byte(config))
		if err == nil || spec.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v (code %v), want code %v and %q", config, err, spec.CodeOf(err), want.code, want.says)
		}
	}
}

func TestPlanReadsAsTheScript(t *testing.T) {
	config, err := Parse([]byte(`{"name":"net","masqAll":true,"conditionsV4":["!","-s","192.0.2.0/24"],"runtimeConfig":{"portMappings":[
		{"hostPort":8080,"containerPort":80,"protocol":"TCP"},
		{"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"2001:db8::1"},
		{"hostPort":54,"containerPort":54,"hostIP":"0.0.0.0"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	owner := filter.Owner{Network: "net", ContainerID: "abc", IfName: "eth0"}
	addresses := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fd00::3/64")}
	var lines []string
	for _, step := range Plan(config, owner, addresses, func(netip.Addr) string { return "br0" }) {
		for line := range strings.SplitSeq(step.String(), "\n") {
			if !strings.HasPrefix(line, "add ") && !strings.HasPrefix(line, "flush ") && line != "END" {
				lines = append(lines, line)
			}
		}
	}
	script := strings.Join(lines, "\n")
	at := 0
	for _, want := range []string{
		"hairpin '{ 10.1.0.0/16 . 10.1.0.0/16", "guarded '{ br0", "sysctl -w net/ipv4/conf/br0/route_localnet=1",
		"masquerade_all '{ 10.1.0.0/16", "{ tcp . 8080 ", ": 10.1.2.3 . 80 }", "{ tcp . 54 ", ": 10.1.2.3 . 54 }",
		"hairpin '{ fd00::/64 . fd00::/64", "ip6 mascri hostports '{ tcp . 8080 ", ": fd00::3 . 80 }",
		"ip6 mascri hostips '{ udp . 2001:db8::1 . 53 ", ": fd00::3 . 5353 }",
	} {
		i := strings.Index(script[at:], want)
		if i < 0 {
			t.Fatalf("no %q after the steps before it in\n%s", want, script)
		}
		at += i
	}
	if strings.Count(script, "route_localnet") != 1 || strings.Count(script, ". 54 ") != 2 {
		t.Errorf("more than was asked for:\n%s", script)
	}
}

func TestAddressesAreTheContainersOwn(t *testing.T) {
	for name, test := range map[string]struct{ result, want string }{
		"first of each family": {`"interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"interface":0,"address":"10.0.0.2/24"},{"interface":0,"address":"10.1.0.2/24"},{"interface":0,"address":"fd00::2/64"}]`, "10.0.0.2/24 fd00::2/64"},
		"not the host's":       {`"interfaces":[{"name":"eth0"},{"name":"eth0","sandbox":"/x"}],"ips":[{"interface":0,"address":"10.9.0.1/24"},{"interface":1,"address":"10.0.0.2/24"}]`, "10.0.0.2/24"},
		"not another's":        {`"interfaces":[{"name":"eth1","sandbox":"/x"}],"ips":[{"interface":0,"address":"10.9.0.1/24"}]`, ""},
		"of no interface":      {`"ips":[{"address":"fd00::2/64"}]`, "fd00::2/64"},
		"of an unknown one":    {`"ips":[{"interface":7,"address":"10.0.0.2/24"}]`, "10.0.0.2/24"},
	} {
		result, err := current.NewResult([]byte(`{"cniVersion":"1.0.0",` + test.result + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Addresses(result.(*current.Result), "eth0")
		var texts []string
		for _, p := range got {
			texts = append(texts, p.String())
		}
		if err != nil || strings.Join(texts, " ") != test.want {
			t.Errorf("%s: %v (%v), want %s", name, texts, err, test.want)
		}
	}
}

// FuzzParse: whatever is accepted can be planned and printed.
func FuzzParse(f *testing.F) {
	f.Add(ports(`{"hostPort":1,"containerPort":2,"protocol":"sctp","hostIP":"::1"}`))
	f.Add(`{"conditionsV4":["!","-d","192.0.2.0/24","-i","eth0"],"conditionsV6":["ip6 daddr != fc00::/7"]}`)
	f.Add(`{"backend":"iptables","externalSetMarkChain":"KUBE-MARK-MASQ","snat":false,"masqAll":true}`)
	f.Fuzz(func(t *testing.T, text string) {
		config, err := Parse([]byte(text))
		if err != nil {
			return
		}
		addresses := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fd00::3/64")}
		for _, step := range Plan(config, filter.Owner{Network: config.Network}, addresses, func(netip.Addr) string { return "br0" }) {
			if step.String() == "" {
				t.Errorf("%#v prints nothing", step)
			}
		}
	})
}

// FuzzAddresses: whatever result the plugins before made, the addresses are
// valid and at most one of each family.
func FuzzAddresses(f *testing.F) {
	f.Add(`{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/x"}],"ips":[{"interface":0,"address":"10.0.0.2/24"},{"interface":9,"address":"fd00::2/64"}]}`)
	f.Add(`{"cniVersion":"1.0.0","ips":[{"address":"::ffff:10.0.0.2/120"},{"interface":-1,"address":"10.0.0.2/0"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		result := previous(text)
		if result == nil {
			return
		}
		addresses, err := Addresses(result, "eth0")
		if err != nil {
			return
		}
		families := map[bool]bool{}
		for _, a := range addresses {
			if !a.IsValid() || families[a.Addr().Is4()] {
				t.Errorf("%s gives %v", text, addresses)
			}
			families[a.Addr().Is4()] = true
		}
	})
}

// previous reads a result as the plugin is given it; nil where it is refused.
func previous(text string) (result *current.Result) {
	plugin := Plugin()
	plugin.Add = func(_ context.Context, r *spec.Request) (*current.Result, error) {
		result = r.PrevResult
		return &current.Result{}, nil
	}
	env := []string{"CNI_COMMAND=ADD", "CNI_CONTAINERID=c", "CNI_NETNS=/nowhere", "CNI_IFNAME=eth0"}
	plugin.Run(context.Background(), env, strings.NewReader(`{"cniVersion":"1.0.0","name":"net","prevResult":`+text+`}`), io.Discard, io.Discard)
	return result
}
