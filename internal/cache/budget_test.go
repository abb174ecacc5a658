package cache

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"tenet/internal/needs"
)

func files(named map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range named {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func TestMemoryIsTheSmallestLimitThatHolds(t *testing.T) {
	const machine = "MemTotal:       16384000 kB\nMemFree:  123 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  Memory
	}{
		"nothing is told": {nil, Memory{Of: "the machine"}},
		"a machine": {
			map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/\n"},
			Memory{Bytes: 16384000 << 10, Of: "the machine"},
		},
		"a container": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "0::/\n",
				"sys/fs/cgroup/memory.max": "1073741824\n",
			},
			Memory{Bytes: 1 << 30, Of: "the container", Own: true},
		},
		"a container without a limit": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "0::/\n",
				"sys/fs/cgroup/memory.max": "max\n",
			},
			Memory{Bytes: 16384000 << 10, Of: "the machine"},
		},
		"a service in a slice": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "0::/system.slice/tenet.service\n",
				"sys/fs/cgroup/system.slice/tenet.service/memory.max":  "max\n",
				"sys/fs/cgroup/system.slice/tenet.service/memory.high": "800000000\n",
				"sys/fs/cgroup/system.slice/memory.max":                "2000000000\n",
			},
			Memory{Bytes: 800000000, Of: "the container", Own: true},
		},
		"a limit above the service": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "900000000",
				"sys/fs/cgroup/a/memory.max": "700000000",
			},
			Memory{Bytes: 700000000, Of: "the container", Own: true},
		},
		"the first version": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "12:cpu,cpuacct:/x\n9:memory:/docker/abc\n0::/\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
			},
			Memory{Bytes: 512 << 20, Of: "the container", Own: true},
		},
		"the first version without a limit": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "9:memory:/\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			},
			Memory{Bytes: 16384000 << 10, Of: "the machine"},
		},
		"a limit above the machine's memory": {
			map[string]string{
				"proc/meminfo": machine, "proc/self/cgroup": "0::/\n",
				"sys/fs/cgroup/memory.max": "99999999999999\n",
			},
			Memory{Bytes: 16384000 << 10, Of: "the machine"},
		},
		"nonsense": {
			map[string]string{
				"proc/meminfo": "MemTotal: lots kB\n", "proc/self/cgroup": "what\n0::/../..\n",
				"sys/fs/cgroup/memory.max": "a few\n",
			},
			Memory{Of: "the machine"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ReadMemory(files(c.files)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestThisMachinesMemoryIsRead(t *testing.T) {
	if _, err := os.Stat("/proc/meminfo"); err != nil {
		needs.Missing(t, "no /proc/meminfo here")
	}
	if m := ReadMemory(os.DirFS("/")); m.Bytes < 64*mb {
		t.Errorf("got %+v", m)
	}
}

func TestBudgetsFitIntoMemory(t *testing.T) {
	own := func(n int64) Memory { return Memory{Bytes: n * mb, Of: "the container", Own: true} }
	shared := func(n int64) Memory { return Memory{Bytes: n * mb, Of: "the machine"} }
	for name, c := range map[string]struct {
		m         Memory
		hot, warm int64
		wantHot   int64 // in MB
		wantWarm  int64
		warning   string
	}{
		"plenty":                         {shared(24000), Default, Default, 512, 2048, ""},
		"unknown":                        {Memory{}, Default, Default, 512, 2048, ""},
		"4 GB for a database as well":    {shared(4096), Default, Default, 298, 1184, "will find less"},
		"1 GB alone":                     {own(1024), Default, Default, 65, 256, "will find less"},
		"too little for a warm tier":     {own(512), Default, Default, 33, 0, "will find less"},
		"too little for anything":        {own(200), Default, Default, 8, 0, "give it more memory"},
		"set and fitting":                {own(4096), 256 * mb, 1024 * mb, 256, 1024, ""},
		"set too large":                  {own(1024), 512 * mb, 2048 * mb, 512, 2048, "give it more memory"},
		"off":                            {own(1024), 0, 0, 0, 0, ""},
		"hot set, room for a small warm": {own(2048), 128 * mb, Default, 128, 896, "will find less"},
		"warm set, room for a small hot": {own(2048), Default, 512 * mb, 468, 512, "will find less"},
		"warm off, hot as usual":         {own(4096), Default, 0, 512, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Budget(c.m, c.hot, c.warm)
			if got.Hot/mb != c.wantHot || got.Warm/mb != c.wantWarm || (got.Warning == "") != (c.warning == "") ||
				!strings.Contains(got.Warning, c.warning) {
				t.Errorf("got %d MB hot, %d MB warm, warning %q", got.Hot/mb, got.Warm/mb, got.Warning)
			}
			if got.Needs != got.Limit+got.Warm+outsideMemory {
				t.Errorf("needs %d MB with a limit of %d MB", got.Needs/mb, got.Limit/mb)
			}
			t.Logf("%+v", got)
		})
	}
}

func TestChosenBudgetsAreWithinTheMemoryOrWarnedOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Memory{Bytes: rapid.Int64Range(0, 16<<30).Draw(t, "memory"), Of: "it", Own: rapid.Bool().Draw(t, "own")}
		size := func(name string) int64 {
			if rapid.Bool().Draw(t, name+" is set") {
				return rapid.Int64Range(0, 8<<30).Draw(t, name)
			}
			return Default
		}
		hot, warm := size("hot"), size("warm")
		got := Budget(m, hot, warm)
		switch {
		case got.Hot < 0 || got.Warm < 0 || got.Limit < leastWork && m.Bytes > 2*leastWork, got.Limit < got.Hot:
			t.Fatalf("%+v", got)
		case hot != Default && got.Hot != hot, warm != Default && got.Warm != warm:
			t.Fatalf("%+v: what was set is not kept", got)
		case hot == Default && got.Hot > DefaultHot, warm == Default && got.Warm > DefaultWarm:
			t.Fatalf("%+v: more than usual was chosen", got)
		case got.Warm > 0 && warm == Default && got.Warm < MinWarm:
			t.Fatalf("%+v: a warm tier that can't be", got)
		case m.Bytes > 0 && got.Needs > m.Bytes && got.Warning == "":
			t.Fatalf("%+v: more than there is, and no warning", got)
		}
	})
}
