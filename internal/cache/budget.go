package cache

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const mb = 1 << 20

// Budgets of the tiers.
const (
	// DefaultHot is the budget of the hot tier where there is memory enough.
	DefaultHot = 512 * mb
	// DefaultWarm is the budget of the warm tier where there is memory enough.
	DefaultWarm = 2048 * mb
	// Default stands for a budget that nobody has set.
	Default = -1
)

const (
	// workMemory is what a busy tenet needs on the Go heap beside the hot tier: requests, subscribers, the engine, and room for
	// the garbage of a while. A small machine has less to do.
	workMemory = 256 * mb
	// outsideMemory is what it needs outside the heap beside the warm tier: the program itself, stacks, the engine's files. It
	// is also the base of the promise that a soak checks: all memory is at most 1.15 times hot, warm and this together.
	outsideMemory = 150 * mb
	// leastHot is the smallest hot tier that Budget chooses, and leastWork what the heap needs beside it in any case.
	leastHot  = 8 * mb
	leastWork = 64 * mb
	// warmPerHot is how much larger than the hot tier the warm one is.
	warmPerHot = 4
)

// Memory is how much memory a process may use.
type Memory struct {
	Bytes int64  // 0 when nobody knows
	Of    string // whose: "the container", "the machine"
	// Own is true when the memory is for this process alone, as a container's is.
	Own bool
}

// ReadMemory returns the smaller of the memory of the machine and of the limits of the process's control group, of either
// version. The root is that of the file system, os.DirFS("/").
func ReadMemory(root fs.FS) Memory {
	m := Memory{Bytes: machineMemory(root), Of: "the machine"}
	if limit := groupLimit(root); limit > 0 && (m.Bytes == 0 || limit < m.Bytes) {
		m = Memory{Bytes: limit, Of: "the container", Own: true}
	}
	return m
}

// machineMemory reads the memory of the machine from /proc/meminfo, 0 when it is not told.
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

// groupLimit returns the least limit of the process's control group and those above it, 0 for none.
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
		// Inside a container the path may be that of the machine, which is not there: then the root is the container's own group.
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

// limitIn reads one limit, 0 for none. The first version says "none" with a number that no machine has.
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

// Sizes are the budgets of a tenet's memory.
type Sizes struct {
	Hot, Warm int64
	// Limit is for the Go heap, which holds the hot tier and all work: debug.SetMemoryLimit, or GOMEMLIMIT. The warm tier is
	// outside of it.
	Limit int64
	// Needs is what the process may take altogether: a container wants at least this.
	Needs int64
	// Warning says what is wrong with it, and what to do; "" when all is well.
	Warning string
}

// Budget returns the sizes that fit into memory: hot and warm as they were set, and where they are [Default] as large as usual,
// or as large as there is room for.
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
		s.Warning = fmt.Sprintf("%s has %d MB of memory, and with caches of %d MB hot and %d MB warm tenet may take %d MB: "+
			"give it more memory or smaller caches", m.Of, m.Bytes/mb, s.Hot/mb, s.Warm/mb, s.Needs/mb)
		s.Limit = max(m.Bytes-s.Warm-outsideMemory, s.Hot*5/4+leastWork) // less would only collect garbage all the time
		s.Needs = s.Limit + s.Warm + outsideMemory
	case chosen:
		s.Warning = fmt.Sprintf("%s has %d MB of memory: the caches get %d MB hot and %d MB warm instead of %d and %d, and will "+
			"find less", m.Of, m.Bytes/mb, s.Hot/mb, s.Warm/mb, orUsual(hot, DefaultHot)/mb, orUsual(warm, DefaultWarm)/mb)
	}
	return s
}

func orUsual(set, usual int64) int64 {
	if set == Default {
		return usual
	}
	return max(set, 0)
}

// share is the part of the memory that a tenet takes without being told to: most of its own, half of what it shares, since
// there may be a database beside it.
func (m Memory) share() int64 {
	if m.Own {
		return m.Bytes / 4 * 3
	}
	return m.Bytes / 2
}

// shrunk returns the sizes that fit into the share, keeping what was set.
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

// outside is what the warm tier takes: its entries, and their index on the heap.
func outside(warm int64) int64 { return warm + warm/16 }

func sizes(hot, warm, work int64) Sizes {
	s := Sizes{Hot: hot, Warm: warm, Limit: hot*5/4 + warm/16 + work}
	s.Needs = s.Limit + s.Warm + outsideMemory
	return s
}
