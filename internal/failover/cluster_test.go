package failover_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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
	// loses says that the primary itself may forget what it has acknowledged. Then sessions may go back in time, and
	// what was acknowledged must be there or among the conflicts.
	loses bool
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
	ops := []knowledge.Op{
		knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0),
		knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "bulk" }), 0),
	}
	for i := range bulk {
		ops = append(ops, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category, r.Title = fmt.Sprintf("bulk-%03d", i), "bulk", "A steadfast rule"
		}), 0))
	}
	for i := range others {
		ops = append(ops, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category = fmt.Sprintf("other-%03d", i), "general"
		}), 0))
	}
	_, err = p.Apply(t.Context(), knowledge.Batch{ID: knowledge.NewBatchID(), Actor: setup, Ops: ops})
	if err = errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
}

// A cluster is some instances on one PostgreSQL, with clients that write and read.
type cluster struct {
	t         *testing.T
	site      *site
	primary   *postgres.Store // for a look past the instances
	instances []*instance
	history   history
	silent    bool // sessions keep what they notice to themselves
}

// An instance is one tenet's store, with its files.
type instance struct {
	*failover.Store
	dir     string
	journal *journal.Journal
	end     func()
}

const (
	clients = 3   // of each instance
	bulk    = 100 // documents that nobody writes and every list must hold
	others  = 200 // so many that what a failover loses is no fifth of them all
)

// newCluster starts n instances on a site.
func newCluster(t *testing.T, s *site, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, site: s, primary: openPrimary(t, s.url)}
	for i := range n {
		dir := t.TempDir()
		journal := dir
		if i == 0 && s.journal != "" {
			journal = s.journal
		}
		address := s.address
		if i == 0 && s.first != "" {
			address = s.first
		}
		c.instances = append(c.instances, s.open(t, address, dir, journal))
	}
	for _, s := range c.instances {
		s.ready(t)
	}
	return c
}

// ready waits until an instance has a mirror and its primary.
func (in *instance) ready(t testing.TB) {
	t.Helper()
	pgtest.Await(t, "the mirror to be there", func() bool {
		st, err := in.Status(t.Context())
		return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
	})
}

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
			po := postgres.Options{URL: address, AllowUnverifiedTLS: true}
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
	in := &instance{Store: st, dir: dir, journal: journal}
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
	ctx, cancel := context.WithCancel(c.t.Context())
	var wg sync.WaitGroup
	for i, in := range c.instances {
		for n := range clients {
			s := &session{
				c: c, in: in, name: fmt.Sprintf("I%d-C%d", i, n), seen: map[knowledge.Key]int64{},
				wrote: map[knowledge.Key]string{}, unsure: map[string]bool{},
				taken: map[knowledge.BatchID]bool{}, rand: mathrand.New(mathrand.NewPCG(uint64(i), uint64(n))),
			}
			wg.Go(func() { s.run(ctx) })
		}
	}
	defer wg.Wait()
	defer cancel()
	during()
}

// A session is one client of one instance. Nobody else writes its own documents.
type session struct {
	c     *cluster
	in    *instance
	name  string
	rand  *mathrand.Rand
	seen  map[knowledge.Key]int64  // the newest version that it was shown
	wrote map[knowledge.Key]string // the title that it wrote last to a document of its own
	// unsure holds the titles of writes of which it heard that nobody knows whether they were done.
	unsure map[string]bool
	last   []*attempt // what it has written
	taken  map[knowledge.BatchID]bool
}

func (s *session) run(ctx context.Context) {
	own := func(id string) knowledge.Key { return knowledge.Key{Kind: knowledge.KindRule, ID: s.name + id} }
	shared := func(id string) knowledge.Key { return knowledge.Key{Kind: knowledge.KindRule, ID: "shared" + id} }
	tick := time.NewTicker(40 * time.Millisecond) // steady, not as fast as the machine can
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		switch i % 8 {
		case 3:
			s.write(i, false, shared(""))
		case 5:
			s.write(i, true, shared("-any"))
		case 6:
			s.write(i, false, own("-a"), own("-b"))
		case 7:
			s.again()
		default:
			s.write(i, false, own(fmt.Sprintf("-%d", i%7)))
		}
		switch i % 4 {
		case 0:
			s.list()
		case 1:
			s.search()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// patient is a context for one call: it ends long after any bound that the checks have. Calls that were begun are
// finished when the load ends: a client that goes away in the middle learns nothing, and neither would the checks.
func (s *session) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.c.t.Context()), time.Minute)
}

