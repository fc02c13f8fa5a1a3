// Package docker is MasCRI's view of a Docker engine: sandboxes, containers,
// processes, images and events in the words of the CRI.
//
// It is the only package that imports the Docker client, and no Docker type
// leaves it: what callers hand in and get back are plain structs of this
// package. Every method takes a context, is bounded even when that context is
// not (see WithCallTimeout), and answers errors that match one of the
// sentinels in errors.go.
//
// Where to read, in the order of a pod's life:
//
//	engine.go    Connect, and call: what every request to the engine goes through
//	sandbox.go   SandboxSpec and CreateSandbox: the pause container
//	pause/       the pause program and its image, built without a compiler
//	lifecycle.go Start, Stop, Kill, Remove, Wait
//	inspect.go   Container, Inspect, List: what the engine knows
//	netns.go     where the pod's network namespace is, for the CNI plugins
//	create.go    ContainerSpec and CreateContainer: the workload
//	exec.go      processes in a running container, and their streams
//	image.go     images: pull, list, inspect, remove, usage
//	events.go    what happened, with a signal to resynchronise after a gap
package docker
