//go:build e2e && linux

package test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// neededPrivileges is what the daemon needs of --privileged, for machines whose
// engine may not hand out all of it, such as one that runs in a container. It
// mounts the pins (SYS_ADMIN), opens other processes' namespaces (SYS_PTRACE,
// proc(5)), configures links and the packet filter (NET_ADMIN), and writes
// sysctls, which lie under paths that Docker makes read-only.
const neededPrivileges = "--cap-add SYS_ADMIN --cap-add SYS_PTRACE --cap-add NET_ADMIN " +
	"--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined"

// allCapabilities says whether this process could hand out every capability
// that the kernel has.
func allCapabilities(t *testing.T) bool {
	t.Helper()
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	highest, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		t.Fatal(err)
	}
	for capability := range highest + 1 {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if held == 0 {
			return false
		}
	}
	return true
}

// TestRunInDocker runs the daemon as a Mac user does, in a container on the
// engine's machine, and gives it a pod.
func TestRunInDocker(t *testing.T) {
	run := exec.Command("make", "run-in-docker")
	if !allCapabilities(t) {
		run.Args = append(run.Args, "PRIVILEGES="+neededPrivileges)
	}
	run.Dir = root
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		if t.Failed() {
			log, _ := exec.CommandContext(ctx, "docker", "logs", "mascri").CombinedOutput()
			t.Logf("the daemon said:\n%s", log)
		}
		output(t, ctx, "docker", "rm", "-f", "mascri")
		(&node{t: t}).forgetNetwork()
	})
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("make run-in-docker: %v\n%s", err, out)
	}
	connection, err := grpc.NewClient("unix:///run/mascri/mascri.sock", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() }) // nothing is buffered
	n := &node{t: t, dir: "/run/mascri", RuntimeServiceClient: runtimeapi.NewRuntimeServiceClient(connection)}
	n.awaitAnswer()

	a, b := n.run(podConfig("a")), n.run(podConfig("b", hostPort(runtimeapi.Protocol_TCP, 8080, 80)))
	pings(t, "", n.addresses(a)[0])
	serveTCP(t, "/run/mascri/netns/"+b, ":80")
	reaches(t, "/run/mascri/netns/"+a, n.addresses(b)[0].String()+":80")
	reaches(t, "", "127.0.0.1:8080")
	n.remove(a)
	n.remove(b)
	if left := strings.Join(append(n.leases(), n.veths()...), " "); left != "" {
		t.Errorf("left behind: %s", left)
	}
}