func (s *session) fail(format string, args ...any) {
	s.c.t.Helper()
	if !s.c.silent {
		s.c.t.Errorf(s.name+": "+format, args...)
	}
}

// get reads a document, checks that the session does not go back in time, and returns nil when there is none.
func (s *session) get(key knowledge.Key) *knowledge.Record {
	ctx, cancel := s.patient()
	defer cancel()
	began := time.Now()
	r, err := s.in.Get(ctx, key)
	s.c.history.read(began)
	wrote, owns := s.wrote[key]
	switch {
	case errors.Is(err, store.ErrNotFound):
		if (s.seen[key] > 0 || owns) && !s.c.site.loses {
			s.fail("%s was there and is not found by the %s%s", key, sourceOf(err), s.story())
		}
		return nil
	case err != nil:
		s.fail("read %s: %v", key, err)
		return nil
	case s.c.site.loses:
		return r
	}
	if r.Pending == (knowledge.BatchID{}) {
		if r.Version < s.seen[key] {
			s.fail("%s was at version %d and is at %d, from the %s", key, s.seen[key], r.Version, r.Source)
		}
		s.seen[key] = max(s.seen[key], r.Version)
	}
	switch title := titleOf(s.c.t, r); {
	case !owns || title == wrote:
	case s.unsure[title]: // its writer heard that nobody knows whether it was done: it was
		s.wrote[key] = title
	default:
		s.fail("%s was last written as %q and reads %q, version %d from the %s, pending %s", key, wrote, title,
			r.Version, r.Source, r.Pending)
	}
	return r
}

func titleOf(t testing.TB, r *knowledge.Record) string {
	t.Helper()
	doc, err := r.Document()
	if err != nil {
		t.Error(err)
		return ""
	}
	rule, ok := doc.(*knowledge.Rule)
	if !ok {
		return ""
	}
	return rule.Title
}

// list reads the documents that are always there.
func (s *session) list() {
	ctx, cancel := s.patient()
	defer cancel()
	began := time.Now()
	page, err := s.in.List(ctx, knowledge.Query{Kind: knowledge.KindRule, Category: "bulk", Limit: knowledge.MaxLimit})
	s.c.history.read(began)
	switch {
	case err != nil:
		s.fail("list: %v", err)
	case len(page.Records) != bulk:
		s.fail("a list of %d documents from the %s has %d", bulk, page.Source, len(page.Records))
	}
}

func (s *session) search() {
	ctx, cancel := s.patient()
	defer cancel()
	began := time.Now()
	hits, err := s.in.Search(ctx, knowledge.SearchQuery{Text: "steadfast", Limit: 20})
	s.c.history.read(began)
	switch {
	case err != nil:
		s.fail("search: %v", err)
	case len(hits.Hits) != 20:
		s.fail("a search for a word of %d documents finds %d, from the %s", bulk, len(hits.Hits), hits.Source)
	}
}

// write writes documents on top of what the session is shown, or whatever is there.
func (s *session) write(i int, whatever bool, keys ...knowledge.Key) {
	w := &attempt{
		by: s.name, whatever: whatever, title: fmt.Sprintf("%s %d", s.name, i),
		shared: strings.HasPrefix(keys[0].ID, "shared"),
	}
	w.batch = knowledge.Batch{ID: knowledge.NewBatchID(), Actor: s.name}
	for _, key := range keys {
		on := onTop{version: knowledge.NoVersion}
		r := s.get(key)
		if r != nil {
			on.version, on.of = r.Version, r.Pending
		}
		doc := storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category, r.Title = key.ID, "general", w.title
			r.Description = noise(s.rand)
		})
		w.on = append(w.on, on)
		op := onto(doc, r)
		if whatever {
			op = knowledge.Put(doc, knowledge.AnyVersion)
		}
		w.batch.Ops = append(w.batch.Ops, op)
	}
	s.send(w)
	if !w.shared && errors.Is(w.err, store.ErrConflict) && !s.c.site.loses {
		s.fail("a write of its own documents: %v%s", w.err, s.story())
	}
}

