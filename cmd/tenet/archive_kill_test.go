package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/store"
)

const (
	oldRules = 1500 // three pages of the archive
	oldPage  = 500
)

// TestAKilledArchiveIsFinishedByTheNextRun kills a server in the middle of the job that archives. Whole pages are
// archived by then and nothing of another, the next run archives the rest, and the log verifies.
func TestAKilledArchiveIsFinishedByTheNextRun(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	t.Run("embedded", func(t *testing.T) { killInArchive(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { killInArchive(t, pgtest.URL(t)) })
}

func killInArchive(t *testing.T, databaseURL string) {
	dir := filepath.Join(t.TempDir(), "data")
	p := serveProcess(t, dir, databaseURL, "--archive-after", "1ms")
	c := p.client(t)
	for from := 0; from < oldRules; from += oldPage {
		var put, retire []knowledge.Op
		for i := from; i < from+oldPage; i++ {
			r := &knowledge.Rule{
				RuleID: fmt.Sprintf("OLD-%d", i), Category: "security", Title: "Old", Description: "Text.", IsActive: true,
			}
			r.Normalize()
			put = append(put, knowledge.Put(r, knowledge.NoVersion))
			retire = append(retire, knowledge.Op{Verb: knowledge.VerbRetire, Key: r.Key()})
		}
		for _, ops := range [][]knowledge.Op{put, retire} {
			if _, err := c.Apply(t.Context(), knowledge.Batch{
				ID: knowledge.NewBatchID(), Actor: "tester", Ops: ops,
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.RunJob(t.Context(), "retention.archive"); err != nil {
		t.Fatal(err)
	}
	watch := p.client(t)
	pgtest.Await(t, "something to be archived", func() bool {
		newest, err := watch.Changes(t.Context(), knowledge.ChangeQuery{Newest: true, Limit: 1})
		return err == nil && len(newest) > 0 && newest[0].Verb == knowledge.VerbArchive
	})
	p.kill(t)
	if databaseURL != "" { // in a database of several instances its beats tell that it is dead
		pgtest.Exec(t, databaseURL, "UPDATE job_runs SET beat_at = beat_at - interval '1 hour'")
	}

	p = serveProcess(t, dir, databaseURL, "--archive-after", "1ms")
	c = p.client(t)
	pgtest.Await(t, "the job to archive the rest", func() bool {
		if n, err := archivedOf(t, c); err != nil || n == oldRules {
			return err == nil // in the beginning there is no PostgreSQL yet
		}
		if _, err := c.RunJob(t.Context(), "retention.archive"); err != nil && !errors.Is(err, store.ErrConflict) {
			t.Errorf("run again: %v", err)
		}
		return false
	})
	pages := map[knowledge.BatchID]int{}
	for at := knowledge.Seq(0); ; {
		changes, err := c.Changes(t.Context(), knowledge.ChangeQuery{After: at, Limit: knowledge.MaxChanges})
		if err != nil {
			t.Fatal(err)
		}
		for i := range changes {
			if at = changes[i].Seq; changes[i].Verb == knowledge.VerbArchive {
				pages[changes[i].Batch]++
			}
		}
		if len(changes) == 0 {
			break
		}
	}
	for id, n := range pages {
		if n != oldPage {
			t.Errorf("batch %s has archived %d documents, want a whole page of %d", id, n, oldPage)
		}
	}
	if len(pages) != oldRules/oldPage {
		t.Errorf("%d batches have archived, want %d: nothing twice", len(pages), oldRules/oldPage)
	}
	if databaseURL != "" {
		bringBackElsewhere(t, c, databaseURL)
	}
	report, err := verifyChanges(t.Context(), c, time.Minute, anchor{}, func(int64) {})
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("the log does not verify: %v, %v", report.Faults, err)
	}
	p.end(t)
}

// bringBackElsewhere looks from another instance, whose mirror is made after the archive or follows it, for what is
// archived, and restores one document there.
func bringBackElsewhere(t *testing.T, c *client.Store, databaseURL string) {
	t.Helper()
	other := serveProcess(t, filepath.Join(t.TempDir(), "other"), databaseURL)
	theirs := other.client(t)
	pgtest.Await(t, "the archive at another instance", func() bool {
		n, err := archivedOf(t, theirs)
		return err == nil && n == oldRules
	})
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "OLD-7"}
	send := func(c *client.Store, verb knowledge.Verb) {
		t.Helper()
		if _, err := c.Apply(t.Context(), knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: "tester", Ops: []knowledge.Op{{Verb: verb, Key: key}},
		}); err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
	}
	send(theirs, knowledge.VerbRestore)
	pgtest.Await(t, "the first instance to show what the other restored", func() bool {
		rec, err := c.Get(t.Context(), key)
		return err == nil && rec.Active
	})
	send(c, knowledge.VerbRetire)
	send(c, knowledge.VerbArchive)
	pgtest.Await(t, "the other mirror to let go of it again", func() bool {
		_, err := theirs.Get(t.Context(), key)
		return errors.Is(err, store.ErrNotFound)
	})
	other.end(t)
}

// archivedOf counts what is in the archive, and checks that it is nowhere else.
func archivedOf(t *testing.T, c *client.Store) (int, error) {
	t.Helper()
	q := store.ArchiveQuery{Limit: store.MaxArchived}
	n := 0
	for {
		list, more, err := client.Archived(t.Context(), c, q)
		if err != nil {
			return 0, err
		}
		if n == 0 && len(list) > 0 {
			if _, err := c.Get(t.Context(), list[0].Key); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s is archived, and read as any other: %v", list[0].Key, err)
			}
		}
		if n += len(list); !more {
			return n, nil
		}
		q.After = list[len(list)-1].Key
	}
}
