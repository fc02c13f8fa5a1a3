// Package podnet puts pods on a CNI network and takes them off again. It is
// the only importer of libcni, and between cri, which knows pods, and the
// plugins, which know one interface in one namespace.
//
// Two ideas carry it. What an ADD runs with (the network's configuration, the
// arguments, the capabilities) is one value, an Attachment, made before the
// pod's first container exists; whoever keeps it can always undo the ADD,
// whatever became of the configuration directory. And the pod's network
// namespace is pinned by a bind mount, so it outlives the pod's processes
// until DEL has run in it.
//
// Where to read, in the order of a pod's life:
//
//	confdir.go     which network: the configuration directory, read when needed
//	network.go     a configuration, checked and made self-contained
//	fallback.go    the built-in network, and pod CIDRs from the kubelet
//	attachment.go  what ADD and DEL run with: CNI_ARGS and capabilities
//	manager.go     SetUpPod, TearDownPod, Check
//	pin.go         keeping a network namespace
//	exec.go        one run of a plugin: deadline, process group, trace
//	status.go      can a pod be set up now, and if not, why
//	gc.go          collecting what no pod owns any more
//	owed.go        a DEL that has to be tried again after its pod has gone
//	preview.go     the same way through a network without doing anything
//
// Read next: netplug, the plugin at the other end of exec.go.
package podnet
