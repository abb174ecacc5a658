package journal

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestAnOutcomeIsBelievedOfThisProgramOnly marks batches as settled by hand, those that wait and those that wait for a
// person. They wait again, and are not forgotten; what tenet has settled stays so.
func TestAnOutcomeIsBelievedOfThisProgramOnly(t *testing.T) {
	ctx, later := t.Context(), knowledge.At(time.Now().Add(time.Hour))
	for name, forge := range map[string]string{
		"as applied":             "state = 'applied'",
		"as applied with a time": "state = 'applied', settled_at = 1, primary_seq = 3, versions = '[]'",
		"with another's sum": "(state, settled_at, primary_seq, versions, outcome_sum) = (SELECT state, settled_at, " +
			"primary_seq, versions, outcome_sum FROM entries WHERE seq = 1)",
		"as resolved": "state = 'resolved', settled_at = 1",
		"as parked":   "state = 'parked', why = 'forged'",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			j := openJournal(t, path, Options{})
			applied, waiting, parked := entry(t, storetest.Rule()), entry(t, storetest.Rule()), entry(t, storetest.Rule())
			for _, e := range []store.Entry{applied, waiting, parked} {
				appendEntry(t, j, e)
			}
			if err := j.Applied(ctx, applied.Batch.ID, 7, nil); err != nil {
				t.Fatal(err)
			}
			if err := j.Park(ctx, store.Parked{Entry: parked, Why: "overtaken"}); err != nil {
				t.Fatal(err)
			}
			db := openSQL(t, path)
			if _, err := db.ExecContext(ctx, "UPDATE entries SET "+forge+" WHERE seq > 1"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(ctx, "UPDATE parked SET resolution = 'theirs'"); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Forget(ctx, knowledge.At(time.Unix(1, 0))); err != nil {
				t.Fatal(err)
			}
			found := 0
			if err := Read(ctx, path, func(l *Line) error {
				if l.Damaged && l.Why != "" {
					found++
				}
				return nil
			}); err != nil || found == 0 {
				t.Errorf("%d forged batches are named, %v", found, err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = openJournal(t, path, Options{})
			if j.Requeued() == 0 {
				t.Error("nothing waits again")
			}
			list := oldest(t, j)
			if len(list) != 1 || list[0].Batch.ID != waiting.Batch.ID {
				t.Errorf("%d batches wait again, want the one that did", len(list))
			}
			if _, out, err := j.Find(ctx, applied.Batch.ID); err != nil || out.State != knowledge.BatchApplied ||
				out.Seq != 7 {
				t.Errorf("the applied batch is %+v, %v", out, err)
			}
			if name == "as parked" { // as it was
				return
			}
			if list, err := j.Parked(ctx, store.ParkedQuery{}); err != nil || len(list) != 1 ||
				list[0].Entry.Batch.ID != parked.Batch.ID {
				t.Errorf("%d batches wait for a person, %v; want the one that did", len(list), err)
			}
			if n, err := j.Forget(ctx, later); err != nil || n != 1 {
				t.Errorf("%d batches are forgotten, %v; want the applied one", n, err)
			}
		})
	}
}

// TestOutcomesOfAnOlderProgramAreKept opens a journal whose outcomes have no checksums yet, twice.
func TestOutcomesOfAnOlderProgramAreKept(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "journal.db")
	j := openJournal(t, path, Options{})
	e := entry(t, storetest.Rule())
	appendEntry(t, j, e)
	if err := j.Applied(ctx, e.Batch.ID, 7, nil); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	db := openSQL(t, path)
	p, err := goose.NewProvider(goose.DialectSQLite3, db, tables().Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(ctx, 6); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Read(ctx, path, func(l *Line) error { t.Errorf("%+v is named", l); return nil }); err != nil {
		t.Error(err)
	}
	for range 2 {
		j = openJournal(t, path, Options{})
		if _, out, err := j.Find(ctx, e.Batch.ID); err != nil || out.State != knowledge.BatchApplied || j.Requeued() > 0 {
			t.Errorf("the batch is %+v, %v, and %d wait again", out, err, j.Requeued())
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
