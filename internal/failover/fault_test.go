package failover_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if point := os.Getenv(crashEnv); point != "" {
		if err := crashing(point); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	pgtest.Main(m)
}

// TestFaultsOfPostgreSQL does to a real server what servers suffer, under a steady load of several clients, and checks that
// no read failed, that every acknowledged write is there exactly once or parked, and that the mirror equals the primary.
func TestFaultsOfPostgreSQL(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	for _, f := range []struct {
		name   string
		inject func(t *testing.T, url string)
		heal   func(t *testing.T, url string)
	}{
		{"killed", func(*testing.T, string) { server.Kill() }, func(*testing.T, string) { server.Start() }},
		{"stopped and continued", func(*testing.T, string) { server.Pause() }, func(*testing.T, string) { server.Continue() }},
		{"one backend killed", func(*testing.T, string) { server.KillBackend() }, func(*testing.T, string) { server.WaitReady() }},
		{"shut down fast", func(*testing.T, string) { server.Stop(pgtest.Fast) }, func(*testing.T, string) { server.Start() }},
		{"shut down immediately", func(*testing.T, string) { server.Stop(pgtest.Immediate) }, func(*testing.T, string) { server.Start() }},
		{"restarted", func(*testing.T, string) { server.Restart() }, func(*testing.T, string) {}},
		{"read-only", func(t *testing.T, url string) { readOnly(t, url, "on") }, func(t *testing.T, url string) { readOnly(t, url, "off") }},
		{
			"connections terminated",
			func(t *testing.T, url string) {
				pgtest.Exec(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenet'")
			},
			func(*testing.T, string) {},
		},
		{
			"table locked",
			func(t *testing.T, url string) { lockRules(t, url) },
			func(*testing.T, string) {},
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			url := server.NewDatabase()
			c := newCluster(t, url, 2)
			c.load(func() {
				c.until("writes are done", 40)
				f.inject(t, url)
				c.until("writes went on through the fault", 40)
				f.heal(t, url)
				c.until("writes go on after it", 40)
			})
			c.settle()
			c.check()
		})
	}
}

// readOnly makes new transactions of the database read-only, as on a standby or a fenced-off primary.
func readOnly(t *testing.T, url, state string) {
	t.Helper()
	// The session that says so must be able to take it back.
	pgtest.Exec(t, url, "SET default_transaction_read_only = off")
	pgtest.Exec(t, url, "ALTER SYSTEM SET default_transaction_read_only = "+state)
	pgtest.Exec(t, url, "SELECT pg_reload_conf()")
}

// lockRules holds a lock that every write and read of rules waits for, for the rest of the test's fault.
func lockRules(t *testing.T, url string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		tx, err := conn.Begin(ctx)
		if err != nil {
			return
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE rules IN ACCESS EXCLUSIVE MODE"); err == nil {
			<-ctx.Done()
		}
		tx.Rollback(context.WithoutCancel(ctx))
	}()
	t.Cleanup(func() { <-done })
}

// A cluster is some instances on one PostgreSQL, with clients that write and read.
type cluster struct {
	t         *testing.T
	url       string
	primary   *postgres.Store // for a look past the instances
	instances []*failover.Store

	mu   sync.Mutex // guards what follows
	sent []*sent
	wake chan struct{}
}

func newCluster(t *testing.T, url string, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, url: url, wake: make(chan struct{}, 1)}
	if _, err := postgres.Migrate(t.Context(), url, -1); err != nil {
		t.Fatal(err)
	}
	c.primary = openPrimary(t, url)
	_, err := c.primary.Apply(t.Context(), knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "setup", Ops: []knowledge.Op{
		knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "general" }), 0),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		c.instances = append(c.instances, openOnPostgres(t, t.TempDir(), url))
	}
	for _, s := range c.instances {
		waitFor(t, "the mirror is there", func() bool {
			st, err := s.Status(t.Context())
			return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
		})
	}
	return c
}

