package postgres_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// victimURL names the database that a process of TestVictim fills until it is killed.
const victimURL = "TENET_TEST_VICTIM_URL"

const victimOps = 300

func TestVictim(t *testing.T) {
	url := os.Getenv(victimURL)
	if url == "" {
		t.Skip("it is run by the test that kills it")
	}
	s := openAt(t, url)
	for {
		ops := make([]knowledge.Op, victimOps)
		for i := range ops {
			ops[i] = knowledge.Put(storetest.Category(), knowledge.NoVersion)
		}
		apply(t, s, ops...)
		fmt.Fprintln(os.Stdout, "applied")
	}
}

func TestAClientKilledInTheMiddleLeavesNoHalfOfABatch(t *testing.T) {
	url := migrated(t)
	for range 3 {
		victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.v")
		victim.Env = append(os.Environ(), victimURL+"="+url)
		out, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "applied"; {
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		victim.Wait()
	}
	pgtest.Await(t, "the sessions of the killed to end", func() bool {
		return pgtest.Value(t, url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "+
			"application_name = 'tenet'") == "0"
	})
	halves := pgtest.Value(t, url, fmt.Sprintf(
		"SELECT count(*) FROM (SELECT batch_id FROM changes GROUP BY batch_id HAVING count(*) <> %d) h", victimOps))
	orphans := pgtest.Value(t, url, "SELECT count(*) FROM batches b WHERE NOT EXISTS (SELECT FROM changes c WHERE "+
		"c.batch_id = b.id)")
	if halves != "0" || orphans != "0" {
		t.Errorf("%s batches are there by half, and %s in the ledger only", halves, orphans)
	}
	if err := openAt(t, url).VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A shelf takes a snapshot.
type shelf struct {
	at      knowledge.Position
	records map[knowledge.Key]string
	changes []knowledge.Seq
}

func (s *shelf) Begin(at knowledge.Position) error { s.at = at; return nil }

func (s *shelf) Record(r *knowledge.Record) error { s.records[r.Key] = string(r.JSON); return nil }

func (s *shelf) Change(c *knowledge.Change) error { s.changes = append(s.changes, c.Seq); return nil }

func TestASnapshotIsWholeAndOfOnePosition(t *testing.T) {
	s := open(t)
	general(t, s)
	r := storetest.Rule()
	docs := []knowledge.Document{
		r, storetest.Practice(), storetest.Template(), storetest.Principal(),
		storetest.Violation(r.RuleID),
	}
	for _, d := range docs {
		apply(t, s, knowledge.Put(d, knowledge.NoVersion))
	}
	for range 3 {
		apply(t, s, knowledge.Put(r, knowledge.AnyVersion))
	}
	got := &shelf{records: map[knowledge.Key]string{}}
	if err := s.Snapshot(t.Context(), 2, got); err != nil {
		t.Fatal(err)
	}
	at, err := s.Position(t.Context())
	if err != nil || got.at != at || at.Seq != 9 || at.System == "" || at.Timeline != 1 || at.Chain == [32]byte{} {
		t.Errorf("the snapshot is of %+v, the store at %+v, %v", got.at, at, err)
	}
	if len(got.records) != len(docs)+1 {
		t.Errorf("%d documents, want %d", len(got.records), len(docs)+1)
	}
	for key, text := range got.records {
		if rec, err := s.Get(t.Context(), key); err != nil || string(rec.JSON) != text {
			t.Errorf("%s in the snapshot differs from the store (%v)", key, err)
		}
	}
	if diff := cmp.Diff([]knowledge.Seq{1, 3, 4, 5, 6, 8, 9}, got.changes); diff != "" {
		t.Errorf("the last two versions of each (-want +got):\n%s", diff)
	}
}

func TestTheLogIsShortenedByWholeTransactions(t *testing.T) {
	s := open(t)
	general(t, s)
	for range 4 {
		apply(t, s, knowledge.Put(storetest.Rule(), 0), knowledge.Put(storetest.Rule(), 0),
			knowledge.Put(storetest.Rule(), 0))
	}
	if n, err := s.Retain(t.Context(), knowledge.At(time.Now().Add(time.Hour)), 5); err != nil || n != 7 {
		t.Fatalf("%d changes went, %v; want 7 of 13: a transaction stays whole", n, err)
	}
	var gone *store.GoneError
	if _, err := s.Changes(t.Context(), knowledge.ChangeQuery{}); !errors.As(err, &gone) || gone.Oldest != 8 {
		t.Errorf("the log from its start: %v, want gone with 8 as the oldest", err)
	}
	if _, err := s.Changes(t.Context(), knowledge.ChangeQuery{Kind: knowledge.KindRule}); !errors.Is(err,
		store.ErrGone) {
		t.Errorf("a kind from the start: %v, want gone", err)
	}
	if list, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: 7}); err != nil || len(list) != 6 {
		t.Errorf("what was kept: %d changes, %v", len(list), err)
	}
	if _, err := s.Retain(t.Context(), knowledge.At(time.Now().Add(time.Hour)), 0); err != nil {
		t.Fatal(err)
	}
	if seq := apply(t, s, knowledge.Put(storetest.Rule(), 0)).Seq; seq != 14 {
		t.Errorf("the next change has number %d, want 14", seq)
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// An ear notes the names of statements.
type ear struct {
	mu    sync.Mutex // guards heard
	heard map[string]int
}

func (e *ear) QueryDone(statement string, _ time.Duration, _ error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard == nil {
		e.heard = map[string]int{}
	}
	e.heard[statement]++
}

func TestStatementsAreHeardOfAndSlowOnesWithTheirPlan(t *testing.T) {
	e := &ear{}
	slow := make(chan postgres.SlowQuery, 20)
	s, err := postgres.Open(t.Context(), postgres.Options{
		URL: migrated(t), Observer: e, SlowQuery: time.Nanosecond, Slow: func(q postgres.SlowQuery) { slow <- q },
	})
	if err != nil {
		t.Fatal(err)
	}
	general(t, s)
	if _, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindCategory}); err != nil {
		t.Error(err)
	}
	if _, err := s.Search(t.Context(), knowledge.SearchQuery{
		Text:  "general",
		Kinds: []knowledge.Kind{knowledge.KindRule, knowledge.KindCategory},
	}); err != nil {
		t.Error(err)
	}
	plans := map[string]string{}
	for _, name := range []string{"apply", "list categories", "search"} { // each is told once, in any order
		for _, told := plans[name]; !told; _, told = plans[name] {
			q := <-slow
			plans[q.Statement] = q.Plan
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"apply", "list categories", "search"} {
		if e.heard[name] == 0 {
			t.Errorf("nothing was heard of %q: %v", name, e.heard)
		}
		if plan, ok := plans[name]; !ok || name != "apply" && !strings.Contains(plan, "cost=") {
			t.Errorf("%q was slow; what was told: %v", name, plans)
		}
	}
}

func TestAServerElsewhereMustProveWhoItIs(t *testing.T) {
	for url, refused := range map[string]bool{
		"postgres://u@db.example.com/t":                 true,
		"postgres://u@db.example.com/t?sslmode=require": true,
		"postgres://u@db.example.com/t?sslmode=prefer":  true,
		"postgres://u@127.0.0.1:1,db.example.com/t":     true,
		"postgres://u@localhost:1/t?sslmode=disable":    false,
		"postgres://u@/t?host=/nowhere&sslmode=disable": false,
		"postgres://u@[::1]:1/t?sslmode=disable":        false,
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		if got := err != nil && strings.Contains(err.Error(), "--database-allow-unverified-tls"); got != refused {
			t.Errorf("%s: %v; refused for its certificate: %v, want %v", url, err, got, refused)
		}
	}
}
