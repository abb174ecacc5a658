package failover_test

import (
	"context"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// halfway is a primary in whose snapshots something happens.
type halfway struct {
	*faulty
	before map[int]func() // by the number of the document that is about to be handed out
}

func (h *halfway) Snapshot(ctx context.Context, versions int, sink store.Sink) error {
	return h.faulty.Snapshot(ctx, versions, &pausing{Sink: sink, before: h.before})
}

type pausing struct {
	store.Sink
	before map[int]func()
	n      int
}

func (p *pausing) Record(r *knowledge.Record) error {
	if p.n++; p.before[p.n] != nil {
		p.before[p.n]()
	}
	return p.Sink.Record(r)
}

func (c *scene) compared(what string, ok func(failover.Status) bool) {
	c.t.Helper()
	c.s.CheckMirror()
	waitFor(c.t, what, func() bool { return ok(c.status()) })
}

// TestTheMirrorFollowsWhileItIsCompared changes documents in the middle of a comparison, before and behind where it
// stands.
func TestTheMirrorFollowsWhileItIsCompared(t *testing.T) {
	h := &halfway{}
	g := &gated{}
	c := newScene(t, patient, behind(g), func(o *failover.Options) {
		inner := o.Connect
		o.Connect = func(ctx context.Context) (failover.Primary, error) {
			p, err := inner(ctx)
			if err == nil {
				h.faulty = p.(*faulty)
			}
			return h, err
		}
	})
	for _, id := range []string{"A", "B", "C", "D"} {
		c.past(knowledge.Put(rule(id), 0))
	}
	c.follow()
	builds := c.status().Mirror.Builds
	h.before = map[int]func(){
		1: func() { // the mirror moves on before any of it is read
			c.past(knowledge.Put(rule("B"), knowledge.AnyVersion))
			c.past(knowledge.Op{Verb: knowledge.VerbPurge, Key: ruleKey("C")})
			c.past(knowledge.Put(rule("E"), 0))
			c.follow()
		},
		3: func() { // and when a page of it was read
			c.past(knowledge.Put(rule("A"), knowledge.AnyVersion))
			c.past(knowledge.Put(rule("D"), knowledge.AnyVersion))
			c.follow()
		},
	}
	c.compared("a comparison", func(st failover.Status) bool { return !st.Mirror.Compared.At.IsZero() })
	if st := c.status().Mirror; !st.Compared.Equal || st.Builds != builds {
		t.Errorf("the mirror followed while it was compared, and was found different: %+v", st)
	}
}

// TestAMirrorThatDiffersIsMadeAnew makes a mirror differ in each way there is.
func TestAMirrorThatDiffersIsMadeAnew(t *testing.T) {
	for name, left := range map[string]func(c *scene) store.Left{
		"another document": func(c *scene) store.Left {
			before, err := c.primary.engine().Get(c.t.Context(), ruleKey("B"))
			if err != nil {
				c.t.Fatal(err)
			}
			return alone(c.t, "B", before.Version)
		},
		"one too many":            func(c *scene) store.Left { return alone(c.t, "AB", 0) },
		"one too many at the end": func(c *scene) store.Left { return alone(c.t, "X", 0) },
		"one too few":             func(*scene) store.Left { return store.Left{Key: ruleKey("A")} },
	} {
		t.Run(name, func(t *testing.T) {
			g := &gated{}
			c := newScene(t, patient, behind(g))
			for _, id := range []string{"A", "B", "C"} {
				c.past(knowledge.Put(rule(id), 0))
			}
			c.follow()
			if err := g.Foresee(t.Context(), []store.Left{left(c)}); err != nil {
				t.Fatal(err)
			}
			builds := c.status().Mirror.Builds
			c.compared("a mirror made anew", func(st failover.Status) bool {
				return st.Mirror.Builds > builds && !st.Mirror.Compared.Equal
			})
			c.compared("an equal mirror", func(st failover.Status) bool { return st.Mirror.Compared.Equal })
		})
	}
}

// alone returns a version of a rule that only a mirror has.
func alone(t *testing.T, id string, last int64) store.Left {
	t.Helper()
	d := rule(id)
	d.Title = "Never written"
	knowledge.StampNext(d, nil, last, "nobody", knowledge.At(time.Now()))
	r, err := knowledge.NewRecord(d)
	if err != nil {
		t.Fatal(err)
	}
	return store.Left{Key: d.Key(), Record: r}
}
