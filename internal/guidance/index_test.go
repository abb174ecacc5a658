package guidance_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/awaittest"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A shelf is a store with an index that follows it.
type shelf struct {
	*testing.T
	store store.Store
	index *guidance.Index
}

func open(t *testing.T, change func(*guidance.Options)) *shelf {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := guidance.Options{Store: s, Feed: s}
	if change != nil {
		change(&o)
	}
	sh := &shelf{t, s, guidance.New(o)}
	sh.put(&knowledge.Category{ID: "c", Name: "C", IsActive: true})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sh.index.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return sh
}

func (s *shelf) put(d knowledge.Document) { s.do(knowledge.Put(d, knowledge.AnyVersion)) }

func (s *shelf) do(ops ...knowledge.Op) {
	s.Helper()
	if _, err := s.store.Apply(s.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "test",
		Ops: ops,
	}); err != nil {
		s.Fatal(err)
	}
}

func rule(id string, change func(*knowledge.Rule)) *knowledge.Rule {
	r := &knowledge.Rule{
		RuleID: id, Category: "c", Title: "Rule " + id, Description: "Words about " + id + ".",
		IsActive: true,
	}
	r.Scope = knowledge.Scope{Activation: "glob", Globs: []string{"**/*.go"}}
	if change != nil {
		change(r)
	}
	r.Normalize()
	return r
}

// ask returns the answer, once it knows everything that was written.
func (s *shelf) ask(q guidance.Query) *guidance.Answer {
	s.Helper()
	tail, err := store.Tail(s.Context(), s.store)
	if err != nil {
		s.Fatal(err)
	}
	var a *guidance.Answer
	s.await("the index to have followed the log", func() bool {
		a = s.now(q)
		return a.Seq >= tail
	})
	return a
}

// now returns the answer of the index as it is.
func (s *shelf) now(q guidance.Query) *guidance.Answer {
	s.Helper()
	p, err := s.index.Prepare(s.Context(), s.store, q)
	if err != nil {
		s.Fatal(err)
	}
	a, err := p.Answer(s.Context(), s.store)
	if err != nil {
		s.Fatal(err)
	}
	return a
}

func (s *shelf) await(what string, is func() bool) {
	s.Helper()
	if !awaittest.Until(time.Minute, is) {
		s.Fatalf("%s was waited for in vain", what)
	}
}

func ids(a *guidance.Answer) string {
	var list []string
	for _, i := range a.Items {
		list = append(list, i.ID)
	}
	return strings.Join(list, " ")
}

func TestAnAnswerFollowsWhatIsWritten(t *testing.T) {
	s := open(t, nil)
	q := guidance.Query{Paths: []string{"cmd/main.go"}}
	want := func(when, ids1 string) {
		t.Helper()
		if got := ids(s.ask(q)); got != ids1 {
			t.Errorf("%s %q holds, want %q", when, got, ids1)
		}
	}
	want("at first", "")
	s.put(rule("A", nil))
	s.put(rule("B", func(r *knowledge.Rule) { r.Severity = "CRITICAL" }))
	s.put(rule("C", func(r *knowledge.Rule) { r.Status = knowledge.StatusDraft }))
	s.put(rule("D", func(r *knowledge.Rule) { r.Enforcement = "mandatory" }))
	want("after the first writes", "D B A")
	s.put(rule("A", func(r *knowledge.Rule) { r.Scope.Globs = []string{"cmd/**"} }))
	s.put(rule("B", func(r *knowledge.Rule) { r.Scope.Globs = []string{"*.md"} }))
	s.put(rule("C", nil))
	want("after others, A being more to the point,", "D A C")
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "D"}
	s.do(knowledge.Op{Verb: knowledge.VerbRetire, Key: key})
	want("with D retired", "A C")
	s.do(knowledge.Op{Verb: knowledge.VerbRestore, Key: key})
	s.do(knowledge.Op{Verb: knowledge.VerbPurge, Key: knowledge.Key{Kind: knowledge.KindRule, ID: "A"}})
	want("with D back and A gone", "D C")
}

