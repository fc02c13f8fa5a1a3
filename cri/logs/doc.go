// Package logs turns the log that Docker keeps of a container into the log that
// the kubelet reads: CRI lines, in a file that the kubelet rotates.
//
// # Two ways, and why this one
//
// Docker can hand a container's output to a log driver: a unix socket of ours
// that dockerd calls, and a FIFO that it copies into. That couples the two
// daemons. While ours is down, starting a container fails, ending one waits ten
// seconds and more for StopLogging, and a container that writes more than the
// FIFO holds (64 KiB) stands still; dockerd does not call StartLogging again
// when we are back. All of it was measured on Docker 20.10 and 29.
//
// The other way is taken here: Docker writes its ordinary json-file and this
// package follows it. Nothing waits for us, and a daemon that was away catches
// up. Its price, and what is done about it:
//
//   - The output is on disk twice. What has been converted is given back by
//     punching a hole into Docker's file (punch_linux.go), which keeps its
//     offsets; `docker logs` still shows the rest.
//   - Docker's own rotation could remove lines that nobody has read. DockerOptions
//     switch it off; the files that it or somebody else rotated are followed
//     nevertheless, oldest first (source.go).
//   - Bytes that are not UTF-8 reach us as U+FFFD: Docker's JSON cannot hold
//     them. A log driver would get them as they are.
//   - Docker's directory must be readable, which takes root. The daemon needs
//     root for network namespaces anyway.
//
// # No line lost, none doubled
//
// Converting is a function: the same input gives the same bytes (convert.go).
// So it is enough to remember one pair of positions at which input and output
// agreed (position.go). After a crash the input behind that position is
// converted again and compared with what the output already holds behind its
// own: that much is not written twice, to the byte, even where the crash cut a
// line in two or the kubelet has renamed the file since (output.go, tail.go).
//
// # Cost
//
// A container costs one inotify watch, two open files and a goroutine that
// sleeps. Start at Follower; the caller is cri.
package logs
