package stats

import (
	"strings"
	"testing"
)

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "42": 42, "max": unlimited, "-1": unlimited, "9223372036854771712": unlimited, "9223372036854710272": unlimited,
	} {
		if got, err := parseNumber(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	if _, err := parseNumber("12x"); err == nil {
		t.Error("12x is taken for a number")
	}
}

func TestMountsOfAContainersView(t *testing.T) {
	h := hierarchies{v1: map[string]mount{}}
	h.add("35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro master:9 shared:2 - cgroup cgroup rw,memory")
	h.add("36 31 0:33 /.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw")
	h.add("37 31 0:33 / /elsewhere rw - cgroup2 cgroup2 rw")
	g := h.find("4:memory:/docker/abc/def\n0::/../docker/def\n9:name=systemd:/x\n", "/root")
	if g.v1["memory"] != "/root/sys/fs/cgroup/memory/def" || g.unified != "/root/sys/fs/cgroup/unified/docker/def" {
		t.Errorf("got %+v", g)
	}
	if g := h.find("4:memory:/docker/other\n", "/"); g.v1["memory"] != "" {
		t.Errorf("a control group that is not mounted here is at %s", g.v1["memory"])
	}
}

func TestNoCgroups(t *testing.T) {
	if _, err := New(t.TempDir()); err == nil {
		t.Error("New succeeds without /proc")
	}
}

func FuzzParsers(f *testing.F) {
	f.Add("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=9\n")
	f.Add("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n")
	f.Add("8:0 Read 4096\nTotal 4096\n")
	f.Add("  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
	f.Add("9:name=systemd:/docker/x\n0::/docker/x\n")
	f.Add(`35 31 0:32 / /sys/fs/cg\040roup rw - cgroup cgroup rw,memory`)
	f.Add("Max open files            20000                20000                files\n")
	f.Fuzz(func(t *testing.T, text string) {
		if stats, err := parsePressure(text); (err == nil) == (stats == nil) {
			t.Errorf("pressure %v, %v", stats, err)
		}
		links, err := parseLinks(text)
		if err != nil && links != nil {
			t.Errorf("links %v with error %v", links, err)
		}
		for _, d := range append(parseIOStat(text), parseBlkio(text, text)...) {
			if d.bytes == nil || d.count == nil || strings.ContainsAny(d.major, " \n") {
				t.Errorf("device %+v", d)
			}
		}
		h := hierarchies{v1: map[string]mount{}}
		for line := range strings.Lines(text) {
			h.add(line)
		}
		for _, path := range h.find(text, "/root").v1 {
			if !strings.HasPrefix(path, "/root") {
				t.Errorf("control group %q is outside the root", path)
			}
		}
		parseOpenFiles(text)
		eachPair([]byte(text), func([]byte, uint64) {})
	})
}