func TestManyWritesAreAnsweredLikeOneLoad(t *testing.T) {
	s := open(t, nil)
	s.put(rule("A", nil))
	s.ask(guidance.Query{Paths: []string{"a.go"}})
	for i := range 40 {
		var ops []knowledge.Op
		for j := range 20 {
			id := "R-" + string(rune('a'+i%26)) + string(rune('a'+j))
			ops = append(ops, knowledge.Put(rule(id, func(r *knowledge.Rule) {
				r.Priority = int64((i * j) % 7)
				r.Scope.Globs = []string{[]string{"**/*.go", "cmd/**", "*.sql", "cmd/pay/*"}[(i+j)%4]}
			}), knowledge.AnyVersion))
		}
		s.do(ops...)
	}
	q := guidance.Query{Paths: []string{"cmd/pay/x.go"}, Budget: guidance.Budget{Explain: true}}
	got := s.ask(q)
	fresh := guidance.New(guidance.Options{Store: s.store, Feed: s.store})
	if err := fresh.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := fresh.Prepare(t.Context(), s.store, q)
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.Answer(t.Context(), s.store)
	if err != nil {
		t.Fatal(err)
	}
	got.AsOf, want.AsOf = knowledge.Time{}, knowledge.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-one load, +following:\n%s", diff)
	}
	if len(got.Items) < 100 {
		t.Errorf("only %d documents hold: the test tests nothing", len(got.Items))
	}
}

func TestWhatWaitsInAJournalIsReadAgain(t *testing.T) {
	// The copy of an outage: it shows a document that no change tells of.
	batch := knowledge.NewBatchID()
	overlay := rule("A", func(r *knowledge.Rule) { r.Title = "As promised" })
	overlay.Normalize()
	rec, err := knowledge.NewRecord(overlay)
	if err != nil {
		t.Fatal(err)
	}
	rec.Version, rec.Pending = 2, batch
	lay := &overlaid{}
	s := open(t, func(o *guidance.Options) {
		lay.Reader = o.Store
		o.Store = lay
		o.Waits = func(context.Context, knowledge.BatchID) ([]knowledge.Key, error) {
			return []knowledge.Key{rec.Key}, nil
		}
	})
	s.put(rule("A", nil))
	q := guidance.Query{Paths: []string{"a.go"}, Budget: guidance.Budget{Explain: true}}
	s.ask(q)
	title := func(want string) func() bool { return func() bool { return s.ask(q).Items[0].Title == want } }
	lay.rec.Store(rec)
	s.index.StaleBatch(batch)
	s.await("the journalled document", title("As promised"))
	lay.rec.Store(nil) // it was parked
	s.index.Stale(rec.Key)
	s.await("the document without it", title("Rule A"))
	lay.rec.Store(rec)
	s.index.Stale()                                         // everything
	s.await("everything to be read again", title("Rule A")) // the list of this copy has no overlay
}

func TestTheTaskChoosesAmongWhatTheModelDecides(t *testing.T) {
	s := open(t, nil)
	model := func(r *knowledge.Rule) { r.Scope = knowledge.Scope{Activation: "model"} }
	s.put(rule("REFUND", func(r *knowledge.Rule) { model(r); r.Title = "Refund endpoints are idempotent" }))
	s.put(rule("COLOUR", func(r *knowledge.Rule) { model(r); r.Title = "Pick colours with contrast" }))
	s.put(rule("PYTHON", func(r *knowledge.Rule) {
		model(r)
		r.Title = "Refund in Python"
		r.Scope.Languages = []string{"python"}
	}))
	s.put(rule("GO", nil))
	a := s.ask(guidance.Query{Paths: []string{"cmd/main.go"}, Task: "refund"})
	if got := ids(a); got != "GO REFUND" {
		t.Errorf("%q holds, want GO REFUND", got)
	}
	if diff := cmp.Diff([]guidance.Reason{{By: "task"}}, a.Items[1].Because); diff != "" {
		t.Error(diff)
	}
	if n := a.LeftOut.Counts[guidance.LeftModel]; n != 2 {
		t.Errorf("%d are left to the model, want 2", n)
	}
	if got := ids(s.ask(guidance.Query{
		Paths: []string{"cmd/main.go"},
		Task:  "refund the zebra in purple boots",
	})); got != "GO" {
		t.Errorf("by one word of four %q holds, want GO", got)
	}
	if text := a.Items[0].Text; !strings.HasPrefix(text,
		"### Rule GO\nrule/GO, WARNING, recommended\n\nWords about GO.") {
		t.Errorf("its text is %q", text)
	}
}

