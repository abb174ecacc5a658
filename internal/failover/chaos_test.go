package failover_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tenet/internal/awaittest"
	"tenet/internal/failover"
	"tenet/internal/journal"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A chaos is some instances on one primary, with clients that read and write through them while faults come and go and
// instances are killed. It knows what everybody was told, and compares that with what came of it.
type chaos struct {
	t     *testing.T
	look  store.Store                      // the primary, past the instances
	wrap  func(o *failover.Options)        // puts a bug into every instance; nil for none
	dial  func() (failover.Primary, error) // opens the primary for an instance
	start func(n *node)                    // starts an instance in another way; nil for one in this process
	nodes []*node
	keys  []knowledge.Key

	mu       sync.Mutex // guards the fields below
	sent     []*sending
	acked    map[knowledge.Key][]ack
	reads    map[knowledge.Key][]porcupine.Operation
	foul     map[string]bool // titles that must never be in the log
	problems []string
	notes    []string // what was done, and when
	calls    int
	slowest  time.Duration
	began    time.Time
	patience time.Duration // how long the instances may take to get level in the end
}

// A subject is what clients call of an instance.
type subject interface {
	Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)
	List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error)
	Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error)
	Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error)
	Level() knowledge.Level
	Status(ctx context.Context) (failover.Status, error)
	Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
	CheckMirror()
}

// A node is an instance that can be killed and come back on the same files.
type node struct {
	dir     string       // of its mirror
	journal string       // the directory of its journal; dir when empty
	log     string       // the file of its log, where it has one
	mu      sync.RWMutex // held for reading by a call, for writing while the instance is away
	s       subject
	end     func()
	gen     int
	// its mirror was damaged and is not whole again: while the primary is away too, nothing can answer reads
	hurt   atomic.Bool
	builds int64 // of its mirror, when that was damaged
	hurtIn int   // the gen in which it was
}

// A sending is a batch, when it was sent first, and what its writer heard last.
type sending struct {
	batch   knowledge.Batch
	key     knowledge.Key
	base    int64             // the version that it was made on
	on      knowledge.BatchID // the waiting batch that it was made on, whose version is only promised
	called  time.Time
	heard   time.Time // when 200 was heard; the zero time otherwise
	version int64     // told with it, or with 202
	queued  bool
	done    bool // 200 or 202 was heard
	open    bool // an answer said that it may be done, or none came
	refused bool // certainly not done, and nothing else was ever heard
	err     error
}

// An ack is a version that somebody was told is written, and when.
type ack struct {
	at      time.Time
	version int64
}

func newChaos(t *testing.T, look store.Store, dial func() (failover.Primary, error), nodes int,
	wrap func(*failover.Options),
) *chaos {
	t.Helper()
	c := &chaos{
		t: t, look: look, dial: dial, wrap: wrap, began: time.Now(), acked: map[knowledge.Key][]ack{},
		reads: map[knowledge.Key][]porcupine.Operation{},
		foul:  map[string]bool{}, patience: time.Minute,
	}
	_, err := look.Apply(t.Context(), batchOf(
		knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		c.keys = append(c.keys, ruleKey(fmt.Sprintf("R-%d", i)))
	}
	for range nodes {
		c.nodes = append(c.nodes, &node{dir: t.TempDir()})
	}
	return c
}

// begin starts the instances.
func (c *chaos) begin() *chaos {
	c.t.Helper()
	t := c.t
	for _, n := range c.nodes {
		c.open(n)
		t.Cleanup(func() { n.end() })
	}
	for _, n := range c.nodes {
		waitFor(t, "the mirror is there", func() bool {
			st, err := n.s.Status(t.Context())
			return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
		})
	}
	return c
}

// open starts an instance on a node's files.
func (c *chaos) open(n *node) {
	c.t.Helper()
	if c.start != nil {
		c.start(n)
		return
	}
	mirror, err := sqlite.Open(context.Background(), filepath.Join(n.dir, "mirror.db"), sqlite.Options{Mirror: true})
	if err != nil {
		c.t.Fatal(err)
	}
	journal, err := journal.Open(context.Background(), filepath.Join(n.dir, "journal.db"),
		journal.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	var mu sync.Mutex // guards primary
	var primary failover.Primary
	o := failover.Options{
		Connect: func(context.Context) (failover.Primary, error) {
			p, err := c.dial()
			mu.Lock()
			defer mu.Unlock()
			primary = p
			return p, err
		},
		Mirror: mirror, Journal: journal, Recovery: 200 * time.Millisecond,
	}
	o.Wait(failover.Waits{ReadTimeout: time.Second, WriteTimeout: time.Second})
	if c.wrap != nil {
		c.wrap(&o)
	}
	s, err := failover.Open(context.Background(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	n.s, n.end = s, func() {
		once.Do(func() {
			cancel()
			<-ended
			s.Close()
			mu.Lock()
			defer mu.Unlock()
			if primary != nil {
				primary.Close()
			}
			mirror.Close()
			journal.Close()
		})
	}
}

func (c *chaos) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) < 40 {
		c.problems = append(c.problems, fmt.Sprintf("%7.3fs ", time.Since(c.began).Seconds())+
			fmt.Sprintf(format, args...))
	}
}

// note notes what is done to everybody.
func (c *chaos) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, fmt.Sprintf("%7.3fs ", time.Since(c.began).Seconds())+fmt.Sprintf(format, args...))
}

