package pgtest

import "golang.org/x/sys/unix"

// InMemory returns a directory for [Options] Dir whose files are in memory, or "" where there is none with room.
func InMemory() string {
	const dir, room = "/dev/shm", 4 << 30
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Bavail*uint64(st.Bsize) < room {
		return ""
	}
	return dir
}
