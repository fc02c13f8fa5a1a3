package ipam

import (
	"slices"

	"golang.org/x/sys/unix"
)

// sharedTypes are the filesystems that more than one machine can mount
// (statfs(2), linux/magic.h). FUSE is among them as it may be anything.
var sharedTypes = []uint32{
	unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
	unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC,
	unix.CODA_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, 0x01161970, // the last: GFS2
}

// sharedFilesystem is cautious: what it cannot look up may be shared.
func sharedFilesystem(dir string) bool {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return true
	}
	return slices.Contains(sharedTypes, uint32(stat.Type))
}