// until waits for so many more calls.
func (c *chaos) until(n int) {
	c.t.Helper()
	count := func() int { c.mu.Lock(); defer c.mu.Unlock(); return c.calls }
	want := count() + n
	waitFor(c.t, "calls go on", func() bool { return count() >= want })
}

// load runs the clients while during runs.
func (c *chaos) load(seed uint64, during func(r *rand.Rand)) {
	c.t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		for j := range 3 {
			x := &client{
				c: c, n: n, id: i*3 + j, r: rand.New(rand.NewPCG(seed, uint64(i*3+j))),
				seen: map[knowledge.Key]int64{}, own: map[knowledge.Key]int64{},
				mine: map[knowledge.Key]knowledge.BatchID{}, trail: map[knowledge.Key][]string{},
			}
			wg.Go(func() { x.run(stop) })
		}
	}
	func() {
		defer wg.Wait()
		defer close(stop)
		during(rand.New(rand.NewPCG(seed, 1<<40)))
	}()
}

// A client is a session on one instance.
type client struct {
	c    *chaos
	n    *node
	id   int
	r    *rand.Rand
	gen  int
	seen map[knowledge.Key]int64 // the newest version that it was shown
	own  map[knowledge.Key]int64 // of these, what it wrote itself
	mine map[knowledge.Key]knowledge.BatchID
	last []*sending
	// trail is what it was shown and told of a document, the last of it, for whoever looks into a problem.
	trail map[knowledge.Key][]string
}

// note adds to the trail of a document.
func (x *client) note(key knowledge.Key, format string, args ...any) {
	list := append(x.trail[key], fmt.Sprintf("%s ", time.Now().UTC().Format("05.000"))+fmt.Sprintf(format, args...))
	x.trail[key] = list[max(0, len(list)-8):]
}

// thinks is how long a client thinks between two calls: in an outage, which is fast, it would do nothing but fill the
// journal.
const thinks = 3 * time.Millisecond

func (x *client) run(stop chan struct{}) {
	pace := time.NewTimer(thinks)
	defer pace.Stop()
	for {
		select {
		case <-stop:
			return
		default:
		}
		x.n.mu.RLock()
		// a session ends with its process: what it wrote must still be there, others' may come back later
		if x.gen != x.n.gen {
			x.gen, x.seen = x.n.gen, maps.Clone(x.own)
		}
		x.step(x.n.s)
		x.n.mu.RUnlock()
		x.c.mu.Lock()
		x.c.calls++
		x.c.mu.Unlock()
		pace.Reset(thinks)
		<-pace.C
	}
}