// sourceOf returns who has said that a document is not there.
func sourceOf(err error) knowledge.Source {
	missing, _ := errors.AsType[*store.NotFoundError](err)
	if missing == nil {
		return ""
	}
	return missing.Source
}

// story tells what the session has done last, for a fault's message.
func (s *session) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, ", at %s in mode %s; before that", time.Now().UTC().Format(time.StampMilli), s.in.Level().Mode)
	for _, w := range s.c.history.all() {
		if w.by != s.name || w.shared || time.Since(w.ended) > 3*time.Second {
			continue
		}
		_, out, err := s.in.journal.Find(s.c.t.Context(), w.batch.ID)
		fmt.Fprintf(&b, "\n  %s to %s: batch %s, again %t, queued %t, error %v, in the journal %s %s (%v)",
			w.began.UTC().Format(time.StampMilli),
			w.ended.UTC().Format(time.StampMilli), w.batch.ID, w.again, w.receipt.Queued, w.err, out.State, out.Why,
			err)
		for i, r := range w.receipt.Records {
			if r != nil {
				fmt.Fprintf(&b, "; op %d %s version %d from the %s, pending %s", i, r.Key, r.Version, r.Source,
					r.Pending)
			}
		}
	}
	return b.String()
}

// noise returns a text of some kilobytes that a database can't compress to nothing.
func noise(r *mathrand.Rand) string {
	b := make([]byte, 0, 2<<10)
	for len(b) < 2<<10 {
		b = fmt.Appendf(b, "%016x ", r.Uint64())
	}
	return string(b)
}

// again sends a batch again, mostly the last one. Who was told that it was taken must not hear otherwise.
func (s *session) again() {
	if len(s.last) == 0 {
		return
	}
	old := s.last[len(s.last)-1]
	if s.rand.IntN(3) == 0 {
		old = s.last[s.rand.IntN(len(s.last))]
	}
	w := &attempt{
		by: s.name, batch: old.batch, on: old.on, whatever: old.whatever, title: old.title,
		shared: old.shared, again: true,
	}
	s.send(w)
	if s.taken[old.batch.ID] && w.err != nil && !errors.Is(w.err, store.ErrUnavailable) && !s.c.site.loses {
		s.fail("batch %s was taken (queued: %t), and again: %v", old.batch.ID, old.receipt.Queued, w.err)
	}
}

func (s *session) send(w *attempt) {
	ctx, cancel := s.patient()
	defer cancel()
	w.began = time.Now()
	w.receipt, w.err = s.in.Apply(ctx, w.batch)
	w.ended = time.Now()
	if w.err == nil {
		for i, r := range w.receipt.Records {
			if r == nil {
				s.fail("the receipt of batch %s lacks record %d: queued %t, again %t", w.batch.ID, i, w.receipt.Queued,
					w.again)
				continue
			}
			if !w.receipt.Queued {
				s.seen[r.Key] = max(s.seen[r.Key], r.Version)
			}
			if !w.shared && !s.taken[w.batch.ID] { // a retry of what was taken before writes nothing
				s.wrote[r.Key] = w.title
			}
		}
		s.taken[w.batch.ID] = true
	}
	if u, ok := errors.AsType[*store.UnavailableError](w.err); ok && !u.NotDone {
		s.unsure[w.title] = true
	}
	if !w.again {
		s.last = append(s.last, w)
	}
	s.c.history.write(w)
}

