package cri

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mascri/mascri/cri/docker"
)

// ContainerStatus tells a container's state and what it was created with. With
// verbose, Info has "container": what the engine knows beyond the CRI's fields.
func (c *containers) ContainerStatus(ctx context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	w, err := c.findContainer(ctx, r.GetContainerId())
	if err != nil {
		return nil, err
	}
	if w.State == docker.Exited {
		c.finishLog(ctx, w) // who hears of the end may read the whole log
		if w, err = c.awaitOOM(ctx, w); err != nil {
			return nil, err
		}
	}
	answer := &runtimeapi.ContainerStatusResponse{Status: c.statusOf(w)}
	if r.GetVerbose() {
		answer.Info, err = w.info()
	}
	return answer, err
}

// statusOf is the container's status with what only its machine's kernel knows.
func (c *containers) statusOf(w workload) *runtimeapi.ContainerStatus {
	answer := w.status()
	if w.PID == 0 || c.config.RemoteEngine {
		return answer
	}
	answer.User = w.user()
	limits := answer.GetResources().GetLinux()
	if len(limits.GetUnified())+len(limits.GetHugepageLimits()) == 0 {
		return answer
	}
	if group, err := c.ownGroup(w); err == nil { // else it has just ended
		group.read(limits)
	}
	return answer
}

// criState: a container that could not be started is one that has ended, for
// nobody will start it again.
func (w workload) criState() runtimeapi.ContainerState {
	switch w.State {
	case docker.Created:
		if w.Error == "" {
			return runtimeapi.ContainerState_CONTAINER_CREATED
		}
	case docker.Running, docker.Paused, docker.Restarting:
		return runtimeapi.ContainerState_CONTAINER_RUNNING
	}
	return runtimeapi.ContainerState_CONTAINER_EXITED
}

func (w workload) status() *runtimeapi.ContainerStatus {
	answer := &runtimeapi.ContainerStatus{
		Id:          w.ID,
		Metadata:    w.config.GetMetadata(),
		State:       w.criState(),
		CreatedAt:   w.created.UnixNano(),
		StartedAt:   nanos(w.Started),
		Image:       w.image(),
		ImageId:     w.ImageID,
		ImageRef:    w.imageRef(),
		Labels:      w.config.GetLabels(),
		Annotations: w.config.GetAnnotations(),
		Mounts:      w.mounts(),
		LogPath:     w.logPath,
		Resources:   &runtimeapi.ContainerResources{Linux: w.resources()},
		StopSignal:  signalOf(w.StopSignal),
	}
	if answer.State == runtimeapi.ContainerState_CONTAINER_EXITED {
		answer.FinishedAt = nanos(w.finished())
		answer.ExitCode = int32(w.ExitCode)
		answer.Reason, answer.Message = w.reason(), w.Error
	}
	return answer
}

func (w workload) imageRef() string {
	if ref := w.Labels[labelImageRef]; ref != "" {
		return ref
	}
	return w.ImageID
}

// nanos is a time of the engine's; 0 is never.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// resources are the limits in force; those that Docker does not know are as
// they were at create, see statusOf.
func (w workload) resources() *runtimeapi.LinuxContainerResources {
	asked := w.config.GetLinux().GetResources()
	return &runtimeapi.LinuxContainerResources{
		CpuPeriod:              w.Resources.CPUPeriod,
		CpuQuota:               w.Resources.CPUQuota,
		CpuShares:              w.Resources.CPUShares,
		MemoryLimitInBytes:     w.Resources.Memory,
		MemorySwapLimitInBytes: w.Resources.MemorySwap,
		OomScoreAdj:            int64(w.Resources.OOMScoreAdj),
		CpusetCpus:             w.Resources.CpusetCPUs,
		CpusetMems:             w.Resources.CpusetMems,
		HugepageLimits:         asked.GetHugepageLimits(),
		Unified:                asked.GetUnified(),
	}
}

// mounts are the mounts as they were made: for a private one of a directory
// that holds Docker's own, Docker chooses host-to-container propagation.
func (w workload) mounts() []*runtimeapi.Mount {
	var mounts []*runtimeapi.Mount
	for _, p := range w.Mounts {
		m := &runtimeapi.Mount{
			ContainerPath:     p.ContainerPath,
			HostPath:          p.HostPath,
			Readonly:          p.ReadOnly,
			RecursiveReadOnly: p.RecursiveReadOnly,
			SelinuxRelabel:    p.RelabelSELinux,
			ImageSubPath:      p.ImageSubpath,
		}
		for mode, propagation := range propagations {
			if p.Propagation == propagation {
				m.Propagation = mode
			}
		}
		if p.Image != "" {
			m.Image = w.mountedImage(p)
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// mountedImage is an image as it was asked for, with the ID of what is mounted.
func (w workload) mountedImage(p docker.MountPoint) *runtimeapi.ImageSpec {
	image := &runtimeapi.ImageSpec{Image: p.Image}
	for _, asked := range w.config.GetMounts() {
		if asked.GetContainerPath() == p.ContainerPath && asked.GetImage() != nil {
			image = proto.CloneOf(asked.GetImage()) // the configuration is shared
		}
	}
	image.ImageRef = p.Image
	return image
}

// user is whom the container's first process runs as, by proc_pid_status(5);
// nil when it has ended.
func (w workload) user() *runtimeapi.ContainerUser {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", w.PID))
	if err != nil {
		return nil
	}
	defer file.Close()
	user := &runtimeapi.LinuxContainerUser{Uid: -1}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, rest, _ := strings.Cut(lines.Text(), ":")
		var ids []int64
		for _, word := range strings.Fields(rest) {
			id, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				break
			}
			ids = append(ids, id)
		}
		switch {
		case key == "Uid" && len(ids) == 4:
			user.Uid = ids[0]
		case key == "Gid" && len(ids) == 4:
			user.Gid = ids[0]
		case key == "Groups":
			slices.Sort(ids)
			user.SupplementalGroups = ids
		}
	}
	if user.Uid < 0 { // it ended meanwhile
		return nil
	}
	return &runtimeapi.ContainerUser{Linux: user}
}

func (w workload) info() (map[string]string, error) {
	text, err := json.Marshal(map[string]any{
		"name":       w.Name,
		"pid":        w.PID,
		"sandboxID":  w.sandbox,
		"state":      w.State,
		"runtime":    w.Runtime,
		"cgroup":     w.CgroupParent,
		"dockerLog":  w.LogPath,
		"namespaces": w.Namespaces,
		"privileged": w.Privileged,
		"user":       w.User,
	})
	if err != nil {
		return nil, fmt.Errorf("describe container %s: %w", short(w.ID), err)
	}
	return map[string]string{"container": string(text)}, nil
}