func (x *client) step(s subject) {
	key := x.c.keys[x.r.IntN(len(x.c.keys))]
	switch n := x.r.IntN(100); {
	case n < 45:
		x.read(s, key)
	case n < 90:
		x.write(s, key)
	case n < 95 && len(x.last) > 0:
		x.send(s, x.last[x.r.IntN(len(x.last))])
	case n < 97 && len(x.last) > 0:
		x.reuse(s, x.last[x.r.IntN(len(x.last))])
	default:
		x.list(s)
	}
}

// oneMoment checks that a record's text is the one that its version names.
func (x *client) oneMoment(r *knowledge.Record) {
	doc, err := r.Document()
	if err != nil {
		x.c.problem("client %d: what is shown of %s can't be read: %v", x.id, r.Key, err)
		return
	}
	if text := doc.Stamps().Version; text != r.Version {
		x.c.problem("client %d: %s shows the text of version %d under the tag of version %d", x.id, r.Key, text,
			r.Version)
	}
}

// deadline bounds one call: what takes longer hangs.
const deadline = 30 * time.Second

// read reads a document, checks what the session is shown, and returns that, nil for nothing; false when it could not
// be read.
func (x *client) read(s subject, key knowledge.Key) (*knowledge.Record, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	now := x.r.IntN(4) == 0 // it wants an answer as of now
	if now {
		ctx = required(ctx)
	}
	before, began := s.Level(), time.Now()
	r, err := s.Get(ctx, key)
	ended, after := time.Now(), s.Level()
	switch {
	case x.excused(err), now && errors.Is(err, store.ErrUnavailable):
		return nil, false
	case err != nil && !errors.Is(err, store.ErrNotFound):
		x.c.problem("client %d: read %s failed: %v", x.id, key, err)
		return nil, false
	}
	x.c.mu.Lock()
	x.c.slowest = max(x.c.slowest, ended.Sub(began))
	x.c.mu.Unlock()
	if took := ended.Sub(began); took > slowestRead && !x.n.hurt.Load() {
		x.c.problem("client %d: read %s took %v", x.id, key, took)
	}
	version, from := int64(0), knowledge.SourceMirror
	pending := false
	if r != nil {
		x.oneMoment(r)
		version, from, pending = r.Version, r.Source, r.Pending != (knowledge.BatchID{})
	}
	if asOf := statedAsOf(before, after, from); !pending {
		if want := x.c.ackedBefore(key, asOf); version < want {
			x.c.problem("client %d: %s is said to be current as of %s, is version %d from the %s, and version %d "+
				"was acknowledged before",
				x.id, key, asOf.Format("05.000000"), version, from, want)
		}
	}
	x.note(key, "read %d from the %s, pending %t, in mode %s", version, from, pending, after.Mode)
	if pending {
		return r, true
	}
	if version < x.seen[key] {
		x.c.problem("client %d: %s was at version %d and went back to %d, from the %s:\n\t\t%s", x.id, key,
			x.seen[key], version, from, strings.Join(x.trail[key], "\n\t\t"))
	}
	x.seen[key] = version
	if id, waits := x.mine[key]; waits {
		if st, err := s.Batch(ctx, id); err == nil && st.State == knowledge.BatchQueued {
			x.c.problem("client %d: %s shows version %d without the session's own batch %s, which waits", x.id, key,
				version, id)
		} else if err == nil {
			delete(x.mine, key)
		}
	}
	if r != nil && (now || from == knowledge.SourcePrimary) {
		x.c.mu.Lock()
		x.c.reads[key] = append(x.c.reads[key], porcupine.Operation{
			ClientId: x.id, Input: registerOp{}, Output: version, Call: began.UnixNano(), Return: ended.UnixNano(),
		})
		x.c.mu.Unlock()
	}
	return r, true
}

// slowestRead is how long a read may take on a machine that does other things too; what is promised is measured
// elsewhere.
const slowestRead = 5 * time.Second

// excused reports whether a read may fail: its process was killed under it, or its mirror was damaged while the primary
// is away.
func (x *client) excused(err error) bool {
	return errors.Is(err, errKilled) || errors.Is(err, store.ErrUnavailable) && x.n.hurt.Load()
}

