package failover_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/failover"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A site is a database on a real server, and how instances reach it.
type site struct {
	name     string // of the database
	url      string // its address, for the test itself
	address  string // its address, for the instances: often by way of something that breaks
	first    string // the same for the first instance, where it has a way of its own
	database func(*postgres.Options)
	outage   func(*failover.Options)
	journal  string // the directory of the first instance's journal; one that lasts as long as the test when empty
	// forgets says that the primary itself may lose what it has acknowledged. Then sessions may go back in time, and
	// what was acknowledged must be there or among the conflicts.
	forgets bool
	skewed  bool // the clocks of the instances are set back and forth
	large   bool // documents are of some kilobytes, to fill disks and lines
}

// newSite returns a fresh database on a server, with the schema and the documents that nobody writes.
func newSite(t *testing.T, s *pgtest.Server) *site {
	t.Helper()
	if pgtest.Value(t, s.URL("postgres"), "SELECT count(*) FROM pg_database WHERE datname = 'prepared'") == "0" {
		s.Exec("CREATE DATABASE prepared TEMPLATE template0")
		prepare(t, s.URL("prepared"))
	}
	name := strings.ToLower("site_" + rand.Text()[:12])
	s.Exec("CREATE DATABASE " + name + " TEMPLATE prepared")
	return &site{url: s.URL(name), address: s.URL(name), name: name}
}

// prepare fills a database with what all clusters begin with.
func prepare(t *testing.T, url string) {
	t.Helper()
	p, err := postgres.Open(t.Context(), postgres.Options{URL: url, AllowUnverifiedTLS: true, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Apply(t.Context(), grounds())
	if err = errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
}

// grounds returns what is there before the clients: categories, and documents that nobody writes.
func grounds() knowledge.Batch {
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: setup}
	for _, id := range []string{"general", "own", "bulk"} {
		b.Ops = append(b.Ops, knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = id }), 0))
	}
	for i := range bulk {
		b.Ops = append(b.Ops, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category, r.Title = fmt.Sprintf("bulk-%03d", i), "bulk", "A steadfast rule"
		}), 0))
	}
	for i := range others {
		b.Ops = append(b.Ops, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category = fmt.Sprintf("other-%03d", i), "own"
		}), 0))
	}
	return b
}

// A cluster is some instances on one primary, with clients that write and read.
type cluster struct {
	t       *testing.T
	site    *site
	look    store.Store // the primary, past the instances
	nodes   []*node
	history history
	seed    uint64          // of what the sessions do
	loads   uint64          // so far
	pace    time.Duration   // how long a session pauses between two things that it does
	start   func(*node)     // starts an instance on a node's files
	told    map[string]bool // what check has said
	// patience is how long the instances may take to get level.
	patience time.Duration
}

// A node is an instance that can end and come back on the same files.
type node struct {
	dir      string       // of its mirror
	journals string       // of its journal
	log      string       // the file of its log, where it has one
	mu       sync.RWMutex // held for reading by a session's step, for writing while the instance is away
	s        subject
	end      func()
	life     int
	// its mirror was damaged and is not whole again: while the primary is away too, nothing can answer reads
	hurt   atomic.Bool
	builds int64 // of its mirror, when that was damaged
	hurtIn int   // the life in which it was
}

// An instance is one tenet's store, with its files, in this process.
type instance struct {
	*failover.Store
	dir string
	end func()
}

const (
	clients = 3   // of each instance
	bulk    = 100 // documents that nobody writes and every list must hold
	others  = 200 // so many that what a failover loses is no fifth of them all
)

// newCluster starts n instances on a site.
func newCluster(t *testing.T, s *site, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, site: s, look: openPrimary(t, s.url), pace: 30 * time.Millisecond, patience: time.Minute}
	c.start = func(n *node) {
		address := s.address
		if n == c.nodes[0] && s.first != "" {
			address = s.first
		}
		in := s.open(t, address, n.dir, n.journals)
		n.s, n.end = in, in.end
	}
	c.begin(n, s.journal)
	return c
}

// begin starts n instances. The first one's journal is in a directory of its own, if one is named.
func (c *cluster) begin(n int, journal string) {
	c.t.Helper()
	for i := range n {
		dir := c.t.TempDir()
		c.nodes = append(c.nodes, &node{dir: dir, journals: dir})
		if i == 0 && journal != "" {
			c.nodes[0].journals = journal
		}
	}
	for _, n := range c.nodes {
		c.start(n)
		c.t.Cleanup(func() { n.end() })
	}
	for _, n := range c.nodes {
		waitFor(c.t, "the mirror is there", func() bool {
			st, err := n.s.Status(c.t.Context())
			return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
		})
	}
}

// again starts an instance that has ended, while nobody calls it.
func (c *cluster) again(n *node) {
	c.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life++
	c.start(n)
}

// instance returns one of those in this process.
func (c *cluster) instance(i int) *instance { return c.nodes[i].s.(*instance) }