// TestOneWordOfTwoIsChanceUnlessItIsTheTitles has a task of two words, of which most documents hold one in passing.
func TestOneWordOfTwoIsChanceUnlessItIsTheTitles(t *testing.T) {
	s := open(t, nil)
	model := func(title, text string) func(*knowledge.Rule) {
		return func(r *knowledge.Rule) {
			r.Scope, r.Title, r.Description = knowledge.Scope{Activation: "model"}, title, text
		}
	}
	s.put(rule("TITLE", model("Plan databases before you need them", "Say how large they become.")))
	s.put(rule("PASSING", model("Hide addresses", "Services and a database trust what comes from inside.")))
	s.put(rule("REVISION", model("Note each revision", "A revision has an author.")))
	if got := ids(s.ask(guidance.Query{Task: "provision a database"})); got != "TITLE" {
		t.Errorf("%q holds, want TITLE", got)
	}
	if got := ids(s.ask(guidance.Query{Task: "database"})); got != "TITLE PASSING" {
		t.Errorf("by its only word %q holds, want TITLE and PASSING", got)
	}
	if got := ids(s.ask(guidance.Query{Task: "revisoin of addresses"})); got != "PASSING" {
		t.Errorf("by a word that is similar to one of two %q holds, want PASSING alone", got)
	}
	s.put(rule("CHANCE", model("Keep what was", "Each revision of a database is kept.")))
	if got := ids(s.ask(guidance.Query{Task: "provision a database cluster"})); got != "" {
		t.Errorf("by a similar word and one of three %q holds, want nothing", got)
	}
	s.put(rule("BOTH", model("Ask for machines by a form", "Provision what a database needs with it.")))
	if got := ids(s.ask(guidance.Query{Task: "provision a database"})); !strings.Contains(got, "BOTH") {
		t.Errorf("%q holds, want BOTH among it", got)
	}
}

func TestATaskIsFoundByWhatElseStandsForItsWords(t *testing.T) {
	s := open(t, nil)
	s.put(rule("TWICE", func(r *knowledge.Rule) {
		r.Scope = knowledge.Scope{Activation: "model"}
		r.Title = "An API is safe to call twice"
		r.ViolationsConsequence = "Customers are charged two times."
	}))
	got := ids(s.ask(guidance.Query{Paths: []string{"cmd/main.go"}, Task: "add a refund endpoint"}))
	if got != "TWICE" {
		t.Errorf("%q holds, want TWICE", got)
	}
}

// TestAnETagNamesOneAnswer writes in all ways that change an answer, and in some that don't.
func TestAnETagNamesOneAnswer(t *testing.T) {
	s := open(t, nil)
	q := guidance.Query{Paths: []string{"a.go"}}
	s.put(rule("A", nil))
	tag := s.ask(q).ETag
	changed := func(what string, want bool) {
		t.Helper()
		now := s.ask(q).ETag
		if (now != tag) != want {
			t.Errorf("%s: the ETag changed: %v, want %v", what, now != tag, want)
		}
		tag = now
	}
	changed("nothing", false)
	s.put(&knowledge.Category{ID: "other", Name: "Other", IsActive: true})
	changed("another document", false)
	s.put(rule("A", func(r *knowledge.Rule) { r.Description = "Other words." }))
	changed("its text", true)
	s.put(rule("B", func(r *knowledge.Rule) { r.Scope = knowledge.Scope{Activation: "model"} }))
	changed("one more for the model", true)
}