// statedAsOf is what a door says of an answer: see the answered level of package httpapi.
func statedAsOf(before, after knowledge.Level, from knowledge.Source) time.Time {
	of := func(l knowledge.Level) time.Time {
		if from != knowledge.SourcePrimary && !l.Local.IsZero() {
			return l.Local.Time
		}
		return l.AsOf.Time
	}
	a, b := of(before), of(after)
	if from != knowledge.SourcePrimary && b.Before(a) {
		return b
	}
	return a
}

func (c *chaos) ackedBefore(key knowledge.Key, at time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := int64(0)
	for _, a := range c.acked[key] {
		if a.at.Before(at) {
			most = max(most, a.version)
		}
	}
	return most
}

// list reads all the rules: none that was acknowledged may be missing on the instance that acknowledged it.
func (x *client) list(s subject) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	page, err := s.List(ctx, knowledge.Query{Kind: knowledge.KindRule, Activity: knowledge.AnyActivity})
	if x.excused(err) {
		return
	}
	if err != nil {
		x.c.problem("client %d: a list failed: %v", x.id, err)
		return
	}
	versions := map[knowledge.Key]int64{}
	for _, r := range page.Records {
		versions[r.Key] = r.Version
		if r.Pending != (knowledge.BatchID{}) {
			versions[r.Key] = 1 << 40
		}
	}
	for key, own := range x.own {
		if versions[key] < own {
			x.c.problem("client %d: a list shows %s at version %d, which the session has written up to %d", x.id, key,
				versions[key], own)
		}
	}
}

func (x *client) write(s subject, key knowledge.Key) {
	r, ok := x.read(s, key)
	if !ok {
		return
	}
	base, on := knowledge.NoVersion, knowledge.BatchID{}
	if r != nil {
		base, on = r.Version, r.Pending
	}
	doc := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title = key.ID, "general", fmt.Sprintf("written by %d, %d", x.id, x.r.Uint64())
	})
	out := &sending{batch: batchOf(onto(doc, r)), key: key, base: base, on: on, called: time.Now()}
	x.c.mu.Lock()
	x.c.sent = append(x.c.sent, out)
	x.c.mu.Unlock()
	if x.last = append(x.last, out); len(x.last) > 8 {
		x.last = x.last[1:]
	}
	x.send(s, out)
}

// send sends a batch, for the first time or again.
func (x *client) send(s subject, out *sending) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	rec, err := s.Apply(ctx, out.batch)
	heard := time.Now()
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	if err != nil {
		u, away := errors.AsType[*store.UnavailableError](err)
		out.open = out.open || away && !u.NotDone
		// That it could not be taken now says nothing of an earlier try whose outcome is open; a conflict does.
		if !out.done && (!away || u.NotDone && !out.open) {
			out.refused = true
		}
		out.err = err
		return
	}
	version := rec.Records[0].Version
	if out.done && out.queued == rec.Queued && version != out.version {
		x.c.problems = append(x.c.problems, fmt.Sprintf("batch %s was answered with version %d, and again with %d",
			out.batch.ID, out.version, version))
	}
	out.done, out.refused, out.queued, out.version = true, false, rec.Queued, version
	x.note(out.key, "batch %s told as version %d, queued %t", out.batch.ID, version, rec.Queued)
	if rec.Queued {
		x.mine[out.key] = out.batch.ID
		return
	}
	if out.heard.IsZero() {
		out.heard = heard
	}
	x.c.acked[out.key] = append(x.c.acked[out.key], ack{heard, version})
	x.seen[out.key] = max(x.seen[out.key], version)
	x.own[out.key] = max(x.own[out.key], version)
}

