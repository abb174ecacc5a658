package cache

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const mb = 1 << 20

// Memory budgets of the tiers.
const (
	// DefaultHot is the hot tier's budget if there is enough memory.
	DefaultHot = 512 * mb
	// DefaultWarm is the warm tier's budget if there is enough memory.
	DefaultWarm = 2048 * mb
	// Default stands for a budget that is not set.
	Default = -1
)

const (
	// workMemory is the Go heap that a busy instance needs beside the hot tier: for requests, subscribers, the engine
	// and uncollected garbage. A small machine has less to do.
	workMemory = 256 * mb
	// outsideMemory is the memory outside the Go heap, without the warm tier: the program, stacks, and the engine's
	// files. A soak test checks that all memory stays under 1.15 times the sum of hot, warm and this.
	outsideMemory = 150 * mb
	// leastHot is the smallest hot tier that Budget chooses, and leastWork the smallest heap beside it.
	leastHot  = 8 * mb
	leastWork = 64 * mb
	// warmPerHot is the ratio of warm to hot when Budget chooses both.
	warmPerHot = 4
)

// Memory is how much memory a process may use.
type Memory struct {
	Bytes int64  // 0 if unknown
	Of    string // its owner: "the container", "the machine"
	// Own is true if the memory belongs to this process alone, like a container's.
	Own bool
}

// ReadMemory returns the machine's memory or the lowest limit of the process's control group (version 1 or 2),
// whichever is less. root is the file system's root, os.DirFS("/").
func ReadMemory(root fs.FS) Memory {
	m := Memory{Bytes: machineMemory(root), Of: "the machine"}
	if limit := groupLimit(root); limit > 0 && (m.Bytes == 0 || limit < m.Bytes) {
		m = Memory{Bytes: limit, Of: "the container", Own: true}
	}
	return m
}

// machineMemory reads the machine's memory from /proc/meminfo, 0 if it can't.
func machineMemory(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// groupLimit returns the lowest limit of the process's control group and its parents, 0 for none.
func groupLimit(root fs.FS) int64 {
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	var least int64
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, files := "", []string(nil)
		switch {
		case parts[0] == "0" && parts[1] == "":
			base, files = "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		case strings.Contains(","+parts[1]+",", ",memory,"):
			base, files = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		}
		// Inside a container the path may be the host's and not exist: then the root is the container's own group.
		for dir := path.Clean("/" + parts[2]); base != ""; dir = path.Dir(dir) {
			for _, file := range files {
				if n := limitIn(root, path.Join(base, dir, file)); n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// limitIn reads one limit, 0 for none. Version 1 writes a huge number for none.
func limitIn(root fs.FS, file string) int64 {
	b, err := fs.ReadFile(root, file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n >= 1<<60 {
		return 0
	}
	return n
}

// Sizes are the memory budgets of an instance.
type Sizes struct {
	Hot, Warm int64
	// Limit is for the Go heap, which holds the hot tier and all other work: debug.SetMemoryLimit, or GOMEMLIMIT. The
	// warm tier is outside the heap.
	Limit int64
	// Needs is the memory of the whole process: a container must have at least this.
	Needs int64
	// Warning says why the sizes do not fit and what to do; "" if they fit.
	Warning string
}

// Budget returns sizes that fit into memory. A budget that is set stays; one that is [Default] gets its default size,
// or less if there is less room.
func Budget(m Memory, hot, warm int64) Sizes {
	chosen := hot == Default || warm == Default
	s := sizes(orUsual(hot, DefaultHot), orUsual(warm, DefaultWarm), workMemory)
	if m.Bytes <= 0 || s.Needs <= m.share() {
		return s
	}
	if chosen {
		s = m.shrunk(hot, warm)
	}
	switch {
	case s.Needs > m.Bytes:
		s.Warning = fmt.Sprintf("%s has %d MB of memory, and with caches of %d MB hot and %d MB warm tenet may take "+
			"%d MB: "+
			"give it more memory or smaller caches", m.Of, m.Bytes/mb, s.Hot/mb, s.Warm/mb, s.Needs/mb)
		// a lower limit would collect garbage all the time
		s.Limit = max(m.Bytes-s.Warm-outsideMemory, s.Hot*5/4+leastWork)
		s.Needs = s.Limit + s.Warm + outsideMemory
	case chosen:
		s.Warning = fmt.Sprintf("%s has %d MB of memory: the caches get %d MB hot and %d MB warm instead of %d and "+
			"%d, and will "+
			"find less", m.Of, m.Bytes/mb, s.Hot/mb, s.Warm/mb, orUsual(hot, DefaultHot)/mb,
			orUsual(warm, DefaultWarm)/mb)
	}
	return s
}

func orUsual(set, usual int64) int64 {
	if set == Default {
		return usual
	}
	return max(set, 0)
}

// share is the memory that an instance takes if nothing is set: most of its own, or half of a shared machine's, which
// may also run a database.
func (m Memory) share() int64 {
	if m.Own {
		return m.Bytes / 4 * 3
	}
	return m.Bytes / 2
}

// shrunk returns sizes that fit into the share. A budget that is set stays.
func (m Memory) shrunk(hot, warm int64) Sizes {
	work := min(workMemory, max(leastWork, m.share()/2))
	room := m.share() - work - outsideMemory
	chooseHot, chooseWarm := hot == Default, warm == Default
	switch {
	case chooseHot && chooseWarm:
		hot = room * 4 / (5 + 17*warmPerHot/4)
		if warm = hot * warmPerHot; warm < MinWarm {
			hot = room * 4 / 5
		}
	case chooseHot:
		hot = (room - outside(warm)) * 4 / 5
	case chooseWarm:
		warm = (room - hot*5/4) * 16 / 17
	}
	if chooseHot {
		hot = min(max(hot, leastHot), DefaultHot)
	}
	if chooseWarm {
		warm = min(max(warm, 0), DefaultWarm)
		warm -= warm % MinWarm
	}
	return sizes(max(hot, 0), max(warm, 0), work)
}

// outside is the memory of the warm tier: its entries, and their index on the heap.
func outside(warm int64) int64 { return warm + warm/16 }

func sizes(hot, warm, work int64) Sizes {
	s := Sizes{Hot: hot, Warm: warm, Limit: hot*5/4 + warm/16 + work}
	s.Needs = s.Limit + s.Warm + outsideMemory
	return s
}
