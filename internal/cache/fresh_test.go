package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// openSQLite opens an empty database, and closes it at the end.
func openSQLite(t testing.TB) *sqlite.Store {
	t.Helper()
	path := storetest.File(t, "tenet.db", func(path string) error {
		s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
		if err != nil {
			return err
		}
		return s.Close()
	})
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// questions returns lists and searches of every sort over the documents that scribble writes.
func questions() (lists []knowledge.Query, searches []knowledge.SearchQuery) {
	for _, kind := range knowledge.Kinds() {
		for _, order := range knowledge.Orders() {
			for _, activity := range []knowledge.Activity{
				knowledge.ActiveOnly, knowledge.RetiredOnly,
				knowledge.AnyActivity,
			} {
				lists = append(lists, knowledge.Query{Kind: kind, Order: order, Activity: activity, Limit: 5})
			}
		}
	}
	for _, kind := range []knowledge.Kind{knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate} {
		for i := range 3 {
			lists = append(lists,
				knowledge.Query{Kind: kind, Category: fmt.Sprintf("category-%d", i)},
				knowledge.Query{
					Kind: kind, Category: fmt.Sprintf("category-%d", i), Order: knowledge.OrderTitle,
					Activity: knowledge.AnyActivity,
				},
				knowledge.Query{Kind: kind, Category: fmt.Sprintf("category-%d", i), Order: knowledge.OrderUpdated},
				knowledge.Query{Kind: kind, Tag: fmt.Sprintf("tag%d", i)},
				knowledge.Query{Kind: kind, Language: fmt.Sprintf("language%d", i)})
		}
	}
	for _, severity := range knowledge.Severities() {
		lists = append(lists, knowledge.Query{Kind: knowledge.KindRule, Severity: severity},
			knowledge.Query{Kind: knowledge.KindViolation, Severity: severity})
	}
	lists = append(lists, knowledge.Query{Kind: knowledge.KindRule, Status: knowledge.StatusDraft},
		knowledge.Query{Kind: knowledge.KindRule, Enforcement: "optional"})
	for _, text := range []string{"alpha", "beta -alpha", "title:gamma", "tag1"} {
		searches = append(searches, knowledge.SearchQuery{Text: text}, knowledge.SearchQuery{
			Text:  text,
			Kinds: []knowledge.Kind{knowledge.KindRule}, Category: "category-1",
		})
	}
	return lists, searches
}

// compare reports every answer of a cache that is not what its source answers now.
func compare(t *testing.T, s store.Store, keys []knowledge.Key, after string) {
	t.Helper()
	ctx, fresh := t.Context(), store.WithFresh(t.Context())
	alike := func(what string, got, want any, err, wantErr error) {
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("after %s: %s: %v and %v (-fresh +cached):\n%s", after, what, wantErr, err, diff)
		}
	}
	// The cache is asked first: a fresh read would tell it what it has missed.
	type answer struct {
		v   any
		err error
	}
	lists, searches := questions()
	ask := func(ctx context.Context) (answers []answer) {
		for _, q := range lists {
			page, err := s.List(ctx, q)
			answers = append(answers, answer{simplePage(page), err})
		}
		for _, q := range searches {
			hits, err := s.Search(ctx, q)
			answers = append(answers, answer{simpleHits(hits), err})
		}
		for _, key := range keys {
			rec, err := s.Get(ctx, key)
			if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			answers = append(answers, answer{simpleRecord(rec), err})
		}
		return answers
	}
	got, want := ask(ctx), ask(fresh)
	for i := range want {
		what := "a document"
		if i < len(lists) {
			what = fmt.Sprintf("list %+v", lists[i])
		} else if i -= len(lists); i < len(searches) {
			what = fmt.Sprintf("search %+v", searches[i])
		}
		alike(what, got[i].v, want[i].v, got[i].err, want[i].err)
	}
}

func simpleRecord(r *knowledge.Record) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("%s %d %q %v %d %s %s", r.Key, r.Version, r.Category, r.Active, r.Rank, r.Updated, r.JSON)
}

func simplePage(p *knowledge.Page) (list []string) {
	if p == nil {
		return nil
	}
	for _, r := range p.Records {
		list = append(list, simpleRecord(r))
	}
	return append(list, p.Next)
}

func simpleHits(h *knowledge.Hits) (list []string) {
	if h == nil {
		return nil
	}
	for _, hit := range h.Hits {
		list = append(list, fmt.Sprint(simpleRecord(hit.Record), hit.Score, hit.Snippet, hit.Marks))
	}
	return append(list, fmt.Sprint(h.Bounded))
}

// A scribbler writes documents of every kind at random, seldom so that they move.
type scribbler struct {
	rnd  *rand.Rand
	keys []knowledge.Key
}

func newScribbler(t *testing.T, s store.Store, seed uint64) *scribbler {
	w := &scribbler{rnd: rand.New(rand.NewPCG(seed, 3))}
	for i := range 3 {
		w.keys = append(w.keys, put(t, s, storetest.Category(func(c *knowledge.Category) {
			c.ID = fmt.Sprintf("category-%d", i)
		})).Key)
	}
	for i := range 6 {
		w.keys = append(w.keys, put(t, s, w.rule(i)).Key, put(t, s, w.practice(i)).Key, put(t, s, w.template(i)).Key,
			put(t, s, storetest.Violation("rule-0")).Key, put(t, s, storetest.Principal()).Key)
	}
	return w
}