// settle waits until nothing waits any more.
func (c *cluster) settle() {
	c.t.Helper()
	for _, s := range c.instances {
		pgtest.Await(c.t, "everything to be normal", func() bool { return s.Level().Mode == knowledge.ModeNormal })
		st, err := s.Status(c.t.Context())
		if err != nil || st.Journal.Depth != 0 {
			c.t.Errorf("the journal holds %d batches in normal mode (%v)", st.Journal.Depth, err)
		}
	}
}

// check compares what the clients were told with what the primary holds, and the mirrors with the primary.
func (c *cluster) check() {
	c.t.Helper()
	ctx := c.t.Context()
	if err := c.primary.VerifyChanges(ctx, nil); err != nil {
		c.t.Error(err)
	}
	changes := logOf(c.t, c.primary)
	for i, s := range c.instances {
		s.CheckMirror()
		pgtest.Await(c.t, "the mirror to be compared", func() bool {
			st, err := s.Status(ctx)
			return err == nil && st.Mirror.Compared.Seq >= changes[len(changes)-1].Seq
		})
		if st, _ := s.Status(ctx); !st.Mirror.Compared.Equal {
			c.t.Errorf("mirror %d differs from the primary: %+v", i, st.Mirror)
		}
	}
	for _, fault := range c.judge(changes) {
		c.t.Error(fault)
	}
}

// judge returns what is wrong with a log, after what the clients were told.
func (c *cluster) judge(changes []knowledge.Change) []string {
	c.t.Helper()
	parked := c.parked()
	writes := c.history.all()
	queued, refused := 0, 0
	for _, w := range writes {
		if w.err != nil {
			refused++
		} else if w.receipt.Queued {
			queued++
		}
	}
	c.t.Logf("%d writes, %d queued, %d refused, %d parked, %d changes", len(writes), queued, refused, len(parked),
		len(changes))
	return judge(writes, changes, parked, c.site.loses)
}

// parked returns what waits for a person, at any instance, and what did.
func (c *cluster) parked() map[knowledge.BatchID]store.Parked {
	c.t.Helper()
	parked := map[knowledge.BatchID]store.Parked{}
	for _, s := range c.instances {
		list, err := s.Conflicts(c.t.Context(), store.ParkedQuery{Resolved: true})
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range list {
			parked[p.Entry.Batch.ID] = p
		}
	}
	return parked
}

// history is what the clients have done and heard.
type history struct {
	mu     sync.Mutex // guards the fields below
	writes []*attempt
	reads  []read
}

// attempt is a write, and what its writer was told.
type attempt struct {
	by           string
	batch        knowledge.Batch
	title        string
	on           []onTop
	whatever     bool // it was to be written on top of whatever is there
	shared       bool // others write the documents too
	again        bool // it was sent before
	receipt      knowledge.Receipt
	err          error
	began, ended time.Time
}

// onTop is what the writer of a document was shown of it.
type onTop struct {
	version int64
	of      knowledge.BatchID // the batch that was pending then, if any
}

type read struct {
	began time.Time
	took  time.Duration
}

func (h *history) write(w *attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes = append(h.writes, w)
}

func (h *history) read(began time.Time) {
	took := time.Since(began)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, read{began, took})
}

func (h *history) all() []*attempt {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.writes)
}

// count returns how many writes that began after a time fulfil a condition.
func (h *history) count(after time.Time, ok func(*attempt) bool) int {
	n := 0
	for _, w := range h.all() {
		if w.began.After(after) && ok(w) {
			n++
		}
	}
	return n
}

// readsAcross counts the reads that began before a time and were answered after a later one.
func (h *history) readsAcross(from, to time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.reads {
		if r.began.Before(from) && r.began.Add(r.took).After(to) {
			n++
		}
	}
	return n
}

// readsIn returns how long the reads took that began between two times, the fastest first.
func (h *history) readsIn(from, to time.Time) []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []time.Duration
	for _, r := range h.reads {
		if !r.began.Before(from) && r.began.Before(to) {
			list = append(list, r.took)
		}
	}
	slices.SortFunc(list, cmp.Compare)
	return list
}
