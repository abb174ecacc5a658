package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// waiting is the address with sessions that wait long, so that nothing but what a test is about ends a wait that it
// arranges.
func waiting(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("lock_timeout", "120000")
	q.Set("statement_timeout", "120000")
	u.RawQuery = q.Encode()
	return u.String()
}

// replayed returns a batch as a replay sends it.
func replayed(t testing.TB, ops ...knowledge.Op) knowledge.Batch {
	t.Helper()
	b := storetest.Batch(ops...)
	origin, err := b.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	b.Origin = origin
	return b
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !awaittest.Until(time.Minute, ok) {
		t.Fatalf("waited in vain: %s", what)
	}
}

// A result is what came of a batch.
type result struct {
	knowledge.Receipt
	err error
}

// lockLog takes the log's lock, so that no transaction commits until it is given back.
func lockLog(t *testing.T, address string) (unlock func()) {
	t.Helper()
	conn := pgtest.Connect(t, address)
	do := func(what string) {
		if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_"+what+"(8387227955914040167)"); err != nil {
			t.Fatal(err)
		}
	}
	do("lock")
	return func() { do("unlock") }
}

// groups returns a condition: how many groups are under way, and how many batches wait for one.
func groups(s *postgres.Store, carried, waiting int) func() bool {
	return func() bool {
		c, w := s.Groups()
		return c == carried && w == waiting
	}
}

// committing returns a condition: that n transactions wait for the log's lock.
func committing(t *testing.T, address string, n int) func() bool {
	return func() bool {
		return pgtest.Value(t, address, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND "+
			"datname = current_database()") == strconv.Itoa(n)
	}
}

// gathered applies batches that are all in line for a group when it returns: the groups before them, of a batch each,
// can't commit until release is called, which returns what came of the batches.
func gathered(t *testing.T, s *postgres.Store, address string, batches ...knowledge.Batch) (release func() []result) {
	t.Helper()
	var wg sync.WaitGroup
	before := func() (unlock func()) {
		unlock = lockLog(t, address)
		for n := range 2 {
			wg.Go(func() {
				if _, err := s.Apply(t.Context(),
					replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion))); err != nil {
					t.Errorf("a batch before the group: %v", err)
				}
			})
			// What is done to the connections from now on no longer meets it on its way there.
			until(t, "a batch before the group waits for the log's lock", committing(t, address, n+1))
		}
		return unlock
	}
	unlock := before()
	// A group that met a connection of before, which has ended since, is no group any more: its batch is sent alone.
	for !groups(s, 2, 0)() {
		unlock()
		wg.Wait()
		unlock = before()
	}
	results := make([]result, len(batches))
	for i, b := range batches {
		wg.Go(func() {
			rec, err := s.Apply(t.Context(), b)
			results[i] = result{rec, err}
		})
		until(t, "a batch is in line", groups(s, 2, i+1))
	}
	return func() []result {
		unlock()
		wg.Wait()
		return results
	}
}

