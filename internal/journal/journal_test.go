package journal

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func openJournal(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	j, err := Open(t.Context(), path, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// stored returns a rule as a version of it is stored.
func stored(t testing.TB, r *knowledge.Rule, version int64) *knowledge.Record {
	t.Helper()
	d, err := knowledge.Clone(r)
	if err != nil {
		t.Fatal(err)
	}
	now := moment(1_700_000_000_000_000)
	d.(*knowledge.Rule).Stamp = knowledge.Stamp{
		CreatedBy: "a", CreatedAt: now, UpdatedBy: "a", UpdatedAt: now, Version: version,
	}
	rec, err := knowledge.NewRecord(d)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// entry returns an entry for a batch that puts a rule.
func entry(t testing.TB, rule *knowledge.Rule) store.Entry {
	t.Helper()
	b := storetest.Batch(knowledge.Put(rule, 3), knowledge.Op{
		Verb: knowledge.VerbPatch, Key: knowledge.Key{Kind: knowledge.KindPractice, ID: "p"},
		Patch: json.RawMessage(`{"title":"<b>"}`),
	})
	fingerprint, err := b.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	e := store.Entry{
		Batch: b, Fingerprint: fingerprint, Bases: []store.Base{{Version: 3}, {Parent: knowledge.NewBatchID()}},
		Left: []store.Left{{Key: rule.Key(), Record: stored(t, rule, 4)}, {Key: b.Ops[1].Key}},
		At:   moment(1_700_000_000_123_456),
	}
	e.Left[0].Record.Source, e.Left[0].Record.Pending = knowledge.SourceMirror, b.ID
	return e
}

func appendEntry(t testing.TB, j *Journal, e store.Entry) {
	t.Helper()
	if err := j.Append(t.Context(), e); err != nil {
		t.Fatalf("Append: %v", err)
	}
}

func oldest(t testing.TB, j *Journal) []store.Entry {
	t.Helper()
	list, err := j.Oldest(t.Context(), 0, 100)
	if err != nil {
		t.Fatalf("Oldest: %v", err)
	}
	return list
}

func TestJournalHandsOutLargeEntriesInSmallerPages(t *testing.T) {
	j := openJournal(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	var want []knowledge.BatchID
	for _, size := range []int{1, 9 << 20, 9 << 20, 20 << 20, 1, 1} {
		// it is in the op and in what is left
		e := entry(t, storetest.Rule(func(r *knowledge.Rule) { r.Description = strings.Repeat("x", size/2) }))
		appendEntry(t, j, e)
		want = append(want, e.Batch.ID)
	}
	var got []knowledge.BatchID
	var pages []int
	for after := int64(0); ; {
		list, err := j.Oldest(t.Context(), after, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for i := range list {
			got, after = append(got, list[i].Batch.ID), list[i].Seq
		}
		pages = append(pages, len(list))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entries differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{2, 1, 1, 2}, pages); diff != "" {
		t.Errorf("entries on each page (-want +got):\n%s", diff)
	}
}

func TestJournalHandsOutWhatItWasGiven(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openJournal(t, path, Options{})
	a, b := entry(t, storetest.Rule()), entry(t, storetest.Rule())
	b.Unknown, b.Batch.At, b.Batch.Origin = true, moment(1_600_000_000_000_001), [32]byte{1, 2, 3}
	appendEntry(t, j, a)
	appendEntry(t, j, b)
	appendEntry(t, j, a) // again
	a.Seq, b.Seq = 1, 2
	want := []store.Entry{a, b}
	if diff := cmp.Diff(want, oldest(t, j)); diff != "" {
		t.Errorf("Oldest differs (-want +got):\n%s", diff)
	}
	other := a
	other.Fingerprint[0]++
	if err := j.Append(ctx, other); !errors.Is(err, store.ErrReused) {
		t.Errorf("Append of other content under a known id: %v, want ErrReused", err)
	}
	if list, err := j.Oldest(ctx, 1, 10); err != nil || len(list) != 1 || list[0].Batch.ID != b.Batch.ID {
		t.Errorf("Oldest after 1: %d entries, %v; want the second", len(list), err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, path, Options{})
	if diff := cmp.Diff(want, oldest(t, j)); diff != "" {
		t.Errorf("Oldest differs after the journal was opened again (-want +got):\n%s", diff)
	}
	if _, _, err := j.Find(ctx, knowledge.NewBatchID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Find of an unknown batch: %v, want ErrNotFound", err)
	}
}

func TestJournalledBatchIsAppliedOrParkedAndNeverBoth(t *testing.T) {
	ctx := t.Context()
	j := openJournal(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	a, b := entry(t, storetest.Rule()), entry(t, storetest.Rule())
	appendEntry(t, j, a)
	appendEntry(t, j, b)
	versions := map[knowledge.Key]int64{a.Batch.Ops[0].Key: 4}
	if err := j.Applied(ctx, a.Batch.ID, 77, versions); err != nil {
		t.Fatalf("Applied: %v", err)
	}
	p := store.Parked{
		Entry: b, Op: 1, Why: "it was changed meanwhile", Found: 9, Theirs: json.RawMessage(`{"a":1}`),
		Ours:     json.RawMessage(`{"a":2}`),
		ParkedAt: moment(1_700_000_001_000_000),
	}
	if err := j.Park(ctx, p); err != nil {
		t.Fatalf("Park: %v", err)
	}
	// What was decided stays decided, whatever a replay says after a crash.
	if err := errors.Join(j.Applied(ctx, b.Batch.ID, 78, versions),
		j.Park(ctx, store.Parked{Entry: a, Why: "late"})); err != nil {
		t.Fatalf("a late word: %v", err)
	}
	_, out, err := j.Find(ctx, a.Batch.ID)
	if diff := cmp.Diff(store.Outcome{State: knowledge.BatchApplied, Seq: 77, Versions: versions}, out); err != nil ||
		diff != "" {
		t.Errorf("Find of what was applied: %v (-want +got):\n%s", err, diff)
	}
	_, out, err = j.Find(ctx, b.Batch.ID)
	if err != nil || out.State != knowledge.BatchParked || out.Why != p.Why {
		t.Errorf("Find of what was parked: %+v, %v", out, err)
	}
	list, err := j.Parked(ctx, store.ParkedQuery{})
	p.Entry.Seq = 2
	if diff := cmp.Diff([]store.Parked{p}, list); err != nil || diff != "" {
		t.Errorf("Parked: %v (-want +got):\n%s", err, diff)
	}
	d, err := j.Depth(ctx)
	if err != nil || d.Entries != 0 || d.Bytes != 0 || d.Parked != 1 {
		t.Errorf("Depth = %+v, %v; want nothing waiting and one parked", d, err)
	}
	decide(t, j, p)
}

// decide decides about a parked batch, and checks what is left of it.
func decide(t testing.TB, j *Journal, p store.Parked) {
	t.Helper()
	ctx := t.Context()
	p.Resolution, p.ResolvedBy, p.ResolvedAt, p.ResolvedAs = "ours", "anna", moment(1_700_000_002_000_000),
		knowledge.NewBatchID()
	for range 2 {
		if err := j.Resolve(ctx, p); err != nil {
			t.Fatalf("Resolve: %v", err)
		}
	}
	otherwise := p
	otherwise.Resolution = "theirs"
	var invalid *knowledge.InvalidError
	if err := j.Resolve(ctx, otherwise); !errors.As(err, &invalid) {
		t.Errorf("Resolve of what was resolved otherwise: %v, want an InvalidError", err)
	}
	if list, err := j.Parked(ctx, store.ParkedQuery{}); err != nil || len(list) != 0 {
		t.Errorf("Parked: %d, %v; want none that waits", len(list), err)
	}
	list, err := j.Parked(ctx, store.ParkedQuery{Resolved: true})
	if diff := cmp.Diff([]store.Parked{p}, list); err != nil || diff != "" {
		t.Errorf("Parked with resolved: %v (-want +got):\n%s", err, diff)
	}
	if n, err := j.Forget(ctx, knowledge.At(time.Now().Add(1e9))); err != nil || n != 2 {
		t.Errorf("Forget = %d, %v; want both batches", n, err)
	}
	if _, _, err := j.Find(ctx, p.Entry.Batch.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Find of a forgotten batch: %v, want ErrNotFound", err)
	}
}

func TestFullJournalRefusesAndKeepsWhatItHas(t *testing.T) {
	ctx := t.Context()
	j := openJournal(t, filepath.Join(t.TempDir(), "journal.db"), Options{MaxBytes: 5000})
	taken := 0
	var refused error
	for refused == nil {
		if refused = j.Append(ctx, entry(t, storetest.Rule())); refused == nil {
			taken++
		}
	}
	var u *store.UnavailableError
	if !errors.As(refused, &u) || !u.NotDone || taken == 0 {
		t.Fatalf("after %d entries: %v; want an UnavailableError with NotDone", taken, refused)
	}
	if n := len(oldest(t, j)); n != taken {
		t.Errorf("%d entries wait, want the %d that were taken", n, taken)
	}
	e := entry(t, storetest.Rule())
	e.Unknown = true
	appendEntry(t, j, e) // the primary may have it: it can't be refused any more
	for _, e := range oldest(t, j) {
		if err := j.Applied(ctx, e.Batch.ID, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	appendEntry(t, j, entry(t, storetest.Rule()))
}

func TestJournalIsReadBesideItsOwner(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "journal.db")
	if err := Read(ctx, path, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Read without a journal: %v, want ErrNotFound", err)
	}
	j := openJournal(t, path, Options{})
	var want []knowledge.BatchID
	for i := range 3 {
		e := entry(t, storetest.Rule())
		appendEntry(t, j, e)
		switch i {
		case 0:
			if err := j.Applied(ctx, e.Batch.ID, 1, nil); err != nil {
				t.Fatal(err)
			}
			continue
		case 1:
			if err := j.Park(ctx, store.Parked{Entry: e, Why: "x", Theirs: json.RawMessage(`{"a":1}`)}); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, e.Batch.ID)
	}
	var got []knowledge.BatchID
	err := Read(ctx, path, func(l *Line) error {
		if len(l.Ops) != 2 || l.State == knowledge.BatchParked != (string(l.Theirs) == `{"a":1}`) {
			t.Errorf("batch %s is %s, has %d ops and theirs %s", l.Batch, l.State, len(l.Ops), l.Theirs)
		}
		got = append(got, l.Batch)
		return nil
	})
	if err != nil {
		t.Fatalf("Read beside its owner: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exported batches (-want +got):\n%s", diff)
	}
}

func TestWaitingUsesAreTakenOnce(t *testing.T) {
	ctx := t.Context()
	j := openJournal(t, filepath.Join(t.TempDir(), "journal.db"), Options{})
	for range 2 {
		if err := j.AddUses(ctx, map[string]int64{"a": 2, "b": 1}); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("still away")
	if err := j.TakeUses(ctx, func(context.Context, map[string]int64) error { return broken }); !errors.Is(err,
		broken) {
		t.Errorf("TakeUses: %v", err)
	}
	sum := map[string]int64{}
	for range 2 {
		err := j.TakeUses(ctx, func(_ context.Context, counts map[string]int64) error {
			for id, n := range counts {
				sum[id] += n
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]int64{"a": 4, "b": 2}, sum); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}
