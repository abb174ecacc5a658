package failover_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

//nolint:gochecknoglobals // a flag of the test
var stormSeed = flag.Uint64("storm-seed", 0, "seed of the random outages of a real PostgreSQL; 0 takes one from "+
	"the clock")

// TestRandomOutagesOfPostgreSQL lets clients read and write through three instances on a real server, each in a process
// of its own, while all that can go wrong does at random, alone and together: see [storm]. It checks every invariant. A
// failure names its seed: run it again with -storm-seed.
func TestRandomOutagesOfPostgreSQL(t *testing.T) { runStorm(t, seedOf(*stormSeed), 4) }

// TestSoakOutages does the same for as long as TENET_SOAK says, with a new seed and a new database each round.
func TestSoakOutages(t *testing.T) {
	text := os.Getenv(soakEnv)
	if text == "" {
		t.Skip("TENET_SOAK is not set: it says how long to soak, as in 10m")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TENET_SOAK: %v", err)
	}
	seed := seedOf(*stormSeed)
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { runStorm(t, seed, 20) })
	}
}

func seedOf(seed uint64) uint64 {
	if seed == 0 {
		return uint64(time.Now().UnixNano()) % 1_000_000
	}
	return seed
}

// A storm is three instances on a real server, each in a process of its own and with a line of its own, and what goes
// wrong with all of them.
type storm struct {
	*cluster
	r      *rand.Rand
	server *pgtest.Server
	began  time.Time
	notes  []string        // what was done to everybody, and when
	wires  []*wire         // of the instances: what a network does to bytes
	tricks []*pgtest.Proxy // of the instances: what it does to commits
	tables string          // the disk of the tables, "" where none may be mounted
	book   string          // the disk of the first instance's journal, the same
}

// A mishap is something that goes wrong. It returns what ends it.
type mishap struct {
	name string
	do   func() (heal func())
}

// runStorm lets so many mishaps pass, one to three at a time.
func runStorm(t *testing.T, seed uint64, mishaps int) {
	t.Helper()
	s := newStorm(t)
	s.r, s.seed = rand.New(rand.NewPCG(seed, seed)), seed
	s.load(func() {
		s.more(100)
		for n := 0; n < mishaps; {
			n += s.pass()
		}
	})
	s.check()
	t.Logf("seed %d:\n%s", seed, strings.Join(s.notes, "\n"))
	if t.Failed() {
		t.Errorf("seed %d: run it again with -storm-seed", seed)
	}
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	s := &storm{began: time.Now()}
	t.Run("small disks", func(sub *testing.T) { // it may not be allowed
		pgtest.SmallDisk(sub, 1<<20)
		s.tables, s.book = "yes", "yes"
	})
	if s.tables != "" {
		s.tables, s.book = pgtest.SmallDisk(t, 128<<20), pgtest.SmallDisk(t, 48<<20)
	}
	s.server = pgtest.Start(t, pgtest.Options{Settings: map[string]string{
		"max_connections":  "40",
		"deadlock_timeout": "50ms",
	}})
	at := newSite(t, s.server)
	if s.tables != "" {
		s.server.Tablespace("small", s.tables)
		pgtest.Exec(t, s.server.URL("postgres"), "ALTER DATABASE "+at.name+" SET TABLESPACE small")
	}
	s.cluster = &cluster{
		t: t, site: at, look: openPrimary(t, at.url), pace: 3 * time.Millisecond, patience: time.Minute, start: s.fork,
	}
	for range instances {
		w := newWire(t, s.server.Addr())
		s.wires = append(s.wires, w)
		s.tricks = append(s.tricks, pgtest.NewProxy(t, w.proxy.Listen, "tenet_apply"))
	}
	s.begin(instances, s.book)
	return s
}

// instances is how many a storm has.
const instances = 3

// fork starts an instance in a process of its own.
func (s *storm) fork(n *node) {
	s.t.Helper()
	i := s.index(n)
	if n.log == "" {
		n.log = filepath.Join(n.dir, "log")
		s.t.Cleanup(func() {
			if log, _ := os.ReadFile(n.log); s.t.Failed() {
				s.t.Logf("instance %d, the end of its log:\n%s", i, log[max(0, len(log)-2_000_000):])
			}
		})
	}
	p, err := startProcess(setting{n.dir, n.journals, s.tricks[i].Through(s.site.url), n.log})
	if err != nil {
		s.t.Fatal(err)
	}
	n.s, n.end = p, p.kill
}