func openPrimary(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url, AllowUnverifiedTLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// open starts an instance with its mirror in dir and its journal in another directory, or the same.
func (s *site) open(t testing.TB, address, dir, journals string) *instance {
	t.Helper()
	mirror, err := openMirror(t.Context(), filepath.Join(dir, "mirror.db"))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := journal.Open(t.Context(), filepath.Join(journals, "journal.db"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards opened
	var opened *postgres.Store
	o := failover.Options{
		Connect: func(ctx context.Context) (failover.Primary, error) {
			po := postgres.Options{URL: address, MaxConns: 4, AllowUnverifiedTLS: true}
			if s.database != nil {
				s.database(&po)
			}
			p, err := postgres.Open(ctx, po)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			opened = p
			mu.Unlock()
			return p, nil
		},
		Mirror: mirror, Journal: journal, Recovery: 500 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	o.Wait(failover.Waits{WriteTimeout: time.Second})
	if s.outage != nil {
		s.outage(&o)
	}
	st, err := failover.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, st)
	in := &instance{Store: st, dir: dir}
	in.end = sync.OnceFunc(func() {
		stop()
		st.Close()
		mu.Lock()
		defer mu.Unlock()
		if opened != nil {
			opened.Close()
		}
		mirror.Close()
		journal.Close()
	})
	t.Cleanup(in.end)
	return in
}

// load runs the clients for as long as during runs.
func (c *cluster) load(during func()) {
	c.t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	c.loads++
	for i, n := range c.nodes {
		for j := range clients {
			s := c.session(n, fmt.Sprintf("I%d-C%d", i, j),
				mathrand.New(mathrand.NewPCG(c.seed+c.loads<<32, uint64(i*clients+j))))
			wg.Go(func() { s.run(stop) })
		}
	}
	defer wg.Wait()
	defer close(stop)
	during()
}

// until waits for so many more writes that began after a time and were answered in a way.
func (c *cluster) until(what string, after time.Time, n int, ok func(*call) bool) {
	c.t.Helper()
	pgtest.Await(c.t, what, func() bool { return c.history.count(after, ok) >= n })
}

// more waits for so many more calls.
func (c *cluster) more(n int) {
	c.t.Helper()
	want := c.history.size() + n
	waitFor(c.t, "calls go on", func() bool { return c.history.size() >= want })
}

// settle waits until nothing waits any more, and reports whether that was so within the cluster's patience.
func (c *cluster) settle() bool {
	c.t.Helper()
	level := true
	for _, n := range c.nodes {
		level = level && awaittest.Until(c.patience, func() bool { ok, _ := c.level(n); return ok })
	}
	return level
}

// level reports whether nothing waits at an instance, and how it stands.
func (c *cluster) level(n *node) (bool, failover.Status) {
	st, err := n.s.Status(c.t.Context())
	return err == nil && st.Mode == knowledge.ModeNormal && st.Journal.Depth == 0, st
}

// judge waits until all is quiet, and returns what is wrong with what clients did and were told.
func (c *cluster) judge() []breach {
	c.t.Helper()
	c.settle()
	e := &ending{log: logOf(c.t, c.look), parked: c.parked(), forgets: c.site.forgets}
	e.broken = c.look.(interface {
		VerifyChanges(ctx context.Context, progress func(done, last knowledge.Seq)) error
	}).VerifyChanges(c.t.Context(), nil)
	for _, n := range c.nodes {
		e.stands = append(e.stands, c.stand(n, e.log[len(e.log)-1].Seq))
	}
	queued, refused, writes := 0, 0, 0
	for _, one := range c.history.all() {
		switch {
		case one.write == nil:
			continue
		case one.err != nil:
			refused++
		case one.write.receipt.Queued:
			queued++
		}
		writes++
	}
	c.t.Logf("%d calls, %d writes, %d queued, %d refused, %d parked, %d changes", c.history.size(), writes, queued,
		refused, len(e.parked), len(e.log))
	return judge(&c.history, e)
}

// stand returns how an instance stands whose primary's log ends at a seq.
func (c *cluster) stand(n *node, end knowledge.Seq) stand {
	ok, st := c.level(n)
	if !ok {
		return stand{text: fmt.Sprintf("%+v", st)}
	}
	n.s.CheckMirror()
	equal := awaittest.Until(c.patience, func() bool {
		_, st = c.level(n)
		return st.Mirror.Compared.Seq >= end
	}) && st.Mirror.Compared.Equal
	return stand{level: true, equal: equal, text: fmt.Sprintf("%+v", st.Mirror)}
}

// check judges, and fails the test for each breach that was not found before.
func (c *cluster) check() {
	c.t.Helper()
	if c.told == nil {
		c.told = map[string]bool{}
	}
	for _, b := range c.judge() {
		if text := b.String(); !c.told[text] && len(c.told) < 40 {
			c.told[text] = true
			c.t.Error(text)
		}
	}
}

// within lets a test of its own be told what goes wrong meanwhile.
func (c *cluster) within(t *testing.T, do func()) {
	t.Helper()
	was := c.t
	c.t = t
	defer func() { c.t = was }()
	do()
}

// end ends all instances.
func (c *cluster) end() {
	for _, n := range c.nodes {
		n.end()
	}
}

// parked returns what waits for a person, at any instance, and what did.
func (c *cluster) parked() []store.Parked {
	c.t.Helper()
	var parked []store.Parked
	for _, n := range c.nodes {
		list, err := n.s.Conflicts(c.t.Context(), store.ParkedQuery{Resolved: true})
		if err != nil {
			c.t.Fatal(err)
		}
		parked = append(parked, list...)
	}
	return parked
}