// onceEach checks that each batch is in the log once, as its receipt says.
func onceEach(t *testing.T, s *postgres.Store, batches []knowledge.Batch, results []result) {
	t.Helper()
	for i := range batches {
		list, err := s.Changes(t.Context(), knowledge.ChangeQuery{Batch: batches[i].ID})
		switch {
		case err != nil:
			t.Fatal(err)
		case results[i].err != nil && len(list) > 0:
			t.Errorf("batch %d was refused (%v) and is in the log", i, results[i].err)
		case results[i].err == nil && (len(list) != len(batches[i].Ops) || results[i].Batch != batches[i].ID ||
			results[i].Seq != list[len(list)-1].Seq):
			t.Errorf("batch %d: %d changes of %d ops; the receipt says seq %d of %s", i, len(list),
				len(batches[i].Ops), results[i].Seq, results[i].Batch)
		case results[i].err == nil:
			for j, c := range list {
				if diff := cmp.Diff(c.Record,
					results[i].Records[slices.IndexFunc(
						batches[i].Ops, func(op knowledge.Op) bool { return op.Key == c.Key })]); diff != "" {
					t.Errorf("batch %d, change %d: the receipt differs from the log:\n%s", i, j, diff)
				}
			}
		}
	}
	if err := s.VerifyChanges(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// transactions returns in how many transactions batches were done.
func transactions(t *testing.T, address string, batches []knowledge.Batch) string {
	t.Helper()
	ids := make([]string, len(batches))
	for i := range batches {
		ids[i] = batches[i].ID.String()
	}
	return pgtest.Value(t, address, "SELECT count(DISTINCT txid) FROM changes WHERE batch_id = ANY ($1)", ids)
}

func TestReplayedBatchesShareACommit(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	var batches []knowledge.Batch
	patched := storetest.Rule()
	apply(t, s, knowledge.Put(patched, knowledge.NoVersion))
	for i := range 32 {
		ops := []knowledge.Op{knowledge.Put(storetest.Rule(), knowledge.NoVersion)}
		switch i {
		case 3:
			ops = append(ops, knowledge.Put(storetest.Category(), knowledge.NoVersion))
		case 7:
			ops = []knowledge.Op{{
				Verb: knowledge.VerbPatch, Key: patched.Key(), Patch: []byte(`{"priority": 3}`),
				IfVersion: 1,
			}}
		}
		batches = append(batches, replayed(t, ops...))
	}
	release := gathered(t, s, address, batches...)
	results := release()
	onceEach(t, s, batches, results)
	for i, r := range results {
		if r.err != nil {
			t.Errorf("batch %d: %v", i, r.err)
		}
	}
	if n := transactions(t, address, batches); n != "1" {
		t.Errorf("32 batches were done in %s transactions, want 1", n)
	}
	// What a group sets for itself ends with it.
	timeouts, err := s.LockTimeouts(t.Context())
	if err != nil || len(timeouts) == 0 || slices.ContainsFunc(timeouts, func(v string) bool { return v != "2min" }) {
		t.Errorf("lock_timeout of the sessions is %q (%v), want that of the address", timeouts, err)
	}
	// The same batches again get the same receipts.
	for i := range batches {
		if rec, err := s.Apply(t.Context(), batches[i]); err != nil || cmp.Diff(rec, results[i].Receipt) != "" {
			t.Errorf("batch %d again: %+v, %v; want %+v", i, rec, err, results[i].Receipt)
		}
	}
}

func TestDirectWritesShareNothing(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	release := gathered(t, s, address)
	direct := storetest.Batch(knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Apply(t.Context(), direct); err != nil {
			t.Error(err)
		}
	})
	until(t, "the write waits for its commit beside two groups", committing(t, address, 3))
	release()
	wg.Wait()
}

func TestWhoSpoilsAGroupIsToldAsAlone(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	there := storetest.Rule()
	first := replayed(t, knowledge.Put(there, knowledge.NoVersion))
	before, err := s.Apply(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	var batches []knowledge.Batch
	for range 12 {
		batches = append(batches, replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
	}
	reused := replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	reused.ID = first.ID
	batches[1] = replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion), knowledge.Put(there, 7))
	batches[3] = replayed(t, knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.Category = "nowhere" }),
		knowledge.NoVersion))
	batches[4] = reused
	batches[6] = replayed(t, knowledge.Op{Verb: knowledge.VerbRetire, Key: knowledge.Key{
		Kind: knowledge.KindRule,
		ID:   "nothing",
	}})
	batches[8] = replayed(t, knowledge.Put(storetest.Rule(), 3))
	release := gathered(t, s, address, batches...)
	results := release()
	for i, r := range results {
		conflict, _ := errors.AsType[*store.ConflictError](r.err)
		switch want := map[int]error{3: &knowledge.InvalidError{}, 4: store.ErrReused, 6: store.ErrNotFound}[i]; {
		case i == 1 && (conflict == nil || conflict.Op != 1 || conflict.Want != 7 || conflict.Got != 1 ||
			conflict.Key != there.Key()),
			i == 8 && (conflict == nil || conflict.Op != 0 || conflict.Want != 3 || conflict.Got != 0),
			i == 3 && !isInvalid(r.err, "/ops/0/document/category"),
			i == 4 && !errors.Is(r.err, want), i == 6 && !errors.Is(r.err, want):
			t.Errorf("batch %d: %v", i, r.err)
		case want == nil && i != 1 && i != 8 && r.err != nil:
			t.Errorf("batch %d paid for its neighbours: %v", i, r.err)
		}
	}
	batches, results = slices.Delete(batches, 4, 5), slices.Delete(results, 4, 5)
	onceEach(t, s, append(batches, first), append(results, result{before, nil}))
}

