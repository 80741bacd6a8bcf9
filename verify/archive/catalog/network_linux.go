package catalog

import (
	"slices"

	"golang.org/x/sys/unix"
)

// networkTypes are file systems of which another machine may have the files, or whose
// locks and shared memory do not hold for all who use them.
var networkTypes = []uint32{
	unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC, unix.AFS_SUPER_MAGIC,
	unix.AFS_FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC, unix.OCFS2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
	0x0bd00bd0, // Lustre
	0x47504653, // GPFS
	0x01161970, // GFS2
}

// isNetwork reports whether a directory is on a network file system.
func isNetwork(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && slices.Contains(networkTypes, uint32(s.Type))
}
