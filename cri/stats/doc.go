// Package stats measures containers and pods from the kernel's own files: the
// control groups, version 1 and 2 (cgroups(7)), and /proc. The container engine
// is never asked: its stats call costs a request a container and a second of
// waiting for its CPU figure.
//
//   - cgroup.go finds a container's control groups from a process in it, with
//     either version, either driver, and both versions at once (hybrid).
//   - usage.go says what is measured; usage_v1.go and usage_v2.go read it.
//   - rate.go turns CPU counters into CPU cores.
//   - collector.go is the way in: Collector.
//   - convert.go and metrics*.go give the results the CRI's shape: stats for
//     ContainerStats and PodSandboxStats, metrics with cAdvisor's names.
//
// Start at Collector. The caller is cri.
package stats
