package failover_test

import (
	"database/sql" //nolint:depguard // as somebody with a tool for SQL
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// TestAnEntryThatIsGoneFromTheJournalKeepsNobodyWaiting takes entries out of the file of a journal in an outage: they
// wait for a person with what the mirror shows of them, and the instance comes back to normal.
func TestAnEntryThatIsGoneFromTheJournalKeepsNobodyWaiting(t *testing.T) {
	for change, parked := range map[string]int{
		"DELETE FROM entries": 1, "UPDATE entries SET id = randomblob(16)": 2, "UPDATE entries SET state = 'applied'": 0,
	} {
		t.Run(change, func(t *testing.T) {
			c := newScene(t, func(o *failover.Options) { o.Failures = 1 })
			c.write(knowledge.Put(titled("R", "first"), 0))
			c.follow()
			c.primary.set(refused)
			waitMode(t, c.s, knowledge.ModeDegraded)
			rec := c.write(knowledge.Put(titled("R", "second"), 1))
			db, err := sql.Open("sqlite", filepath.Join(c.dir, "journal.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if res, err := db.ExecContext(t.Context(), change+" WHERE state = 'queued'"); err != nil {
				t.Fatal(err)
			} else if n, err := res.RowsAffected(); n != 1 || err != nil {
				t.Fatalf("%d entries changed, %v", n, err)
			}
			c.primary.set(healthy)
			waitMode(t, c.s, knowledge.ModeNormal)
			list, err := c.s.Conflicts(t.Context(), store.ParkedQuery{})
			if err != nil || len(list) != parked {
				t.Fatalf("%d batches wait for a person, %v; want %d", len(list), err, parked)
			}
			for i := range list {
				if p := &list[i]; p.Entry.Batch.ID == rec.Batch && !strings.Contains(string(p.Ours), "second") {
					t.Errorf("of the batch is kept %s (%s)", p.Ours, p.Why)
				}
			}
			if r, err := c.s.Get(t.Context(), ruleKey("R")); err != nil || titleOf(t, r) != "first" {
				t.Errorf("R reads as %+v, %v, want the first", r, err)
			}
		})
	}
}
