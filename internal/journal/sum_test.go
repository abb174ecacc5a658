package journal

import (
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestAFlippedLetterInTheJournalIsNoticed(t *testing.T) {
	for name, flip := range map[string]string{
		"a text":                    "UPDATE entries SET ops = replace(ops, 'Close', 'Abuse')",
		"the form of a text":        "UPDATE entries SET ops = substr(ops, 2)",
		"no text at all":            "UPDATE entries SET ops = '[]'",
		"what it is made on top of": "UPDATE entries SET bases = replace(bases, '3', '4')",
		"what it leaves behind":     "UPDATE entries SET left_behind = replace(left_behind, 'Close', 'Abuse')",
		"who asked for it":          "UPDATE entries SET caller = 'admin'",
		"its place":                 "UPDATE entries SET seq = seq + 1",
		"its sum":                   "UPDATE entries SET sum = NULL",
		"a text without its sum":    "UPDATE entries SET sum = NULL, ops = replace(ops, 'Close', 'Abuse')",
		"a text with an origin":     "UPDATE entries SET sum = NULL, origin = id, ops = replace(ops, 'Close', 'Abuse')",
		"nothing":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			j := openJournal(t, path, Options{})
			rule := storetest.Rule()
			rule.Title = "Close what you open"
			e := entry(t, rule)
			e.Caller = "somebody"
			appendEntry(t, j, e)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if flip != "" {
				db := openSQL(t, path)
				res, err := db.ExecContext(t.Context(), flip)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := res.RowsAffected(); n != 1 || err != nil {
					t.Fatalf("%d rows changed, %v", n, err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			want := !strings.HasPrefix(name, "nothing")
			j = openJournal(t, path, Options{})
			list := oldest(t, j)
			if len(list) != 1 || list[0].Damaged != want || len(list[0].Batch.Ops) == 0 ||
				len(list[0].Bases) != len(list[0].Batch.Ops) {
				t.Fatalf("the journal hands out %+v; want one entry, damaged %t", list, want)
			}
			if want && len(list[0].Left) > 0 {
				t.Error("what a damaged batch leaves behind would be shown")
			}
			err := Read(t.Context(), path, func(l *Line) error {
				if l.Damaged != want {
					t.Errorf("the export says damaged %t, want %t", l.Damaged, want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Park(t.Context(), store.Parked{Entry: list[0], Op: -1, Why: "damaged"}); err != nil {
				t.Fatal(err)
			}
			if parked, err := j.Parked(t.Context(), store.ParkedQuery{}); err != nil || len(parked) != 1 {
				t.Errorf("parked: %d, %v; want it to wait for a person", len(parked), err)
			}
		})
	}
}