func openPrimary(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openOnPostgres(t testing.TB, dir, url string) *failover.Store {
	t.Helper()
	mirror, err := sqlite.Open(t.Context(), filepath.Join(dir, "mirror.db"), sqlite.Options{Mirror: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mirror.Close() })
	journal, err := sqlite.OpenJournal(t.Context(), filepath.Join(dir, "journal.db"), sqlite.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() })
	var opened *postgres.Store
	t.Cleanup(func() {
		if opened != nil {
			opened.Close()
		}
	})
	s, err := failover.Open(t.Context(), failover.Options{
		Connect: func(ctx context.Context) (failover.Primary, error) {
			p, err := postgres.Open(ctx, postgres.Options{URL: url})
			if err != nil {
				return nil, err
			}
			opened = p
			return p, nil
		},
		Mirror: mirror, Journal: journal, Recovery: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	run(t, s)
	return s
}

// load runs the clients for as long as during runs.
func (c *cluster) load(during func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	var wg sync.WaitGroup
	for i, s := range c.instances {
		for n := range 3 {
			wg.Go(func() { c.client(ctx, s, fmt.Sprintf("I%d-C%d", i, n)) })
		}
	}
	defer wg.Wait()
	defer cancel()
	during()
}

// client writes its own document and one that all clients share, and reads what it wrote.
func (c *cluster) client(ctx context.Context, s *failover.Store, name string) {
	own := knowledge.Key{Kind: knowledge.KindRule, ID: name}
	shared := knowledge.Key{Kind: knowledge.KindRule, ID: "shared"}
	last := map[knowledge.Key]int64{}
	for i := 0; ctx.Err() == nil; i++ {
		key := own
		if i%5 == 4 {
			key = shared
		}
		base := knowledge.NoVersion
		r, err := s.Get(ctx, key)
		switch {
		case err == nil:
			base = r.Version
			if key == own && r.Version < last[key] {
				c.t.Errorf("%s: %s was at version %d and is at %d", name, key, last[key], r.Version)
			}
		case ctx.Err() != nil:
			return
		case !errors.Is(err, store.ErrNotFound) || last[key] > 0:
			c.t.Errorf("%s: read %s: %v", name, key, err)
		}
		doc := storetest.Rule(func(r *knowledge.Rule) {
			r.RuleID, r.Category, r.Title = key.ID, "general", fmt.Sprintf("%s %d", name, i)
		})
		out := &sent{key: key, base: base, batch: knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: name, Ops: []knowledge.Op{knowledge.Put(doc, base)},
		}}
		// A write that was begun is finished: a client that goes away in the middle learns nothing, and neither would the check.
		out.receipt, out.err = s.Apply(context.WithoutCancel(ctx), out.batch)
		if out.err == nil && !out.receipt.Queued {
			last[key] = out.receipt.Records[0].Version
		}
		c.note(out)
	}
}

func (c *cluster) note(out *sent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, out)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// until waits for so many more acknowledged writes.
func (c *cluster) until(what string, n int) {
	c.t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		done := 0
		for _, s := range c.sent {
			if s.err == nil {
				done++
			}
		}
		return done
	}
	want := count() + n
	waitFor(c.t, what, func() bool { return count() >= want })
}

func (c *cluster) settle() {
	c.t.Helper()
	for _, s := range c.instances {
		waitMode(c.t, s, knowledge.ModeNormal)
	}
}

// check compares what the clients were told with what the primary holds.
func (c *cluster) check() {
	c.t.Helper()
	ctx := c.t.Context()
	if err := c.primary.VerifyChanges(ctx, nil); err != nil {
		c.t.Error(err)
	}
	changes := logOf(c.t, c.primary)
	applied := map[knowledge.BatchID][]knowledge.Change{}
	versions := map[knowledge.Key]int64{}
	for i, ch := range changes {
		if ch.Seq != knowledge.Seq(i+1) {
			c.t.Fatalf("change %d has the number %d", i+1, ch.Seq)
		}
		if ch.Version != versions[ch.Key]+1 {
			c.t.Errorf("%s went from version %d to %d", ch.Key, versions[ch.Key], ch.Version)
		}
		versions[ch.Key] = ch.Version
		applied[ch.Batch] = append(applied[ch.Batch], ch)
	}
	parked := map[knowledge.BatchID]bool{}
	for _, s := range c.instances {
		list, err := s.Conflicts(ctx, true)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range list {
			parked[p.Entry.Batch.ID] = true
		}
	}
	queued := 0
	for _, s := range c.sent {
		done := applied[s.batch.ID]
		switch {
		case len(done) > 1:
			c.t.Errorf("batch %s was applied %d times", s.batch.ID, len(done))
		case s.err != nil:
			if len(done) != 0 {
				c.t.Errorf("batch %s was refused (%v) and is there", s.batch.ID, s.err)
			}
		case s.receipt.Queued:
			queued++
			if (len(done) == 1) == parked[s.batch.ID] {
				c.t.Errorf("batch %s was queued: applied %t, parked %t; want one of them", s.batch.ID, len(done) == 1, parked[s.batch.ID])
			}
		case len(done) == 0 || done[0].Version != s.receipt.Records[0].Version:
			c.t.Errorf("batch %s was acknowledged at version %d; the log has %v", s.batch.ID, s.receipt.Records[0].Version, done)
		}
	}
	c.t.Logf("%d writes, %d queued, %d parked, %d changes", len(c.sent), queued, len(parked), len(changes))
	for i, s := range c.instances {
		s.CheckMirror()
		waitFor(c.t, "the mirror was compared", func() bool {
			st, err := s.Status(ctx)
			return err == nil && st.Mirror.Compared.Seq >= knowledge.Seq(len(changes))
		})
		if st, _ := s.Status(ctx); !st.Mirror.Compared.Equal {
			c.t.Errorf("mirror %d differs from the primary: %+v", i, st.Mirror)
		}
	}
}
