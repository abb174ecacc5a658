package coherence

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func openTest(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), storetest.File(t, "tenet.db", migrated),
		sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	over := New(s)
	t.Cleanup(func() { _ = over.Close() })
	return over
}

func TestStore(t *testing.T) {
	storetest.RunWith(t, storetest.Options{Open: openTest})
}

func pack(id string, change func(*knowledge.Pack)) *knowledge.Pack {
	return storetest.Pack(func(p *knowledge.Pack) {
		p.PackID, p.Name, p.Raise, p.Select = id, "", nil, knowledge.Selection{}
		if change != nil {
			change(p)
		}
	})
}

func extends(ids ...string) func(*knowledge.Pack) {
	return func(p *knowledge.Pack) { p.Extends = ids }
}

func TestWhatDoesNotFitTogetherIsRefused(t *testing.T) {
	s := openTest(t)
	general := storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory })
	strict := storetest.Rule(func(r *knowledge.Rule) { r.RuleID = "strict" })
	base := pack("base", func(p *knowledge.Pack) {
		p.Select.IDs = []string{"rule/strict"}
		p.Raise = []knowledge.Raise{{ID: "rule/strict", Severity: knowledge.SeverityCritical}}
	})
	apply := func(docs ...knowledge.Document) error {
		var ops []knowledge.Op
		for _, d := range docs {
			ops = append(ops, knowledge.Put(d, knowledge.AnyVersion))
		}
		_, err := s.Apply(t.Context(), storetest.Batch(ops...))
		return err
	}
	if err := errors.Join(apply(general, strict, base), apply(pack("middle", extends("base"))),
		apply(pack("top", extends("middle")))); err != nil {
		t.Fatal(err)
	}
	newest, err := store.Newest(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		docs    []knowledge.Document
		pointer string
		says    string
	}{
		"a ring over what is there": {
			[]knowledge.Document{pack("base", extends("top"))},
			"/ops/0/document/extends/0",
			"base → top → middle → base",
		},
		"a ring within one batch": {
			[]knowledge.Document{pack("x", extends("y")), pack("y", extends("x"))},
			"/ops/0/document/extends/0",
			"x → y → x",
		},
		"a pack that is not there": {
			[]knowledge.Document{pack("x", extends("nobody"))},
			"/ops/0/document/extends/0",
			"create it first",
		},
		"dropping": {[]knowledge.Document{pack("x", func(p *knowledge.Pack) {
			p.Extends, p.Select = []string{"top"}, knowledge.Selection{
				Kinds:  []string{"rule"},
				Except: []string{"rule/strict"},
			}
		})}, "/ops/0/document/select/except/0", "drops nothing"},
		"loosening what a base has raised": {[]knowledge.Document{pack("x", func(p *knowledge.Pack) {
			p.Extends, p.Raise = []string{"top"},
				[]knowledge.Raise{{ID: "rule/strict", Severity: knowledge.SeverityError}}
		})}, "/ops/0/document/raise/0/severity", "CRITICAL already"},
		"loosening a rule": {[]knowledge.Document{pack("x", func(p *knowledge.Pack) {
			p.Raise = []knowledge.Raise{{ID: "rule/strict", Enforcement: "optional"}}
		})}, "/ops/0/document/raise/0/enforcement", "mandatory already"},
		"a label beyond the log": {[]knowledge.Document{storetest.Label(func(l *knowledge.Label) {
			l.Seq = newest.Seq + 1
		})}, "/ops/0/document/seq", "the log ends at"},
		"a label that holds what is not there": {
			[]knowledge.Document{storetest.Label(func(l *knowledge.Label) {
				l.Holds = map[string]int64{"rule/strict": 2}
			})},
			"/ops/0/document/holds/rule~1strict", "has no version 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := apply(c.docs...)
			invalid, ok := errors.AsType[*knowledge.InvalidError](err)
			if !ok || invalid.Faults[0].Pointer != c.pointer || !strings.Contains(invalid.Faults[0].Detail, c.says) {
				t.Errorf("got %v, want a fault at %s that says %q", err, c.pointer, c.says)
			}
			if end, err := store.Newest(t.Context(), s); err != nil || end.Seq != newest.Seq {
				t.Errorf("the log ends at %d, %v after a refusal, want %d", end.Seq, err, newest.Seq)
			}
		})
	}
	if err := apply(pack("one", extends("two")), pack("two", nil)); err != nil {
		t.Errorf("a pack together with the one that it extends: %v", err)
	}
	if err := apply(storetest.Label(func(l *knowledge.Label) {
		l.Seq, l.Holds = newest.Seq, map[string]int64{"rule/strict": 1}
	})); err != nil {
		t.Errorf("a label at the end of the log: %v", err)
	}
}

// TestAPackThatOthersExtendStaysInUse takes packs out of use in every way: one that others in use extend stays, and
// goes together with them.
func TestAPackThatOthersExtendStaysInUse(t *testing.T) {
	s := openTest(t)
	apply := func(ops ...knowledge.Op) error {
		_, err := s.Apply(t.Context(), storetest.Batch(ops...))
		return err
	}
	put := func(p *knowledge.Pack) knowledge.Op { return knowledge.Put(p, knowledge.AnyVersion) }
	of := func(verb knowledge.Verb, id string) knowledge.Op {
		return knowledge.Op{Verb: verb, Key: knowledge.Key{Kind: knowledge.KindPack, ID: id}}
	}
	if err := apply(put(pack("base", nil)), put(pack("one", extends("base"))), put(pack("two", extends("base"))),
		put(pack("alone", nil))); err != nil {
		t.Fatal(err)
	}
	off := of(knowledge.VerbPatch, "base")
	off.Patch = []byte(`{"is_active": false}`)
	for name, op := range map[string]knowledge.Op{
		"retire": of(knowledge.VerbRetire, "base"), "purge": of(knowledge.VerbPurge, "base"), "patch": off,
		"put": put(pack("base", func(p *knowledge.Pack) { p.IsActive = false })),
	} {
		err := apply(op)
		if invalid, ok := errors.AsType[*knowledge.InvalidError](err); !ok ||
			!strings.Contains(invalid.Faults[0].Detail, "is extended by one, two: ") {
			t.Errorf("%s: %v, want a refusal that names one and two", name, err)
		}
	}
	if err := apply(of(knowledge.VerbRetire, "alone")); err != nil {
		t.Errorf("a pack that nobody extends: %v", err)
	}
	if err := apply(of(knowledge.VerbRetire, "base"), of(knowledge.VerbRetire, "one"),
		put(pack("two", nil))); err != nil {
		t.Errorf("together with those that extend it: %v", err)
	}
}

// A batch that was done gets its receipt again, also when it would no longer fit.
func TestADoneBatchIsAnsweredAsBefore(t *testing.T) {
	s := openTest(t)
	if _, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(pack("b", nil), knowledge.NoVersion))); err != nil {
		t.Fatal(err)
	}
	b := storetest.Batch(knowledge.Put(pack("a", extends("b")), knowledge.NoVersion))
	first, err := s.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	retire := func(id string) knowledge.Op {
		return knowledge.Op{Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindPack, ID: id}}
	}
	if _, err := s.Apply(t.Context(), storetest.Batch(retire("a"), retire("b"))); err != nil {
		t.Fatal(err)
	}
	again, err := s.Apply(t.Context(), b)
	if err != nil || again.Seq != first.Seq {
		t.Errorf("the same batch again: seq %d, %v; want %d", again.Seq, err, first.Seq)
	}
}

// migrated makes an empty database with its schema.
func migrated(path string) error {
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}