// note notes what is done to everybody.
func (s *storm) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf("%7.3fs ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

func (s *storm) index(n *node) int {
	for i := range s.nodes {
		if s.nodes[i] == n {
			return i
		}
	}
	return -1
}

// pass lets one to three mishaps come together, and returns how many. What needs a server that answers comes first and
// goes last.
func (s *storm) pass() int {
	groups := [][]mishap{s.ofFiles(), s.ofSessions(), s.ofCommits(), s.ofLines(), s.ofServers()}
	n := 1 + s.r.IntN(3)
	chosen := map[int]bool{}
	for len(chosen) < n {
		chosen[s.r.IntN(len(groups))] = true
	}
	var heals []func()
	var names []string
	for i, group := range groups {
		if !chosen[i] {
			continue
		}
		m := group[s.r.IntN(len(group))]
		names = append(names, m.name)
		s.note("fault: %s", m.name)
		heals = append(heals, m.do())
	}
	s.more(50 + s.r.IntN(100))
	if s.r.IntN(2) == 0 {
		s.kill9(s.any())
		s.more(30)
	}
	for _, heal := range slices.Backward(heals) {
		heal()
	}
	s.note("healed: %s", strings.Join(names, ", "))
	s.whole()
	s.more(50 + s.r.IntN(150))
	if s.r.IntN(3) == 0 {
		s.kill9(s.any())
	}
	return n
}

// any returns one of the instances.
func (s *storm) any() *node { return s.nodes[s.r.IntN(len(s.nodes))] }

// some returns the numbers of one instance, or two, or all.
func (s *storm) some() []int { return s.r.Perm(len(s.nodes))[:1+s.r.IntN(len(s.nodes))] }

// kill9 kills an instance whatever it is doing, and starts it again.
func (s *storm) kill9(n *node) {
	s.note("instance %d is killed", s.index(n))
	n.end()
	s.again(n)
}

// whole waits until the mirrors that were damaged were made anew. A damage that a running instance does not find, since
// it has the pages in memory, the next start of it finds.
func (s *storm) whole() {
	for _, n := range s.nodes {
		if !n.hurt.Load() {
			continue
		}
		if s.r.IntN(2) == 0 {
			s.kill9(n)
		}
		if !s.mended(n) {
			s.kill9(n)
			s.mended(n)
		}
		n.hurt.Store(false)
	}
}

// mended waits until the mirror of an instance was compared or made anew, and reports whether its file must be sound:
// it was made anew, or opened again, since it was damaged.
func (s *storm) mended(n *node) bool {
	asked, before := time.Now(), int64(0)
	if n.life == n.hurtIn {
		before = n.builds
	}
	n.s.CheckMirror()
	anew := false
	if !awaittest.Until(s.patience, func() bool {
		st, err := n.s.Status(s.t.Context())
		anew = st.Mirror.Builds > before
		same := st.Mirror.Compared.Equal && st.Mirror.Compared.At.After(asked)
		return err == nil && st.Mirror.Ready && (anew || same) && st.Mode == knowledge.ModeNormal
	}) {
		st, err := n.s.Status(s.t.Context())
		s.t.Errorf("instance %d has not made its damaged mirror anew: %+v (%v)", s.index(n), st, err)
		return true
	}
	return anew || n.life != n.hurtIn
}

func (s *storm) ofServers() []mishap {
	v := s.server
	list := []mishap{
		{"the server is killed", func() func() { v.Kill(); return v.Start }},
		{"the server is stopped", func() func() { v.Pause(); return v.Continue }},
		{"the server is shut down at once", func() func() { v.Stop(pgtest.Immediate); return v.Start }},
		{"the server is shut down fast", func() func() { v.Stop(pgtest.Fast); return v.Start }},
		{"the server is restarted", func() func() { v.Restart(); return func() {} }},
		{"too many connections", v.Crowd},
		{"a backend is killed", func() func() { v.KillBackend(); return v.WaitReady }},
	}
	if s.tables != "" {
		list = append(list, mishap{
			"the disk of the tables is full",
			func() func() { return pgtest.Fill(s.t, s.tables) },
		})
	}
	return list
}

func (s *storm) ofSessions() []mishap {
	return []mishap{
		{"connections are terminated", func() func() {
			pgtest.Exec(s.t, s.site.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "+
				"= 'tenet'")
			return func() {}
		}},
		{"the server takes no writes", func() func() {
			readOnly(s.t, s.site.url, "on")
			return func() { readOnly(s.t, s.site.url, "off") }
		}},
		{"all wait for a lock", func() func() { return s.lock("ACCESS EXCLUSIVE") }},
		{"writers wait for a lock", func() func() { return s.lock("SHARE") }},
	}
}

func (s *storm) ofCommits() []mishap {
	var list []mishap
	for what, trick := range map[string]pgtest.Trick{
		"cut before they are sent": pgtest.CutBefore, "reset before they are sent": pgtest.ResetBefore,
		"hang":              pgtest.HangBefore,
		"lose their client": pgtest.Vanish, "are cut before the answer": pgtest.CutAfter,
		"are reset before the answer": pgtest.ResetAfter,
		"get no answer":               pgtest.HangAfter, "come late": pgtest.Late,
	} {
		list = append(list, mishap{"commits " + what, func() func() {
			some := s.some()
			s.note("  of instances %d", some)
			for _, i := range some {
				s.tricks[i].Play(trick)
			}
			return func() {
				for _, i := range some {
					s.tricks[i].Stop()
				}
			}
		}})
	}
	return sorted(list)
}

func (s *storm) ofLines() []mishap {
	var list []mishap
	for what, toxics := range map[string][]string{
		"are cut": nil, "are silent": {`downstream timeout {"timeout": 0}`, `upstream timeout {"timeout": 0}`},
		"are slow":      {`downstream latency {"latency": 70, "jitter": 30}`},
		"are very slow": {`downstream latency {"latency": 1500}`},
		"are narrow":    {`downstream bandwidth {"rate": 4}`}, "are reset": {`downstream reset_peer {"timeout": 0}`},
		"end in the middle of an answer": {`downstream limit_data {"bytes": 20000}`},
		"swallow answers":                {`downstream timeout {"timeout": 0}`},
	} {
		list = append(list, mishap{"lines " + what, func() func() {
			some := s.some()
			s.note("  of instances %d", some)
			for _, i := range some {
				s.wires[i].damage(toxics)
			}
			return func() {
				for _, i := range some {
					s.wires[i].renew()
				}
			}
		}})
	}
	return sorted(list)
}

// sorted makes the choice by a seed the same each time.
func sorted(list []mishap) []mishap {
	slices.SortFunc(list, func(a, b mishap) int { return cmp.Compare(a.name, b.name) })
	return list
}

func (s *storm) ofFiles() []mishap {
	list := []mishap{
		{"a mirror is damaged", func() func() { return s.hurt(damage) }},
		{"a mirror is deleted", func() func() { return s.hurt(deleteFile) }},
	}
	if s.book != "" {
		list = append(list, mishap{"the disk of a journal is full", func() func() { return pgtest.Fill(s.t, s.book) }})
	}
	return list
}

// hurt does something to the mirror of an instance that runs. It is mended when everything else is.
func (s *storm) hurt(do func(testing.TB, string)) func() {
	n := s.any()
	s.note("  of instance %d", s.index(n))
	if st, err := n.s.Status(s.t.Context()); err == nil {
		n.builds, n.hurtIn = st.Mirror.Builds, n.life
	}
	n.hurt.Store(true)
	do(s.t, filepath.Join(n.dir, "mirror.db"))
	return func() {}
}

// damage writes over all of a database but its first page.
func damage(t testing.TB, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	is, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(4096); at < is.Size(); at += 4096 {
		if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), at); err != nil {
			t.Fatal(err)
		}
	}
}

// deleteFile deletes a database with all that belongs to it.
func deleteFile(t testing.TB, path string) {
	t.Helper()
	there, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, there, there + "-wal", there + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
