//go:build e2e && linux

package test

import (
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestRunInDocker runs the daemon as a Mac user does, in a container on the
// engine's machine, and gives it a pod.
func TestRunInDocker(t *testing.T) {
	run := exec.Command("make", "run-in-docker")
	run.Dir = root
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("make run-in-docker: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		ctx, cancel := testContext()
		defer cancel()
		if t.Failed() {
			log, _ := exec.CommandContext(ctx, "docker", "logs", "mascri").CombinedOutput()
			t.Logf("the daemon said:\n%s", log)
		}
		output(t, ctx, "docker", "rm", "-f", "mascri")
	})
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
