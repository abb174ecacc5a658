package postgres_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// migrated returns the address of a fresh database with the newest schema.
func migrated(t testing.TB) string {
	return pgtest.Template(t, "newest", func(url string) error {
		_, err := postgres.Migrate(t.Context(), postgres.Address{URL: url}, -1)
		return err
	})
}

// open returns a store on a fresh database.
func open(t testing.TB) *postgres.Store {
	t.Helper()
	return openAt(t, migrated(t))
}

func openAt(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStoreKeepsTheLaws(t *testing.T) {
	storetest.RunEngine(t, func(t testing.TB) store.Store { return open(t) })
}

// TestTheLawsHoldWithOneConnection holds a store that has no second connection to one law of four; make soak holds it
// to all.
func TestTheLawsHoldWithOneConnection(t *testing.T) {
	every := 4
	if os.Getenv("TENET_SOAK") != "" {
		every = 0
	}
	storetest.RunWith(t, storetest.Options{Every: every, Open: func(t testing.TB) store.Store {
		s, err := postgres.Open(t.Context(), postgres.Options{URL: migrated(t), MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}})
}

func TestEffectBookKeepsItsLaws(t *testing.T) {
	storetest.EffectBook(t, postgres.NewEffectBook(open(t)))
}

func TestFleetBookKeepsItsLaws(t *testing.T) { storetest.FleetBook(t, postgres.NewFleetBook(open(t))) }

func TestRunBookKeepsItsLaws(t *testing.T) { storetest.RunBook(t, open(t).RunBook()) }

// apply applies a batch that must succeed.
func apply(t testing.TB, s *postgres.Store, ops ...knowledge.Op) knowledge.Receipt {
	t.Helper()
	r, err := s.Apply(t.Context(), storetest.Batch(ops...))
	if err != nil {
		t.Fatalf("apply %d ops: %v", len(ops), err)
	}
	return r
}

// general applies the category that the documents of storetest belong to.
func general(t testing.TB, s *postgres.Store) {
	t.Helper()
	apply(t, s, knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = storetest.GeneralCategory }),
		knowledge.NoVersion))
}

func TestWordsAreThoseOfThePrograms(t *testing.T) {
	s := open(t)
	general(t, s)
	apply(t, s, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) {
		r.Title, r.Description = "Security “quoted” policies—always running",
			"über den Größen: foo/bar a.b <xml> E=mc² 😀smile"
	}), knowledge.NoVersion))
	for _, q := range []string{
		"securit*", "quoted", "policies", "policy", "always", "runn*", "polici*", "running*", "uber", "größen",
		"grossen OR größen", "xml", "smile", "foo bar", `"always running"`, `"policies alw*"`,
	} {
		hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: q})
		if err != nil || len(hits.Hits) != 1 {
			t.Errorf("search for %s: %d hits, %v; want 1", q, len(hits.Hits), err)
		}
	}
}

func TestLongAndManyWordsAreStored(t *testing.T) {
	s := open(t)
	general(t, s)
	words := func(from int) string {
		var b strings.Builder
		for i := from; b.Len() < knowledge.MaxText-20; i++ {
			fmt.Fprintf(&b, "w%d ", i*7919%1_000_003)
		}
		return b.String()
	}
	long := strings.ReplaceAll(words(0)[:100<<10], " ", "")
	r := storetest.Rule(func(r *knowledge.Rule) {
		r.Description, r.ViolationsConsequence, r.Scope.Languages = words(0), words(500_000), []string{long, "go"}
	})
	apply(t, s, knowledge.Put(r, knowledge.NoVersion))
	for _, q := range []knowledge.Query{
		{Kind: knowledge.KindRule, Language: "go"},
		{Kind: knowledge.KindRule, Tag: "io"},
	} {
		if p, err := s.List(t.Context(), q); err != nil || len(p.Records) != 1 {
			t.Errorf("list of %+v: %v, %v", q, p, err)
		}
	}
}
