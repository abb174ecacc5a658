package server_test

import (
	"path/filepath"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/seed"
	"tenet/internal/server"
	"tenet/internal/sqlite"
)

func TestSeedingLeavesAloneWhatAnybodyHasTouched(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		o.DataDir = t.TempDir()
		l, err := server.OpenLocal(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all := l.Seeded().Created
		left := l.Seeded().Left
		if all == 0 || left == 0 || l.Seeded() != (server.SeedReport{Created: all, Left: left}) {
			t.Fatalf("an empty database was seeded with %+v", l.Seeded())
		}
		write(t, l, "ann", patch("rule/SEC-001", `{"title":"Ours"}`), knowledge.Op{
			Verb: knowledge.VerbRetire,
			Key:  key("rule/SEC-002"),
		})
		write(t, l, "ann", knowledge.Op{Verb: knowledge.VerbPurge, Key: key("rule/SQL-001")})
		// What an older starter set left behind: written by the seed, and different.
		write(t, l, seed.Actor, patch("rule/SQL-002", `{"title":"Of last year"}`))

		report, err := server.Seed(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		if want := (server.SeedReport{Updated: 1, Current: all - 4, Edited: 3, Left: left}); report != want {
			t.Errorf("seeding again did %+v, want %+v", report, want)
		}
		if d, _ := get(t, l, "rule/SEC-001").Document(); d.Text().Title != "Ours" {
			t.Errorf("an edited rule was overwritten: %q", d.Text().Title)
		}
		if get(t, l, "rule/SEC-002").Active {
			t.Error("a retired rule came back")
		}
		if d, _ := get(t, l, "rule/SQL-002").Document(); d.Text().Title == "Of last year" || d.Stamps().Version != 3 {
			t.Errorf("a rule of an older starter set was not brought up to date: %+v", *d.Stamps())
		}
		if report, err = server.Seed(t.Context(), l); err != nil || report.Created+report.Updated != 0 {
			t.Errorf("seeding a third time did %+v, %v; want nothing", report, err)
		}
	})
}

// A pack of the starter set that extends what somebody has retired can't be written; the others still are.
func TestSeedingGoesOnWithoutPacksWhoseBaseIsGone(t *testing.T) {
	o := server.Options{DataDir: t.TempDir()}
	l, err := server.OpenLocal(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	first := l.Seeded()
	write(t, l, seed.Actor, patch("pack/backend-go", `{"name":"Of last year"}`),
		patch("rule/SQL-002", `{"title":"Of last year"}`))
	l.Close()
	// Nobody may do this any more while others extend these packs: it is in databases from before.
	past, err := sqlite.Open(t.Context(), filepath.Join(o.DataDir, "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := past.Apply(t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "ann", Ops: []knowledge.Op{
			{Verb: knowledge.VerbRetire, Key: key("pack/services")},
			{Verb: knowledge.VerbPurge, Key: key("pack/common")},
		},
	}); err != nil {
		t.Fatal(err)
	}
	past.Close()
	if l, err = server.OpenLocal(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	report, err := server.Seed(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	if want := (server.SeedReport{Updated: 1, Current: first.Created - 4, Edited: 3, Left: first.Left}); report != want {
		t.Errorf("seeding again did %+v, want %+v", report, want)
	}
	if d, _ := get(t, l, "rule/SQL-002").Document(); d.Text().Title == "Of last year" {
		t.Error("a rule was not brought up to date, because a pack could not be")
	}
}

func TestTwoTenetsSeedOneDatabaseOnce(t *testing.T) {
	url := pgtest.URL(t)
	const n = 3
	reports := make(chan server.SeedReport, n)
	for range n {
		dir := t.TempDir()
		go func() {
			l, err := server.OpenLocal(t.Context(), server.Options{DataDir: dir, DatabaseURL: url})
			if err != nil {
				t.Error(err)
				reports <- server.SeedReport{}
				return
			}
			reports <- l.Seeded()
			l.Close()
		}()
	}
	created := 0
	for range n {
		created += (<-reports).Created
	}
	docs, err := seed.Documents()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, d := range docs {
		if seed.StackOf(d) == "" {
			want++
		}
	}
	if created != want {
		t.Errorf("together they created %d documents, want %d", created, want)
	}
}

// TestAStackIsWrittenWhenItIsAskedFor adds a part of the starter set that a new install has not, and seeds again
// without naming it.
func TestAStackIsWrittenWhenItIsAskedFor(t *testing.T) {
	l, err := server.OpenLocal(t.Context(), server.Options{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := l.Seeded()
	report, err := server.Seed(t.Context(), l, "jvm")
	if err != nil || report.Created == 0 || report.Created+report.Left != first.Left ||
		report.Current != first.Created {
		t.Fatalf("a stack was asked for, and seeding did %+v, %v after %+v", report, err, first)
	}
	get(t, l, "rule/JVM-001")
	get(t, l, "pack/backend-jvm")
	write(t, l, seed.Actor, patch("rule/JVM-002", `{"title":"Of last year"}`))
	again, err := server.Seed(t.Context(), l)
	if want := (server.SeedReport{
		Updated: 1, Current: first.Created + report.Created - 1,
		Left: report.Left,
	}); err != nil || again != want {
		t.Errorf("seeding again did %+v, %v, want %+v", again, err, want)
	}
}

func key(text string) knowledge.Key {
	k, err := knowledge.ParseKey(text)
	if err != nil {
		panic(err)
	}
	return k
}
