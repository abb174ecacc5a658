package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// through returns a store that reaches the database at address by way of a proxy, which can steal what is answered to a
// batch.
func through(t *testing.T, address string) (*postgres.Store, *pgtest.Proxy) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := pgtest.NewProxy(t, u.Host, "tenet_apply")
	return openAt(t, p.Through(address)), p
}

func TestABatchWhoseAnswerIsLostIsDoneOnce(t *testing.T) {
	s, proxy := through(t, migrated(t))
	general(t, s)
	for name, trick := range map[string]pgtest.Trick{
		"cut before": pgtest.CutBefore, "reset before": pgtest.ResetBefore, "cut after": pgtest.CutAfter,
		"reset after": pgtest.ResetAfter, "late": pgtest.Late,
	} {
		b := storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion))
		proxy.Play(trick)
		_, err := s.Apply(t.Context(), b)
		var u *store.UnavailableError
		if !errors.As(err, &u) || u.NotDone {
			t.Fatalf("%s: %v; want unavailable, and not certain that it was not done", name, err)
		}
		proxy.Once(trick) // one lost answer is not even noticed
		receipt, err := s.Apply(t.Context(), b)
		if err != nil || receipt.Records[0].Version != 1 {
			t.Fatalf("%s, again: %+v, %v", name, receipt, err)
		}
		list, err := s.Changes(t.Context(), knowledge.ChangeQuery{Key: b.Ops[0].Key})
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %d changes, %v; want the batch once", name, len(list), err)
		}
	}
}

func TestAHangingAnswerLeavesTheOutcomeOpen(t *testing.T) {
	s, proxy := through(t, migrated(t))
	general(t, s)
	for _, trick := range []pgtest.Trick{pgtest.HangBefore, pgtest.HangAfter} {
		b := storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion))
		proxy.Once(trick)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := s.Apply(ctx, b)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a batch without an answer: %v, want the caller's deadline", err)
		}
		proxy.Stop()
		if r, err := s.Apply(t.Context(), b); err != nil || r.Records[0].Version != 1 {
			t.Fatalf("the same batch again: %+v, %v", r, err)
		}
	}
}

func TestARestartedServerCostsNobodyAnError(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	address := server.URL("postgres")
	migrate(t, address, -1)
	s := openAt(t, address)
	general(t, s)
	use := func() { // so that there are several idle connections
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := s.Apply(t.Context(),
					storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion))); err != nil {
					t.Errorf("apply: %v", err)
				}
				if _, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule}); err != nil {
					t.Errorf("list: %v", err)
				}
			})
		}
		wg.Wait()
	}
	use()
	server.Restart()
	use()
	server.Kill()
	_, err := s.Apply(t.Context(), storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a batch while the server is away: %v", err)
	}
	server.Start()
	use()
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestAPausedServerHoldsNobodyBeyondTheDeadline(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	address := server.URL("postgres")
	migrate(t, address, -1)
	s := openAt(t, address)
	general(t, s)
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for what, call := range map[string]func() error{
		"ping": func() error { return s.Ping(ctx) },
		"get":  func() error { _, err := s.Get(ctx, knowledge.Key{Kind: knowledge.KindRule, ID: "x"}); return err },
		"apply": func() error {
			_, err := s.Apply(ctx, storetest.Batch(knowledge.Put(storetest.Rule(), 0)))
			return err
		},
		"wait": func() error { return s.Wait(ctx, 1<<40) },
	} {
		if err := call(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a paused server: %v, want the deadline", what, err)
		}
	}
	closed := make(chan error, 1)
	go func() { _, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule}); closed <- err }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-closed; !errors.Is(err, store.ErrClosed) {
		t.Errorf("a call under way when the store is closed: %v, want ErrClosed", err)
	}
	server.Continue()
}

func TestAFailureInsideCommitIsTriedAgain(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	// The first commit fails as one does that another transaction stands in the way of.
	for _, sql := range []string{
		"CREATE SEQUENCE failures",
		`CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('failures') = 1 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END IF; RETURN NULL; END
			$$`,
		"CREATE CONSTRAINT TRIGGER z_fail AFTER INSERT ON rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE " +
			"FUNCTION fail_once()",
	} {
		pgtest.Exec(t, url, sql)
	}
	r := storetest.Rule()
	if got := apply(t, s, knowledge.Put(r, knowledge.NoVersion)).Records[0].Version; got != 1 {
		t.Errorf("version %d", got)
	}
	if got := pgtest.Value(t, url, "SELECT last_value FROM failures"); got != "2" {
		t.Errorf("%s tries, want 2", got)
	}
}

func TestWhatIsDoneAndCanNotBeReadIsNotRefused(t *testing.T) {
	url := migrated(t)
	role := "tenet_blinded"
	pgtest.Exec(t, url, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { pgtest.Exec(t, url, "DROP OWNED BY "+role); pgtest.Exec(t, url, "DROP ROLE "+role) })
	pgtest.Exec(t, url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role)
	s := openAt(t, strings.Replace(url, "postgres@", role+"@", 1))
	general(t, s)
	// The commit itself takes away the right to read the log, so that the batch is done and its receipt can't be made.
	for _, sql := range []string{
		"CREATE FUNCTION blind() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN REVOKE SELECT ON " +
			"changes FROM " + role + "; RETURN NULL; END $$",
		"CREATE CONSTRAINT TRIGGER z_blind AFTER INSERT ON rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE " +
			"FUNCTION blind()",
	} {
		pgtest.Exec(t, url, sql)
	}
	b := storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	_, err := s.Apply(t.Context(), b)
	var u *store.UnavailableError
	if !errors.As(err, &u) || u.NotDone || !u.Halt {
		t.Errorf("%v; want unavailable until a person acts, and not certain that it was not done", err)
	}
	if n := pgtest.Value(t, url, "SELECT count(*) FROM changes WHERE batch_id = '"+b.ID.String()+"'"); n != "1" {
		t.Errorf("%s changes: the batch was to be done", n)
	}
	pgtest.Exec(t, url, "GRANT SELECT ON changes TO "+role)
	if r, err := s.Apply(t.Context(), b); err != nil || r.Records[0].Version != 1 {
		t.Errorf("the same batch again: %+v, %v", r, err)
	}
}

func TestAWriterWithAnOldSnapshotIsToldToTryAgain(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	conn := pgtest.Connect(t, url)
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ",
		"INSERT INTO categories (category_id, name) VALUES ('late', 'x')",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, s, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	if _, err := conn.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("a transaction took a number of the log that another had")
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestASlowTransactionDelaysNobodyAndLosesNoChange(t *testing.T) {
	url := migrated(t)
	s := openAt(t, url)
	general(t, s)
	slow := pgtest.Connect(t, url)
	for _, sql := range []string{"BEGIN", "INSERT INTO categories (category_id, name) VALUES ('slow', 'x')"} {
		if _, err := slow.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var seen knowledge.Seq
	for range 5 {
		seen = apply(t, s, knowledge.Put(storetest.Rule(), knowledge.NoVersion)).Seq
	}
	if list, err := s.Changes(t.Context(), knowledge.ChangeQuery{}); err != nil || len(list) != 6 {
		t.Errorf("%d changes are visible beside an open transaction, %v; want 6", len(list), err)
	}
	if _, err := slow.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	list, err := s.Changes(t.Context(), knowledge.ChangeQuery{After: seen})
	if err != nil || len(list) != 1 || list[0].Key.ID != "slow" || list[0].Seq != seen+1 {
		t.Errorf("after %d: %+v, %v; want the slow one's change", seen, list, err)
	}
}
