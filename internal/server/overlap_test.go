package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// questions are asked of both engines over the same imported texts.
func questions() []string {
	return []string{
		"test", "error handling", "sql injection", "docker", "kubernetes", "secret*", "pull request", "code review",
		`"unit test"`, "logging",
		"python type hints", "react component", "typescript strict", "api versioning", "terraform", "security -docker",
		"azure OR aws",
		"title:testing", "performance", "database migration", "privileged container", "unused variable",
		"arrow function", "prompt",
		"write a story", "incident", "observability metrics", "ci pipeline", "accessibility", "go context",
		"memory leak", "dependency injection",
	}
}

// TestBothEnginesFindTheSame imports every archive of third-party texts into both engines, as a person would, and
// compares what they find: on average at least eight of the first ten hits are the same.
func TestBothEnginesFindTheSame(t *testing.T) {
	dir := os.Getenv("TENET_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	archives, _ := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if len(archives) == 0 {
		t.Skipf("no third-party texts in %s: set TENET_TEST_DATA to the folder that holds them", dir)
	}
	url := pgtest.URL(t)
	pg, err := postgres.Open(t.Context(), postgres.Options{URL: url, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Close() })
	lite, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lite.Close() })
	for _, s := range []store.Store{pg, lite} {
		for _, path := range archives {
			importArchive(t, s, path)
		}
	}
	shared, asked := 0, 0
	for _, q := range questions() {
		a, b := top(t, pg, q), top(t, lite, q)
		same := 0
		for _, key := range a {
			if slices.Contains(b, key) {
				same++
			}
		}
		n := max(len(a), len(b))
		if n == 0 {
			t.Errorf("nobody finds %q", q)
			continue
		}
		if same < n {
			t.Logf("%q: %d of %d the same", q, same, n)
		}
		shared, asked = shared+same, asked+n
	}
	if mean := 10 * float64(shared) / float64(asked); mean < 8 {
		t.Errorf("%.1f of 10 hits are the same on both engines, want at least 8", mean)
	} else {
		t.Logf("%.2f of 10 hits are the same", mean)
	}
}

func importArchive(t *testing.T, s store.Store, path string) {
	t.Helper()
	source, err := interchange.Open(path, interchange.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	plan := interchange.NewPlan(interchange.PlanOptions{
		KeepGoing: true,
		Current: func(key knowledge.Key) (*knowledge.Record, error) {
			r, err := s.Get(t.Context(), key)
			if errors.Is(err, store.ErrNotFound) {
				return nil, nil
			}
			return r, err
		},
	})
	if err := plan.Add(source); err != nil {
		t.Fatal(err)
	}
	for b, err := range plan.Batches("importer", 500) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(t.Context(), b); err != nil {
			t.Fatalf("import %s: %v", filepath.Base(path), err)
		}
	}
	if n := plan.Count()[interchange.Created]; n < 60 {
		t.Errorf("%s made %d documents; %v", filepath.Base(path), n, plan.Count())
	}
}

func top(t *testing.T, s store.Store, q string) []knowledge.Key {
	t.Helper()
	hits, err := s.Search(t.Context(), knowledge.SearchQuery{Text: q, Limit: 10})
	if err != nil {
		t.Fatalf("search %q: %v", q, err)
	}
	keys := make([]knowledge.Key, len(hits.Hits))
	for i, h := range hits.Hits {
		keys[i] = h.Record.Key
	}
	return keys
}