// reuse sends other content under the id of an earlier batch: it must not be done, whatever is answered.
func (x *client) reuse(s subject, old *sending) {
	x.c.mu.Lock()
	known := old.done
	x.c.mu.Unlock()
	if !known {
		return
	}
	title := fmt.Sprintf("under a used id %d", x.r.Uint64())
	x.c.mu.Lock()
	x.c.foul[title] = true
	x.c.mu.Unlock()
	b := old.batch
	b.Ops = []knowledge.Op{knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title = old.key.ID, "general", title
	}), 0)}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	// In an outage it can't always be told yet: then it is queued, and parked in the end.
	if rec, err := s.Apply(ctx, b); err == nil && !rec.Queued {
		x.c.problem("client %d: other content under the id %s was answered with success", x.id, b.ID)
	}
}

// A registerOp is a read or a write of a document, as a register that holds a version.
type registerOp struct {
	write bool
	base  int64
}

// register is a compare-and-set register: a write replaces exactly the version that it was made on.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			op := input.(registerOp)
			if !op.write {
				return output == state, state
			}
			return state == max(op.base, 0), max(op.base, 0) + 1
		},
	}
}

// settle waits until every instance is level, and compares what everybody was told with what came of it.
func (c *chaos) settle() {
	c.t.Helper()
	for i, n := range c.nodes {
		if !awaittest.Until(c.patience, func() bool {
			st, err := n.s.Status(c.t.Context())
			return err == nil && st.Mode == knowledge.ModeNormal && st.Journal.Depth == 0
		}) {
			st, err := n.s.Status(c.t.Context())
			c.problem("instance %d has not come back to normal with an empty journal: %+v (%v)", i, st, err)
			return
		}
	}
	changes := logOf(c.t, c.look)
	applied := c.checkLog(changes)
	parked := map[knowledge.BatchID]bool{}
	for _, n := range c.nodes {
		list, err := n.s.Conflicts(c.t.Context(), store.ParkedQuery{Resolved: true})
		if err != nil {
			c.t.Fatal(err)
		}
		for i := range list {
			parked[list[i].Entry.Batch.ID] = true
			if list[i].Ours == nil {
				c.problem("batch %s was parked without what it wanted to write", list[i].Entry.Batch.ID)
			}
		}
	}
	counts := [3]int{}
	for _, s := range c.sent {
		c.resolveBase(s, applied)
		counts[c.checkSent(s, applied[s.batch.ID], parked[s.batch.ID])]++
	}
	c.checkRegisters(applied)
	for i, n := range c.nodes {
		n.s.CheckMirror()
		waitFor(c.t, "the mirror was compared", func() bool {
			st, err := n.s.Status(c.t.Context())
			return err == nil && (st.Mirror.Compared.Seq >= knowledge.Seq(len(changes)))
		})
		if st, _ := n.s.Status(c.t.Context()); !st.Mirror.Compared.Equal {
			c.problem("mirror %d differs from the primary: %+v", i, st.Mirror)
		}
	}
	c.t.Logf("%d calls, %d writes of which %d were queued and %d refused, %d changes, %d parked, slowest read %s",
		c.calls, len(c.sent), counts[1], counts[2], len(changes), len(parked), c.slowest.Round(time.Millisecond))
}

// checkLog checks the log by itself, and returns its changes by batch.
func (c *chaos) checkLog(changes []knowledge.Change) map[knowledge.BatchID][]knowledge.Change {
	applied := map[knowledge.BatchID][]knowledge.Change{}
	versions := map[knowledge.Key]int64{}
	sent := map[knowledge.BatchID]bool{changes[0].Batch: true} // the category's
	for _, s := range c.sent {
		sent[s.batch.ID] = true
	}
	var chain [32]byte
	for i := range changes {
		ch := &changes[i]
		if !sent[ch.Batch] {
			c.problem("change %d of %s is of batch %s, which nobody has sent", ch.Seq, ch.Key, ch.Batch)
		}
		if ch.Seq != knowledge.Seq(i+1) {
			c.problem("change %d has the number %d", i+1, ch.Seq)
		}
		if chain = knowledge.NextChain(chain, ch); chain != ch.Chain {
			c.problem("the chain breaks at change %d", ch.Seq)
		}
		if ch.Version != versions[ch.Key]+1 {
			c.problem("%s went from version %d to %d", ch.Key, versions[ch.Key], ch.Version)
		}
		versions[ch.Key] = ch.Version
		applied[ch.Batch] = append(applied[ch.Batch], *ch)
		if ch.Record != nil {
			for title := range c.foul {
				if strings.Contains(string(ch.Record.JSON), title) {
					c.problem("change %d has the content that was sent under a used id", ch.Seq)
				}
			}
		}
	}
	return applied
}