func (w *scribbler) pick(prefix string) string { return fmt.Sprint(prefix, w.rnd.IntN(3)) }

func (w *scribbler) word() string { return []string{"alpha", "beta", "gamma"}[w.rnd.IntN(3)] }

func (w *scribbler) rule(i int) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title, r.Description = fmt.Sprint("rule-", i), w.pick("category-"), w.word(), w.word()
		r.Tags, r.Scope.Languages, r.Severity = []string{w.pick("tag")}, []string{w.pick("language")},
			knowledge.Severities()[w.rnd.IntN(4)]
	})
}

func (w *scribbler) practice(i int) *knowledge.Practice {
	return storetest.Practice(func(p *knowledge.Practice) {
		p.PracticeID, p.Category, p.Title, p.Tags = fmt.Sprint("practice-", i), w.pick("category-"), w.word(),
			[]string{w.pick("tag")}
	})
}

func (w *scribbler) template(i int) *knowledge.Template {
	return storetest.Template(func(d *knowledge.Template) {
		d.TemplateID, d.Category, d.Name, d.Tags = fmt.Sprint("template-", i), w.pick("category-"), w.word(),
			[]string{w.pick("tag")}
	})
}

// op returns the next op and what it is.
func (w *scribbler) op() knowledge.Op {
	key := w.keys[w.rnd.IntN(len(w.keys))]
	patch := func(choices ...string) knowledge.Op {
		text := strings.NewReplacer("WORD", w.word(), "CATEGORY", w.pick("category-"), "TAG", w.pick("tag"),
			"LANGUAGE", w.pick("language"),
			"NUMBER", w.pick("")).Replace(choices[w.rnd.IntN(len(choices))])
		return knowledge.Op{Verb: knowledge.VerbPatch, Key: key, Patch: []byte(text)}
	}
	switch n := w.rnd.IntN(16); {
	case n == 0:
		return knowledge.Op{Verb: knowledge.VerbRetire, Key: key}
	case n == 1:
		return knowledge.Op{Verb: knowledge.VerbRestore, Key: key}
	case n == 2 && key.Kind == knowledge.KindPractice:
		return knowledge.Op{Verb: knowledge.VerbPurge, Key: key}
	case n == 3 && key.Kind == knowledge.KindPractice:
		return knowledge.Put(w.practice(w.rnd.IntN(6)), knowledge.AnyVersion)
	}
	switch key.Kind {
	case knowledge.KindRule:
		return patch(`{"description":"WORD"}`, `{"description":"more WORD"}`, `{"title":"WORD"}`,
			`{"category":"CATEGORY"}`, `{"tags":["TAG"]}`,
			`{"scope":{"languages":["LANGUAGE"]}}`, `{"priority":NUMBER}`, `{"severity":"INFO"}`, `{"status":"DRAFT"}`,
			`{"enforcement":"optional"}`)
	case knowledge.KindPractice:
		return patch(`{"description":"WORD"}`, `{"is_required":true}`, `{"category":"CATEGORY"}`)
	case knowledge.KindTemplate:
		return patch(`{"description":"WORD"}`, `{"name":"WORD"}`, `{"category":"CATEGORY"}`)
	case knowledge.KindCategory:
		return patch(`{"description":"WORD"}`)
	case knowledge.KindViolation:
		return patch(`{"severity":"INFO"}`, `{"message":"WORD"}`, `{"status":"resolved"}`)
	case knowledge.KindPrincipal:
		return patch(`{"name":"WORD"}`)
	default:
		return knowledge.Op{}
	}
}

func TestEveryAnswerIsWhatAFreshOneWouldBe(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			src := openSQLite(t)
			s := openTest(t, src, Options{Warm: MinWarm})
			run(t, s)
			w := newScribbler(t, s, seed)
			for i := 0; i < 60 && !t.Failed(); i++ {
				ops := []knowledge.Op{w.op()}
				if second := w.op(); second.Key != ops[0].Key && w.rnd.IntN(4) == 0 {
					ops = append(ops, second)
				}
				to, here := store.Store(s), "here"
				if w.rnd.IntN(3) == 0 {
					to, here = src, "elsewhere"
				}
				receipt, err := to.Apply(t.Context(), storetest.Batch(ops...))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Fatalf("%s %s: %v", ops[0].Verb, ops[0].Key, err)
				}
				if to == store.Store(src) {
					await(t, "the feed has told of it", func() bool { return s.Followed() >= receipt.Seq })
				}
				compare(t, s, w.keys, fmt.Sprintf("%s %s %s %s", ops[0].Verb, ops[0].Key, ops[0].Patch, here))
			}
			st := s.Stats()
			t.Logf("lists %+v, searches %+v, records %+v", st.Lists.SinceStart, st.Searches.SinceStart,
				st.Records.SinceStart)
		})
	}
}
