package ipam

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mascri/mascri/spec"
)

func network(ipam string) string {
	return `{"cniVersion":"1.0.0","name":"net","ipam":` + ipam + `}`
}

// TestRanges pins the defaults and the rules of host-local.
func TestRanges(t *testing.T) {
	for _, test := range []struct {
		name, ipam, want string // want: "first-last gateway" of each range, sets by |
		code             spec.Code
		err              string
	}{
		{"old style", `{"subnet":"10.1.2.0/24"}`, "10.1.2.1-10.1.2.254 10.1.2.1", 0, ""},
		{"v6", `{"ranges":[[{"subnet":"fd00::/64"}]]}`, "fd00::1-fd00::ffff:ffff:ffff:ffff fd00::1", 0, ""},
		{"both styles", `{"subnet":"10.1.2.0/24","ranges":[[{"subnet":"10.1.3.0/24"}]]}`, "10.1.2.1-10.1.2.254 10.1.2.1|10.1.3.1-10.1.3.254 10.1.3.1", 0, ""},
		{"pool of two", `{"ranges":[[{"subnet":"10.1.2.0/24"},{"subnet":"10.1.3.0/30"}]]}`, "10.1.2.1-10.1.2.254 10.1.2.1,10.1.3.1-10.1.3.2 10.1.3.1", 0, ""},
		{"same subnet, disjoint", `{"ranges":[[{"subnet":"10.1.2.0/24","rangeEnd":"10.1.2.9"},{"subnet":"10.1.2.0/24","rangeStart":"10.1.2.10"}]]}`, "10.1.2.1-10.1.2.9 10.1.2.1,10.1.2.10-10.1.2.254 10.1.2.1", 0, ""},
		{"explicit network and broadcast", `{"subnet":"10.1.2.0/24","rangeStart":"10.1.2.0","rangeEnd":"10.1.2.255"}`, "10.1.2.0-10.1.2.255 10.1.2.1", 0, ""},
		{"gateway outside", `{"subnet":"10.1.2.0/24","gateway":"192.168.0.1"}`, "10.1.2.1-10.1.2.254 192.168.0.1", 0, ""},
		{"mapped addresses", `{"subnet":"10.1.2.0/24","rangeStart":"::ffff:10.1.2.7","gateway":"::ffff:10.1.2.2"}`, "10.1.2.7-10.1.2.254 10.1.2.2", 0, ""},
		{"empty is absent", `{"subnet":"10.1.2.0/24","rangeStart":"","rangeEnd":"","gateway":""}`, "10.1.2.1-10.1.2.254 10.1.2.1", 0, ""},
		{"smallest v4", `{"subnet":"10.1.2.0/30"}`, "10.1.2.1-10.1.2.2 10.1.2.1", 0, ""},
		{"smallest v6", `{"subnet":"fd00::/126"}`, "fd00::1-fd00::3 fd00::1", 0, ""},
		{"top of v4", `{"subnet":"255.255.255.0/24","rangeEnd":"255.255.255.255"}`, "255.255.255.1-255.255.255.255 255.255.255.1", 0, ""},

		{"/31", `{"subnet":"10.1.2.0/31"}`, "", 7, "Network 10.1.2.0/31 too small to allocate from"},
		{"/32", `{"subnet":"10.1.2.0/32"}`, "", 7, "too small to allocate from"},
		{"/127", `{"subnet":"fd00::/127"}`, "", 7, "too small to allocate from"},
		{"host bits", `{"subnet":"10.1.2.9/24"}`, "", 7, "Network has host bits set. For a subnet mask of length 24 the network address is 10.1.2.0: write 10.1.2.0/24 for 10.1.2.9/24"},
		{"mapped subnet", `{"subnet":"::ffff:10.1.2.0/120"}`, "", 7, "version mismatch"},
		{"no CIDR", `{"subnet":"10.1.2.0"}`, "", 7, "invalid CIDR address"},
		{"zone", `{"subnet":"fd00::/64","gateway":"fe80::1%eth0"}`, "", 7, "gateway: invalid IP address"},
		{"start outside", `{"subnet":"10.1.2.0/24","rangeStart":"10.1.3.1"}`, "", 7, "RangeStart 10.1.3.1 not in network 10.1.2.0/24"},
		{"end outside", `{"subnet":"10.1.2.0/24","rangeEnd":"10.1.3.1"}`, "", 7, "RangeEnd 10.1.3.1 not in network 10.1.2.0/24"},
		{"start after end", `{"subnet":"10.1.2.0/24","rangeStart":"10.1.2.9","rangeEnd":"10.1.2.8"}`, "", 7, "RangeStart 10.1.2.9 not in network"},
		{"end before default start", `{"subnet":"10.1.2.0/24","rangeEnd":"10.1.2.0"}`, "", 7, "RangeEnd 10.1.2.0 not in network"},
		{"other family", `{"subnet":"10.1.2.0/24","rangeStart":"fd00::1"}`, "", 7, "RangeStart fd00::1 not in network"},
		{"empty set", `{"ranges":[[]]}`, "", 7, "invalid range set 0: empty range set"},
		{"no subnet", `{"ranges":[[{"gateway":"10.1.2.1"}]]}`, "", 7, "key subnet is missing"},
		{"no ranges", `{"rangeStart":"10.1.2.1"}`, "", 7, "no IP ranges specified"},
		{"mixed", `{"ranges":[[{"subnet":"10.1.2.0/24"},{"subnet":"fd00::/64"}]]}`, "", 7, "mixed address families"},
		{"overlap in a set", `{"ranges":[[{"subnet":"10.1.2.0/24"},{"subnet":"10.1.0.0/16"}]]}`, "", 7, "subnets 10.1.2.1-10.1.2.254 and 10.1.0.1-10.1.255.254 overlap"},
		{"overlap of sets", `{"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"10.2.0.0/24"}],[{"subnet":"10.1.0.0/16"}]]}`, "", 7, "range set 0 overlaps with 2"},
		{"wrong type", `{"subnet":7}`, "", 7, "subnet"},
		{"not an object", `"host-local"`, "", 7, "ipam"},
		{"absent", `null`, "", 7, "IPAM config missing 'ipam' key"},
		{"null route", `{"subnet":"10.1.2.0/24","routes":[null]}`, "", 7, "ipam.routes[0] is null"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := ParseConfig([]byte(network(test.ipam)), nil)
			if test.err != "" {
				if err == nil || spec.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %d %v, want %d with %q", spec.CodeOf(err), err, test.code, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var sets []string
			for _, set := range config.Sets {
				var ranges []string
				for _, r := range set {
					ranges = append(ranges, r.String()+" "+r.Gateway.String())
				}
				sets = append(sets, strings.Join(ranges, ","))
			}
			if got := strings.Join(sets, "|"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestRuntimeRangesComeFirst(t *testing.T) {
	config, err := ParseConfig([]byte(`{"cniVersion":"1.0.0","name":"net","runtimeConfig":{"ipRanges":[[{"subnet":"10.9.0.0/24"}]]},
		"ipam":{"subnet":"10.1.2.0/24","ranges":[[{"subnet":"10.1.3.0/24"}]]}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{config.Sets[0].String(), config.Sets[1].String(), config.Sets[2].String()}
	want := []string{"10.9.0.1-10.9.0.254", "10.1.2.1-10.1.2.254", "10.1.3.1-10.1.3.254"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOldVersionsHaveOneAddressAFamily: DEL says so too, as host-local does.
func TestOldVersionsHaveOneAddressAFamily(t *testing.T) {
	const two = `"name":"net","ipam":{"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"10.1.3.0/24"}]]}}`
	const dual = `"name":"net","ipam":{"ranges":[[{"subnet":"10.1.2.0/24"}],[{"subnet":"fd00::/64"}]]}}`
	for _, test := range []struct {
		config string
		fails  bool
	}{
		{`{"cniVersion":"0.2.0",` + two, true}, {`{` + two, true},
		{`{"cniVersion":"0.3.0",` + two, false}, {`{"cniVersion":"1.1.0",` + two, false},
		{`{"cniVersion":"0.2.0",` + dual, false},
	} {
		_, addErr := ParseConfig([]byte(test.config), nil)
		_, delErr := parseRelease([]byte(test.config))
		for _, err := range []error{addErr, delErr} {
			if (err != nil) != test.fails || test.fails && !strings.Contains(err.Error(), "does not support more than 1 address per family") {
				t.Errorf("%s: %v", test.config, err)
			}
		}
	}
}

func TestRequests(t *testing.T) {
	const plain = `{"cniVersion":"1.0.0","name":"net","ipam":{"subnet":"10.1.2.0/24"}}`
	const all = `{"cniVersion":"1.0.0","name":"net","ipam":{"subnet":"10.1.2.0/24"},"runtimeConfig":{"ips":["10.1.2.3/24"]},"args":{"cni":{"ips":["::ffff:10.1.2.4"]}}}`
	at := func(addr, source string) Request { return Request{netip.MustParseAddr(addr), source} }
	for _, test := range []struct {
		name, config, args string
		want               []Request
		code               spec.Code
	}{
		{"none", plain, "", nil, 0},
		{"CNI_ARGS", plain, "IP=10.1.2.5", []Request{at("10.1.2.5", "CNI_ARGS")}, 0},
		{"CNI_ARGS with a length", plain, "IP=10.1.2.5/8", []Request{at("10.1.2.5", "CNI_ARGS")}, 0},
		{"all, strongest first", all, "IP=fd00::5", []Request{at("10.1.2.3", "runtimeConfig.ips"), at("10.1.2.4", "args.cni.ips"), at("fd00::5", "CNI_ARGS")}, 0},
		{"documented keys", plain, "MAC=02:00:00:00:00:01;K8S_POD_NAME=a;K8S_POD_NAMESPACE=b", nil, 0},
		{"unknown key", plain, "COLOUR=red", nil, spec.InvalidEnv},
		{"unknown key, ignored", plain, "IgnoreUnknown=1;COLOUR=red", nil, 0},
		{"no address", plain, "IP=seven", nil, spec.InvalidEnv},
		{"no address in args", `{"name":"net","ipam":{"subnet":"10.1.2.0/24"},"args":{"cni":{"ips":["x"]}}}`, "", nil, spec.InvalidConfig},
		{"no address in runtimeConfig", `{"name":"net","ipam":{"subnet":"10.1.2.0/24"},"runtimeConfig":{"ips":[""]}}`, "", nil, spec.InvalidConfig},
	} {
		t.Run(test.name, func(t *testing.T) {
			args, err := spec.ParseArgs(test.args)
			if err != nil {
				t.Fatal(err)
			}
			config, err := ParseConfig([]byte(test.config), args)
			if test.code != 0 {
				if spec.CodeOf(err) != test.code {
					t.Errorf("error %v, want code %d", err, test.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, config.Requests, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRelease: what DEL needs survives whatever else is wrong.
func TestRelease(t *testing.T) {
	for config, want := range map[string]string{
		`{"name":"net"}`:                                                       defaultDataDir,
		`{"name":"net","ipam":null}`:                                           defaultDataDir,
		`{"name":"net","ipam":"host-local"}`:                                   defaultDataDir,
		`{"name":"net","ipam":{"dataDir":"/d"}}`:                               "/d",
		`{"name":"net","ipam":{"dataDir":"/d","subnet":"nonsense"}}`:           "/d",
		`{"name":"net","ipam":{"dataDir":"/d","ranges":[[{"subnet":7}]]}}`:     "/d",
		`{"name":"net","ipam":{"dataDir":"/d/"},"runtimeConfig":{"ips":true}}`: "/d",
	} {
		if got, err := parseRelease([]byte(config)); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", config, got, err, want)
		}
	}
}