func TestAGroupPassesByWhatWasDoneBefore(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	var batches []knowledge.Batch
	for range 6 {
		batches = append(batches, replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
	}
	for _, i := range []int{0, 3, 4, 5} { // more than a group may lose
		if _, err := s.Apply(t.Context(), batches[i]); err != nil {
			t.Fatal(err)
		}
	}
	onceEach(t, s, batches, gathered(t, s, address, batches...)())
	if n := transactions(t, address, []knowledge.Batch{batches[1], batches[2]}); n != "1" {
		t.Errorf("the two that were new were done in %s transactions, want 1", n)
	}
}

// isInvalid reports whether an error is about one place of a batch.
func isInvalid(err error, pointer string) bool {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	return ok && len(invalid.Faults) == 1 && invalid.Faults[0].Pointer == pointer
}

func TestOneSpoilerLeavesTheOthersTogether(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	var batches []knowledge.Batch
	for range 9 {
		batches = append(batches, replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
	}
	batches[4] = replayed(t, knowledge.Put(storetest.Rule(), 5))
	release := gathered(t, s, address, batches...)
	onceEach(t, s, batches, release())
	if n := transactions(t, address, batches); n != "1" {
		t.Errorf("the eight that fit were done in %s transactions, want 1", n)
	}
}

func TestALockedRowHoldsUpNoGroup(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	var batches []knowledge.Batch
	var rules []*knowledge.Rule
	for range 10 {
		r := storetest.Rule()
		apply(t, s, knowledge.Put(r, knowledge.NoVersion))
		rules, batches = append(rules, r), append(batches, replayed(t, knowledge.Put(r, 1)))
	}
	other := pgtest.Connect(t, address)
	for _, sql := range []string{"BEGIN", "SELECT 1 FROM rules WHERE rule_id = '" + rules[5].RuleID + "' FOR UPDATE"} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan []result, 1)
	release := gathered(t, s, address, batches...)
	go func() { done <- release() }()
	until(t, "the nine others are done", func() bool {
		return pgtest.Value(t, address, "SELECT count(*) FROM changes WHERE version = 2") == "9"
	})
	if _, err := other.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	results := <-done
	onceEach(t, s, batches, results)
	for i, r := range results {
		if r.err != nil {
			t.Errorf("batch %d: %v", i, r.err)
		}
	}
}

func TestAGroupStaysInTheLineOfCommits(t *testing.T) {
	address := migrated(t)
	e := &ear{}
	s, err := postgres.Open(t.Context(), postgres.Options{URL: waiting(t, address), Observer: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	apply(t, s, knowledge.Put(storetest.Category(), knowledge.NoVersion))
	unlock := lockLog(t, address)
	done := make(chan error, 1)
	b := replayed(t, knowledge.Put(storetest.Category(), knowledge.NoVersion))
	go func() { _, err := s.Apply(t.Context(), b); done <- err }()
	until(t, "a group has waited for its commit longer than it would for a row", func() bool {
		return pgtest.Value(t, address, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND "+
			"datname = current_database() "+
			"AND clock_timestamp() - state_change > interval '300 milliseconds'") == "1"
	})
	unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard["apply group"] != 1 || e.heard["apply"] != 1 { // the latter is the direct one
		t.Errorf("%v; want the group to wait for its commit, and to be sent once", e.heard)
	}
}

func TestAGroupWhoseAnswerIsLostIsDoneOnce(t *testing.T) {
	address := migrated(t)
	s, proxy := through(t, waiting(t, address))
	general(t, s)
	for name, trick := range map[string]pgtest.Trick{
		"cut before": pgtest.CutBefore, "reset after": pgtest.ResetAfter, "late": pgtest.Late,
	} {
		for _, always := range []bool{false, true} {
			var batches []knowledge.Batch
			for range 12 {
				batches = append(batches, replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
			}
			release := gathered(t, s, address, batches...)
			if always {
				proxy.Play(trick)
			} else {
				proxy.Once(trick)
			}
			for i, r := range release() {
				u, _ := errors.AsType[*store.UnavailableError](r.err)
				if always && (u == nil || u.NotDone) {
					t.Errorf("%s: batch %d: %v; want unavailable, and not certain that it was not done", name, i, r.err)
				}
				if !always && r.err != nil { // one lost answer is not even noticed
					t.Errorf("%s: batch %d: %v", name, i, r.err)
				}
			}
			proxy.Stop()
			release = gathered(t, s, address, batches...)
			results := release()
			onceEach(t, s, batches, results)
			for i, r := range results {
				if r.err != nil || r.Records[0].Version != 1 {
					t.Errorf("%s, again: batch %d: %+v, %v", name, i, r.Receipt, r.err)
				}
			}
		}
	}
}

func TestAGroupWhoseAnswerIsLostIsNeverCalledUndone(t *testing.T) {
	address := migrated(t)
	s, proxy := through(t, waiting(t, address))
	general(t, s)
	var batches []knowledge.Batch
	for range 5 {
		batches = append(batches, replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
	}
	release := gathered(t, s, address, batches...)
	database := pgtest.Value(t, address, "SELECT current_database()")
	// new sessions are refused for certain
	pgtest.Exec(t, address, "ALTER DATABASE "+database+" SET default_transaction_read_only = on")
	proxy.Once(pgtest.CutAfter)
	for i, r := range release() {
		if u, _ := errors.AsType[*store.UnavailableError](r.err); u == nil || !u.ReadOnly || u.NotDone {
			t.Errorf("batch %d: %v; want read-only, and not certain that it was not done", i, r.err)
		}
	}
	pgtest.Exec(t, strings.Replace(address, "/"+database, "/postgres", 1), "ALTER DATABASE "+database+
		" RESET default_transaction_read_only")
	again := openAt(t, address)
	results := make([]result, len(batches))
	for i, b := range batches {
		rec, err := again.Apply(t.Context(), b)
		results[i] = result{rec, err}
	}
	onceEach(t, again, batches, results)
	if n := transactions(t, address, batches); n != "1" {
		t.Errorf("the batches are of %s transactions: not the group did them", n)
	}
}

func TestWhoLeavesAGroupLeavesItGoing(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	unlock := lockLog(t, address)
	send := func() (knowledge.Batch, context.CancelFunc, chan error) {
		b, errs := replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)), make(chan error, 1)
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, err := s.Apply(ctx, b); errs <- err }()
		return b, leave, errs
	}
	var sent [2]knowledge.Batch
	for i := range sent {
		b, leave, errs := send()
		until(t, "a group is under way", groups(s, i+1, 0))
		leave()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("one that leaves its group: %v, want its context's error", err)
		}
		sent[i] = b
	}
	unsent, leave, errs := send()
	until(t, "a batch is in line", groups(s, 2, 1))
	leave()
	if err := <-errs; !errors.Is(err, context.Canceled) || !groups(s, 2, 0)() {
		t.Errorf("one that leaves the line: %v", err)
	}
	unlock()
	count := func(b knowledge.Batch) string {
		return pgtest.Value(t, address, "SELECT count(*) FROM changes WHERE batch_id = '"+b.ID.String()+"'")
	}
	for _, b := range sent {
		until(t, "what was sent is done", func() bool { return count(b) == "1" })
		if rec, err := s.Apply(t.Context(), b); err != nil || rec.Records[0].Version != 1 || count(b) != "1" {
			t.Errorf("the same batch again: %+v, %v", rec, err)
		}
	}
	if err := s.Close(); err != nil { // whatever was under way has ended
		t.Error(err)
	}
	if count(unsent) != "0" {
		t.Error("a batch whose caller left before it was sent is done")
	}
}

func TestAGroupThatHangsEndsWithItsMembers(t *testing.T) {
	s, proxy := through(t, migrated(t))
	general(t, s)
	for _, trick := range []pgtest.Trick{pgtest.HangBefore, pgtest.HangAfter} {
		proxy.Play(trick)
		batches := make([]knowledge.Batch, 5)
		var wg sync.WaitGroup
		for i := range batches {
			batches[i] = replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				if _, err := s.Apply(ctx, batches[i]); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a batch without an answer: %v, want the caller's deadline", err)
				}
			})
		}
		wg.Wait()
		proxy.Stop()
		results := make([]result, len(batches))
		for i, b := range batches {
			rec, err := s.Apply(t.Context(), b)
			if results[i] = (result{rec, err}); err != nil || rec.Records[0].Version != 1 {
				t.Errorf("the same batch again: %+v, %v", rec, err)
			}
		}
		onceEach(t, s, batches, results)
	}
}

