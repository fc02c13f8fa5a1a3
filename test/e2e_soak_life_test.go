//go:build e2e && linux

package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	soakLabel = "soak"
	// soakScript says that it runs, and ends when it is told to.
	soakScript = "trap 'exit 0' TERM; echo up; sleep 3600 & wait $!"
)

// soakLog is what a log holds of a container that was started once.
var soakLog = regexp.MustCompile(`^\S+ stdout F up\n$`)

// soakContainers are the names of a pod's containers.
var soakContainers = [2]string{"one", "two"}

// life is a pod from its creation to its removal. It is kept by one caller, who
// remembers what it has done, and asks the daemon what came of it, as the kubelet
// does: the answer of a call may have been lost.
type life struct {
	*soak
	name    string
	attempt uint32
	execed  [2]bool
	ending  bool
	cutOff  bool // a call was, by a kill
	renewed bool // the first attempt was left half made
	failed  bool
}

// step makes the pod's next call; over says that there is none.
func (l *life) step() (over bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	pods, containers, ok := l.look(ctx)
	switch {
	case l.failed:
		return true
	case !ok:
		return false
	case len(pods) == 0 && l.ending:
		l.checkLogs()
		return true
	case len(pods) == 0:
		l.create(ctx)
	case l.ending:
		l.end(ctx, pods[0].GetId(), containers)
	case pods[0].GetState() != runtimeapi.PodSandboxState_SANDBOX_READY:
		l.renew(ctx, pods[0])
	default:
		l.grow(ctx, pods[0].GetId(), containers)
	}
	return l.failed
}

// look lists what there is of the pod.
func (l *life) look(ctx context.Context) (pods []*runtimeapi.PodSandbox, containers map[string]*runtimeapi.Container, ok bool) {
	selector := map[string]string{soakLabel: l.name}
	containers = map[string]*runtimeapi.Container{}
	ok = l.try(l, "list", func() error {
		answer, err := l.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: selector}})
		pods = answer.GetItems()
		return err
	}) && l.try(l, "list containers", func() error {
		answer, err := l.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: selector}})
		for _, c := range answer.GetContainers() {
			containers[c.GetMetadata().GetName()] = c
		}
		return err
	})
	return pods, containers, ok
}

func (l *life) config() *runtimeapi.PodSandboxConfig {
	return podConfig(l.name, hostPort(runtimeapi.Protocol_UDP, 0, 53), func(c *runtimeapi.PodSandboxConfig) {
		c.Labels = map[string]string{soakLabel: l.name}
		c.LogDirectory = filepath.Join(l.logs, l.name)
		c.Metadata.Attempt = l.attempt
	})
}

func (l *life) create(ctx context.Context) {
	l.try(l, "run", func() error {
		_, err := l.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: l.config()})
		return err
	})
}

// renew removes a pod that a killed daemon left half made, for another attempt.
func (l *life) renew(ctx context.Context, pod *runtimeapi.PodSandbox) {
	if !l.cutOff {
		l.t.Errorf("pod %s is %s, and no call for it was cut off", l.name, pod.GetState())
		l.failed = true
		return
	}
	l.renewed = true
	l.execed = [2]bool{}
	l.attempt++
	l.try(l, "remove half of", func() error {
		_, err := l.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.GetId()})
		return err
	})
}

// grow makes the next step of one of the containers that is not yet done.
func (l *life) grow(ctx context.Context, pod string, containers map[string]*runtimeapi.Container) {
	i := rand.N(2)
	if l.execed[i] {
		i = 1 - i
	}
	if l.execed[i] {
		l.ending = true
		return
	}
	name := soakContainers[i]
	switch c := containers[name]; c.GetState() {
	case runtimeapi.ContainerState_CONTAINER_CREATED: // also where there is none
		if c == nil {
			l.createContainer(ctx, pod, name)
			return
		}
		l.try(l, "start container", func() error {
			_, err := l.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: c.GetId()})
			return err
		})
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		l.execed[i] = l.try(l, "exec", func() error { return l.exec(ctx, c.GetId()) })
	default:
		l.t.Errorf("container %s of %s is %s, and nobody stopped it", name, l.name, c.GetState())
		l.failed = true
	}
}

func (l *life) createContainer(ctx context.Context, pod, name string) {
	config := shellContainer(name, soakScript, func(c *runtimeapi.ContainerConfig) {
		c.Labels = map[string]string{soakLabel: l.name}
	})
	l.try(l, "create container", func() error {
		_, err := l.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config, SandboxConfig: l.config()})
		return err
	})
}

func (l *life) exec(ctx context.Context, id string) error {
	answer, err := l.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/sh", "-c", "echo $((6*7))"}, Timeout: 60})
	if err == nil && string(answer.GetStdout()) != "42\n" {
		err = fmt.Errorf("it wrote %q", answer.GetStdout())
	}
	return err
}

// end makes one of the calls that end a pod, whichever.
func (l *life) end(ctx context.Context, pod string, containers map[string]*runtimeapi.Container) {
	c := containers[soakContainers[rand.N(2)]]
	switch what := rand.N(5); {
	case what == 0:
		l.try(l, "remove pod", func() error {
			_, err := l.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod})
			return err
		})
	case what == 1 || c == nil:
		l.try(l, "stop pod", func() error {
			_, err := l.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod})
			return err
		})
	case what == 2:
		l.try(l, "remove container", func() error {
			_, err := l.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: c.GetId()})
			return err
		})
	default:
		l.try(l, "stop container", func() error {
			_, err := l.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: c.GetId(), Timeout: rand.N(int64(3))})
			return err
		})
	}
}

// checkLogs: whatever happened to the daemon, a log has each line once.
func (l *life) checkLogs() {
	if l.renewed { // then it may have the lines of two containers
		return
	}
	for _, name := range soakContainers {
		path := filepath.Join(l.logs, l.name, name, "0.log")
		text, err := os.ReadFile(path)
		if err != nil || !soakLog.Match(text) {
			l.t.Errorf("the log of container %s of %s is %q: %v", name, l.name, text, err)
		}
	}
}
