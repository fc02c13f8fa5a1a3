package docker

import "syscall"

// nsfsMagic is the type of the file system that namespaces are files of
// (NSFS_MAGIC in linux/magic.h).
const nsfsMagic = 0x6e736673

// isNamespace tells a namespace from the plain file that is left of a bind
// mount made in another mount namespace.
func isNamespace(path string) bool {
	var fs syscall.Statfs_t
	return syscall.Statfs(path, &fs) == nil && fs.Type == nsfsMagic
}