func TestBatchesOfOneDocumentOrIdAreKeptApart(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	r := storetest.Rule()
	twice := replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	otherwise := replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
	otherwise.ID = twice.ID
	batches := []knowledge.Batch{
		replayed(t, knowledge.Put(r, knowledge.NoVersion)), twice, replayed(t, knowledge.Put(storetest.Rule(), 0),
			knowledge.Put(r, 1)), twice,
		replayed(t, knowledge.Put(r, 2)), otherwise, replayed(t, knowledge.Put(r, 2)),
	}
	release := gathered(t, s, address, batches...)
	results := release()
	applied := 0
	for _, i := range []int{0, 2, 4, 6} {
		if results[i].err == nil {
			applied++
		} else if !errors.Is(results[i].err, store.ErrConflict) {
			t.Errorf("batch %d: %v", i, results[i].err)
		}
	}
	if rec, err := s.Get(t.Context(), r.Key()); err != nil || rec.Version != int64(applied) || results[0].err != nil {
		t.Errorf("%d batches were applied, the document is at %+v, %v", applied, rec, err)
	}
	if cmp.Diff(results[1].Receipt, results[3].Receipt) != "" || results[1].err != nil || results[3].err != nil {
		t.Errorf("the same batch twice: %+v and %+v", results[1], results[3])
	}
	if !errors.Is(results[5].err, store.ErrReused) {
		t.Errorf("the same id for something else: %v", results[5].err)
	}
	onceEach(t, s, slices.Concat(batches[:5], batches[6:]), slices.Concat(results[:5], results[6:]))
}

