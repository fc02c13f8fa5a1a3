package ipam

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pluginBinary builds the command as it is installed: the test binary starts
// more slowly and would hide what the leases cost.
func pluginBinary(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ipam")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../cmd/ipam")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return path
}

// fill writes leases as host-local would: held ones in a row, from 10.0.0.2.
// The pool ends right after the next address, so that it is nearly full.
func fill(b *testing.B, held int) (n *node, next netip.Addr) {
	b.Helper()
	addr := netip.MustParseAddr("10.0.0.2")
	n = newNode(b, "")
	n.write("lock", "")
	for i := range held {
		content := fmt.Sprintf("container-%060d\r\neth0", i)
		if err := os.WriteFile(n.path(addr.String()), []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
		addr = addr.Next()
	}
	return n, addr
}

// BenchmarkADD is one ADD in a process of its own beside so many leases. In a
// nearly full pool the free address is the one tried last, after all others.
func BenchmarkADD(b *testing.B) { benchmark(b, "ADD") }

// BenchmarkDEL and BenchmarkCHECK are the same for one lease among many.
func BenchmarkDEL(b *testing.B)   { benchmark(b, "DEL") }
func BenchmarkCHECK(b *testing.B) { benchmark(b, "CHECK") }

func benchmark(b *testing.B, verb string) {
	plugin := os.Getenv("IPAM_BENCH_PLUGIN") // another plugin to measure, such as host-local
	if plugin == "" {
		plugin = pluginBinary(b)
	}
	for _, held := range []int{0, 1_000, 10_000, 60_000} {
		for _, pool := range []string{"block", "full"} {
			b.Run(fmt.Sprintf("held=%d/%s", held, pool), func(b *testing.B) {
				n, next := fill(b, held)
				n.ipam = `"subnet":"10.0.0.0/16"`
				if pool == "full" {
					n.ipam += fmt.Sprintf(`,"rangeEnd":%q`, next)
				}
				n.process(b, plugin, "ADD")
				n.process(b, plugin, "DEL")
				b.ResetTimer()
				var cpu time.Duration
				for range b.N {
					b.StopTimer()
					n.process(b, plugin, "DEL")
					if verb != "ADD" {
						n.process(b, plugin, "ADD")
					}
					b.StartTimer()
					cpu += n.process(b, plugin, verb)
				}
				b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op") // on a busy machine the better number
			})
		}
	}
}

// process runs a verb and tells how long it kept a CPU busy.
func (n *node) process(b *testing.B, plugin, verb string) time.Duration {
	cmd := exec.Command(plugin)
	cmd.Env = environment(verb, "pod", "eth0", "")
	cmd.Stdin, cmd.Stderr = strings.NewReader(n.config()), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	text, readErr := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || readErr != nil {
		b.Fatalf("%s: %v %v: %s", verb, err, readErr, text)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