// resolveBase puts the version that a waiting batch got in the place of the one that it was promised: a batch that lost
// its answer may have been applied before those that it was shown on top of.
func (c *chaos) resolveBase(s *sending, applied map[knowledge.BatchID][]knowledge.Change) {
	if s.on == (knowledge.BatchID{}) || len(applied[s.batch.ID]) == 0 {
		return
	}
	if done := applied[s.on]; len(done) == 1 {
		s.base = done[0].Version
	} else {
		c.problem("batch %s was applied on top of batch %s, which was applied %d times", s.batch.ID, s.on, len(done))
	}
}

// checkSent checks what became of one batch, and returns 0 for one that was told done, 1 for queued, 2 for refused.
func (c *chaos) checkSent(s *sending, done []knowledge.Change, parked bool) int {
	id := s.batch.ID
	if len(done) > 1 {
		c.problem("batch %s was applied %d times", id, len(done))
	}
	if len(done) == 1 {
		if replaced := done[0].Version - 1; replaced != max(s.base, 0) {
			c.problem("batch %s was made on version %d and replaced version %d", id, s.base, replaced)
		}
	}
	switch {
	case !s.heard.IsZero():
		if len(done) == 0 || done[0].Version != s.version && !s.queued {
			c.problem("batch %s was acknowledged at version %d; the log has %d changes of it", id, s.version, len(done))
		}
		return 0
	case s.done:
		if (len(done) == 1) == parked {
			c.problem("batch %s was queued: applied %t, parked %t; want one of them", id, len(done) == 1, parked)
		}
		return 1
	case s.refused && len(done) > 0:
		c.problem("batch %s was refused (%v) and is there", id, s.err)
	}
	return 2
}

// checkRegisters checks the history of each document as one of a register.
func (c *chaos) checkRegisters(applied map[knowledge.BatchID][]knowledge.Change) {
	end := time.Now().UnixNano()
	history := maps.Clone(c.reads)
	for i, s := range c.sent {
		if len(applied[s.batch.ID]) == 0 {
			continue
		}
		until := end
		if !s.heard.IsZero() {
			until = s.heard.UnixNano()
		}
		history[s.key] = append(history[s.key], porcupine.Operation{
			ClientId: 1000 + i, Input: registerOp{true, s.base}, Call: s.called.UnixNano(), Return: until,
		})
	}
	for key, ops := range history {
		switch got := porcupine.CheckOperationsTimeout(register(), ops, c.patience/4); got {
		case porcupine.Ok:
		case porcupine.Unknown:
			c.note("the history of %s, %d calls, was too much to check", key, len(ops))
		case porcupine.Illegal:
			c.problem("the history of %s, %d calls, is not one of a compare-and-set register%s", key, len(ops),
				stale(ops))
		}
	}
}

// stale names the reads of a register that came too early or too late for what they saw, if it is as simple as that.
func stale(ops []porcupine.Operation) string {
	var b strings.Builder
	at := func(nano int64) string { return time.Unix(0, nano).UTC().Format("05.000") }
	for _, r := range ops {
		if r.Input.(registerOp).write {
			continue
		}
		saw := r.Output.(int64)
		for _, w := range ops {
			op := w.Input.(registerOp)
			made := max(op.base, 0) + 1
			if op.write && (made > saw && w.Return < r.Call || made == saw && w.Call > r.Return) {
				fmt.Fprintf(&b, "\n\t\tclient %d read %d between %s and %s, and %d was written between %s and %s",
					r.ClientId, saw, at(r.Call), at(r.Return), made, at(w.Call), at(w.Return))
			}
		}
	}
	return b.String()
}
