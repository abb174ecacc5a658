//go:build unix

package server

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that are free for this user in the file system of a directory.
func freeSpace(dir string) (uint64, bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true //nolint:gosec // a block has a positive size; its type differs between systems
}
