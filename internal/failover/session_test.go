package failover_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A subject is what clients call of an instance.
type subject interface {
	Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error)
	List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error)
	Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error)
	Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error)
	Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error)
	Level() knowledge.Level
	Status(ctx context.Context) (failover.Status, error)
	Conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error)
	CheckMirror()
}

// A session is one client of one instance, which does one thing after the other. It tells the history what it did and
// was told; whether that is right the judge knows.
type session struct {
	c    *cluster
	n    *node
	name string
	r    *rand.Rand
	last []*write                            // what it has written, the last of it
	mine map[knowledge.Key]knowledge.BatchID // its batches that were queued, until they are decided
	done map[knowledge.BatchID]bool          // its batches that were taken
}

func (c *cluster) session(n *node, name string, r *rand.Rand) *session {
	return &session{
		c: c, n: n, name: name, r: r, mine: map[knowledge.Key]knowledge.BatchID{},
		done: map[knowledge.BatchID]bool{},
	}
}

// shared returns the documents that all write, own one that nobody else does.
func shared(i int) knowledge.Key { return ruleKey(fmt.Sprintf("shared-%d", i)) }

func (s *session) own(name string) knowledge.Key { return ruleKey(s.name + "-" + name) }

func isShared(key knowledge.Key) bool { return strings.HasPrefix(key.ID, "shared") }

func (s *session) run(stop <-chan struct{}) {
	pace := time.NewTimer(s.c.pace)
	defer pace.Stop()
	for {
		s.n.mu.RLock()
		s.step()
		s.n.mu.RUnlock()
		pace.Reset(s.c.pace)
		select {
		case <-pace.C:
		case <-stop:
			return
		}
	}
}

func (s *session) step() {
	key, fresh := shared(s.r.IntN(5)), s.r.IntN(4) == 0
	switch n := s.r.IntN(100); {
	case n < 25:
		s.get(key, fresh)
	case n < 55:
		s.write(false, fresh, key)
	case n < 59:
		s.write(true, false, ruleKey("shared-any"))
	case n < 69:
		s.write(false, false, s.own(fmt.Sprint(s.r.IntN(7))))
	case n < 78:
		s.write(false, false, s.own("a"), s.own("b"))
	case n < 85:
		s.again()
	case n < 87 && !s.c.site.forgets: // a primary that has lost a batch does not know its id
		s.reuse()
	case n < 92:
		s.list("bulk", bulk)
	case n < 95:
		s.search()
	default:
		s.list("general", 0)
	}
}

// deadline bounds one call: what takes longer hangs. Calls that were begun are finished when the load ends: a client
// that goes away in the middle learns nothing, and neither would the judge.
const deadline = 30 * time.Second

func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), deadline)
}

func (s *session) begin() *call {
	return &call{by: s.name, life: s.n.life, began: time.Now(), hurt: s.n.hurt.Load()}
}

func (s *session) ended(c *call) {
	c.hurt = c.hurt || s.n.hurt.Load()
	s.c.history.ended(c)
}

// get reads a document and returns what it is shown; nil for nothing, and false if it could not be read.
func (s *session) get(key knowledge.Key, fresh bool) (r *knowledge.Record, ok bool) {
	ctx, cancel := patience()
	defer cancel()
	if fresh {
		ctx = required(ctx)
	}
	before := s.n.s.Level()
	c := s.begin()
	c.read = &read{key: key, fresh: fresh}
	r, c.err = s.n.s.Get(ctx, key)
	ended := time.Now()
	after := s.n.s.Level()
	c.read.shows(s.c, r, c.err)
	c.read.mode = after.Mode
	if !s.c.site.skewed {
		c.read.asOf = statedAsOf(before, after, c.read.source)
	}
	if id, waits := s.mine[key]; waits && c.read.pending == (knowledge.BatchID{}) && found(c.err) {
		switch st, err := s.n.s.Batch(ctx, id); {
		case err == nil && st.State == knowledge.BatchQueued:
			c.read.lacks = id
		case err == nil:
			delete(s.mine, key)
		}
	}
	s.ended(c)
	c.ended = ended
	return r, found(c.err)
}

// found reports whether a read was answered, if only with "not there".
func found(err error) bool { return err == nil || errors.Is(err, store.ErrNotFound) }

