// Package cri is a CRI runtime on a Docker engine: the kubelet's (or crictl's)
// gRPC calls come in here, and leave as calls to the engine (cri/docker) and to
// the pod network (cri/podnet).
//
// It keeps no database. A sandbox's identity and configuration stand in the
// labels of its container, what its network was set up with beside them, and
// what it got in libcni's records; all else is asked for when it is needed, and
// after a crash recover.go compares the three and finishes what was half done.
//
// Where to read, in the order of a RunPodSandbox:
//
//	server.go            Server, and what it needs of the engine and the network
//	listen.go            the socket and the gRPC server on it; codec.go encodes
//	intercept.go         what every call gets: a log line, panics caught, codes
//	codes.go             our errors as gRPC codes, in one place
//	validate.go          a pod's configuration at the door
//	pod.go               the validated pod, and its container in Docker's terms
//	labels.go            what a sandbox's labels say
//	sandbox_run.go       RunPodSandbox: one straight function, with
//	undo.go              the steps that take it back
//	resolvconf.go        the pod's DNS settings
//	sandbox_stop.go      StopPodSandbox and RemovePodSandbox
//	disconnect.go        taking a pod off its network, and what if that cannot be done
//	sandbox_status.go    PodSandboxStatus and ListPodSandbox
//	status.go            Version, Status, RuntimeConfig, UpdateRuntimeConfig
//	checkpoint.go        what Docker has no way to do
//	recover.go           after a restart
//	container_service.go the other half: containers, in the order of
//	container_validate.go, container_create.go (and container_config.go,
//	container_security.go, container_groups.go), container_lifecycle.go,
//	container_status.go, container_list.go, container_log.go,
//	container_stream.go, container_stats.go, container_events.go, and
//	container_memory.go, by which lists and states cost the engine nothing
//	image_service.go     images, and image_memory.go as for containers
//	network_docker.go    the network mode that uses Docker's own networks
//	dryrun/              the mode that performs nothing and prints
//
// Read next: cri/podnet for the network, cri/docker for the engine.
package cri