func TestAStoreThatIsClosedEndsItsGroups(t *testing.T) {
	address := migrated(t)
	s := openAt(t, waiting(t, address))
	general(t, s)
	var batches []knowledge.Batch
	for range 3 {
		batches = append(batches, replayed(t, knowledge.Put(storetest.Rule(), knowledge.NoVersion)))
	}
	lockLog(t, address)
	errs := make(chan error, len(batches))
	for i, b := range batches {
		go func() { _, err := s.Apply(t.Context(), b); errs <- err }()
		until(t, "two are under way and one is in line", groups(s, min(i+1, 2), max(i-1, 0)))
	}
	until(t, "two transactions wait for the log's lock", committing(t, address, 2))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range batches {
		if err := <-errs; !errors.Is(err, store.ErrClosed) {
			t.Errorf("a batch whose store was closed: %v", err)
		}
	}
	if _, err := s.Apply(t.Context(), batches[0]); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a batch after that: %v", err)
	}
}

// TestGroupsAndDirectWritesMix has two programs write the same few documents, directly and as replays, in batches of
// several ops in any order, so that groups meet each other's locks.
func TestGroupsAndDirectWritesMix(t *testing.T) {
	const writers, each, documents = 20, 8, 8
	address := migrated(t)
	stores := []*postgres.Store{openAt(t, address), openAt(t, address)}
	general(t, stores[0])
	var rules []*knowledge.Rule
	for range documents {
		r := storetest.Rule()
		apply(t, stores[0], knowledge.Put(r, knowledge.NoVersion))
		rules = append(rules, r)
	}
	batches, results := make([]knowledge.Batch, writers*each), make([]result, writers*each)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			s, random := stores[w%2], rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range each {
				var ops []knowledge.Op
				for _, n := range random.Perm(documents)[:random.IntN(4)] {
					ops = append(ops, anyWrite(t, s, random, rules[n]))
				}
				if len(ops) == 0 || random.IntN(2) == 0 { // one of nobody else's
					ops = append(ops, knowledge.Put(storetest.Rule(), knowledge.NoVersion))
				}
				b := storetest.Batch(ops...)
				if w%4 > 0 {
					b = replayed(t, ops...)
				}
				rec, err := s.Apply(t.Context(), b)
				batches[w*each+i], results[w*each+i] = b, result{rec, err}
			}
		})
	}
	wg.Wait()
	applied := map[knowledge.Key]int64{}
	for i, r := range results {
		u, _ := errors.AsType[*store.UnavailableError](r.err)
		if r.err != nil && !errors.Is(r.err, store.ErrConflict) && (u == nil || !u.NotDone) {
			t.Errorf("batch %d: %v", i, r.err)
		}
		for j := range batches[i].Ops {
			if op := &batches[i].Ops[j]; r.err == nil {
				applied[op.Key]++
				if op.IfVersion > 0 && r.Records[j].Version != op.IfVersion+1 {
					t.Errorf("batch %d replaced version %d of %s by %d", i, op.IfVersion, op.Key, r.Records[j].Version)
				}
			}
		}
	}
	onceEach(t, stores[0], batches, results)
	for _, r := range rules {
		if rec, err := stores[1].Get(t.Context(), r.Key()); err != nil || rec.Version != 1+applied[r.Key()] {
			t.Errorf("%s is at %+v (%v) after %d writes", r.RuleID, rec, err, applied[r.Key()])
		}
	}
	if n := pgtest.Value(t, address, "SELECT max(n) FROM (SELECT count(DISTINCT batch_id) AS n FROM changes GROUP "+
		"BY txid) AS x"); n == "1" {
		t.Error("no batches shared a commit: the test tests nothing")
	}
}

// anyWrite returns a put or a patch of a rule, with a version or without.
func anyWrite(t *testing.T, s *postgres.Store, random *rand.Rand, r *knowledge.Rule) knowledge.Op {
	version := int64(0)
	if random.IntN(3) > 0 {
		rec, err := s.Get(t.Context(), r.Key())
		if err != nil {
			t.Error(err)
			return knowledge.Put(r, 0)
		}
		version = rec.Version
	}
	if random.IntN(3) == 0 {
		return knowledge.Op{Verb: knowledge.VerbPatch, Key: r.Key(), Patch: fmt.Appendf(nil, `{"priority": %d}`,
			random.IntN(100)), IfVersion: version}
	}
	return knowledge.Put(r, version)
}