// shows notes an answer.
func (c *read) shows(in *cluster, r *knowledge.Record, err error) {
	c.source = knowledge.SourceMirror
	if missing, ok := errors.AsType[*store.NotFoundError](err); ok && missing.Source != "" {
		c.source = missing.Source
	}
	if r == nil {
		return
	}
	c.version, c.pending, c.source = r.Version, r.Pending, r.Source
	doc, err := r.Document()
	if err != nil {
		in.t.Errorf("what is shown of %s can't be read: %v", r.Key, err)
		return
	}
	c.text = doc.Stamps().Version
	if rule, ok := doc.(*knowledge.Rule); ok {
		c.title = rule.Title
	}
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

// list reads all rules of a category.
func (s *session) list(category string, want int) {
	ctx, cancel := patience()
	defer cancel()
	c := s.begin()
	c.list = &list{want: want}
	var page *knowledge.Page
	page, c.err = s.n.s.List(ctx, knowledge.Query{
		Kind: knowledge.KindRule, Category: category, Activity: knowledge.AnyActivity, Limit: knowledge.MaxLimit,
	})
	if c.err == nil {
		c.list.got, c.list.source = len(page.Records), page.Source
		if want == 0 {
			c.list.shown = map[knowledge.Key]showing{}
			for _, r := range page.Records {
				c.list.shown[r.Key] = showing{r.Version, r.Pending}
			}
		}
	}
	s.ended(c)
}

func (s *session) search() {
	ctx, cancel := patience()
	defer cancel()
	c := s.begin()
	c.list = &list{want: 20}
	var hits *knowledge.Hits
	hits, c.err = s.n.s.Search(ctx, knowledge.SearchQuery{Text: "steadfast", Limit: 20})
	if c.err == nil {
		c.list.got, c.list.source = len(hits.Hits), hits.Source
	}
	s.ended(c)
}

// write writes documents on top of what the session is shown, or whatever is there.
func (s *session) write(whatever, fresh bool, keys ...knowledge.Key) {
	w := &write{
		whatever: whatever, shared: isShared(keys[0]), title: fmt.Sprintf("%s %x", s.name, s.r.Uint64()),
		batch: knowledge.Batch{ID: knowledge.NewBatchID(), Actor: s.name},
	}
	for _, key := range keys {
		r, ok := s.get(key, fresh)
		if !ok {
			return
		}
		on := showing{version: knowledge.NoVersion}
		if r != nil {
			on = showing{r.Version, r.Pending}
		}
		doc := storetest.Rule(func(d *knowledge.Rule) {
			d.RuleID, d.Category, d.Title = key.ID, "own", w.title
			if w.shared {
				d.Category = "general"
			}
			if s.c.site.large {
				d.Description = noise(s.r)
			}
		})
		op := onto(doc, r)
		if whatever {
			op = knowledge.Put(doc, knowledge.AnyVersion)
		}
		w.on, w.batch.Ops = append(w.on, on), append(w.batch.Ops, op)
	}
	s.last = append(s.last, w)
	s.last = s.last[max(0, len(s.last)-16):]
	s.send(w)
}

// noise returns a text of some kilobytes that a database can't compress to nothing.
func noise(r *rand.Rand) string {
	b := make([]byte, 0, 2<<10)
	for len(b) < 2<<10 {
		b = fmt.Appendf(b, "%016x ", r.Uint64())
	}
	return string(b)
}

// again sends a batch again, mostly the last one.
func (s *session) again() {
	if len(s.last) == 0 {
		return
	}
	old := s.last[len(s.last)-1]
	if s.r.IntN(3) == 0 {
		old = s.last[s.r.IntN(len(s.last))]
	}
	w := *old
	w.again, w.receipt = true, knowledge.Receipt{}
	s.send(&w)
}

// reuse sends other content under the id of an earlier batch.
func (s *session) reuse() {
	for _, old := range slices.Backward(s.last) {
		if !old.shared || !s.done[old.batch.ID] {
			continue
		}
		w := &write{batch: old.batch, title: foulTitle, shared: true, foul: true}
		w.batch.Ops = []knowledge.Op{knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category, r.Title = old.batch.Ops[0].Key.ID, "general", foulTitle
		}), knowledge.AnyVersion)}
		s.send(w)
		return
	}
}

func (s *session) send(w *write) {
	ctx, cancel := patience()
	defer cancel()
	c := s.begin()
	c.write = w
	w.receipt, c.err = s.n.s.Apply(ctx, w.batch)
	s.ended(c)
	if c.err != nil || w.foul {
		return
	}
	s.done[w.batch.ID] = true
	if w.receipt.Queued {
		for i := range w.batch.Ops {
			s.mine[w.batch.Ops[i].Key] = w.batch.ID
		}
	}
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
