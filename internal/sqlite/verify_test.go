package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// tamper runs a statement on a store's file behind its back.
func tamper(t testing.TB, s *Store, statement string) {
	t.Helper()
	db, err := handle{path: s.path, conns: 1}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestTamperingWithTheLogIsFound(t *testing.T) {
	const putIn = `INSERT INTO categories (category_id, rank, document)
		SELECT 'forged', rank, json_set(document, '$.category_id', 'forged') FROM categories LIMIT 1`
	for name, c := range map[string]struct {
		statement string
		seq       knowledge.Seq
	}{
		"a changed document": {
			"UPDATE changes SET document = replace(document, 'Close', 'Leave') WHERE seq = 2",
			2,
		},
		"a changed verb":          {"UPDATE changes SET verb = 'put' WHERE verb = 'retire'", 8},
		"a changed key":           {"UPDATE changes SET id = 'x' WHERE seq = 3", 3},
		"a removed change":        {"DELETE FROM changes WHERE seq = 4", 4},
		"a removed document":      {"UPDATE changes SET document = NULL WHERE seq = 2", 2},
		"a document past the log": {"UPDATE rules SET document = json_set(document, '$.title', 'Leave it open')", 0},
		"a document put in past":  {putIn, 0},
		"a document taken out":    {"PRAGMA foreign_keys = off; DELETE FROM rules", 0},
		"a trigger": {"CREATE TRIGGER forged AFTER INSERT ON changes BEGIN UPDATE rules SET rank " +
			"= 1; END", 0},
		"an attributed batch": {"UPDATE changes SET batch_id = zeroblob(16) WHERE seq = 5", 5},
		"a document and its hash": {
			"UPDATE changes SET document_hash = zeroblob(32), document = '{}' WHERE seq = 2",
			2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, Options{})
			world(t, s)
			var last knowledge.Seq
			if err := s.VerifyChanges(t.Context(), func(done, _ knowledge.Seq) { last = done }); err != nil ||
				last != 11 {
				t.Fatalf("VerifyChanges of a sound log: %v, up to %d", err, last)
			}
			tamper(t, s, c.statement)
			var found *TamperError
			if err := s.VerifyChanges(t.Context(), nil); !errors.As(err, &found) || found.Seq != c.seq {
				t.Errorf("VerifyChanges: %v, want a fault at change %d", err, c.seq)
			}
		})
	}
}

func TestRetentionShortensTheLogFromItsBeginning(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Options{})
	old := storetest.Rule()
	b := storetest.Batch(knowledge.Put(general(), 0), knowledge.Put(old, 0))
	b.At = knowledge.At(time.Now().Add(-48 * time.Hour))
	first, err := s.Apply(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	purge := storetest.Batch(knowledge.Op{Verb: knowledge.VerbPurge, Key: old.Key()})
	purge.At = b.At
	if _, err := s.Apply(ctx, purge); err != nil {
		t.Fatal(err)
	}
	put(t, s, storetest.Rule(), storetest.Rule())
	if err := NewAuditBook(s).Add(ctx, store.AuditEntry{At: b.At},
		store.AuditEntry{At: knowledge.At(time.Now())}); err != nil {
		t.Fatal(err)
	}
	n, err := s.Retain(ctx, knowledge.At(time.Now().Add(-24*time.Hour)), 0)
	if err != nil || n != 3 {
		t.Fatalf("Retain = %d, %v; want the three old changes", n, err)
	}
	if list, err := NewAuditBook(s).Entries(ctx, store.AuditQuery{Limit: 10}); err != nil || len(list) != 2 ||
		list[0].Kind != store.AuditTrimmed {
		t.Errorf("the audit holds %+v (%v), want the new entry and that the old one was removed", list, err)
	}
	var gone *store.GoneError
	if _, err := s.Changes(ctx, knowledge.ChangeQuery{After: 2}); !errors.As(err, &gone) || gone.Oldest != 4 {
		t.Errorf("Changes after 2: %v, want that the log begins at 4", err)
	}
	if list := feed(t, s, 3); len(list) != 2 {
		t.Errorf("the log holds %d changes after 3, want 2", len(list))
	}
	if err := s.VerifyChanges(ctx, nil); err != nil {
		t.Errorf("VerifyChanges of a shortened log: %v", err)
	}
	rec := put(t, s, old).Records[0]
	if rec.Version != 3 {
		t.Errorf("a rule that was purged before the log begins has version %d, want 3", rec.Version)
	}
	if n, err := s.Retain(ctx, knowledge.At(time.Now().Add(time.Hour)), 0); err != nil || n != 2 {
		t.Errorf("Retain of everything = %d, %v; want all but the last change", n, err)
	}
	if seq := put(t, s, storetest.Rule()).Seq; seq != first.Seq+5 {
		t.Errorf("the next change has seq %d, want %d", seq, first.Seq+5)
	}
}

func TestBackupIsAWholeStore(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Options{})
	world(t, s)
	path := filepath.Join(t.TempDir(), "backup.db")
	for range 2 {
		if err := s.Backup(ctx, path); err != nil {
			t.Fatalf("Backup: %v", err)
		}
	}
	want := everything(t, s)
	put(t, s, storetest.Rule())
	copied := openAt(t, path, Options{})
	equal(t, "the backup differs", want, everything(t, copied))
	if hits, err := copied.Search(ctx, knowledge.SearchQuery{Text: "patched"}); err != nil || len(hits.Hits) != 1 {
		t.Errorf("Search in a backup: %+v, %v", hits, err)
	}
	if err := s.Backup(ctx, filepath.Join(t.TempDir(), "none", "backup.db")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Backup into no directory: %v, want ErrUnavailable", err)
	}
}

func TestUsesAreCountedBesideTheVersion(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Options{})
	tmpl := storetest.Template()
	put(t, s, general(), tmpl)
	for range 2 {
		if err := s.AddUses(ctx, map[string]int64{tmpl.TemplateID: 3, "gone": 1}); err != nil {
			t.Fatal(err)
		}
		put(t, s, tmpl)
	}
	counts, err := s.Uses(ctx, []string{tmpl.TemplateID, "gone"})
	if err != nil || len(counts) != 1 || counts[tmpl.TemplateID] != 6 {
		t.Errorf("Uses = %v, %v; want 6", counts, err)
	}
	rec, err := s.Get(ctx, tmpl.Key())
	if err != nil || rec.Version != 3 {
		t.Errorf("the template: %+v, %v; want version 3", rec, err)
	}
}

func TestStatTellsSizes(t *testing.T) {
	s := openTest(t, Options{})
	world(t, s)
	st, err := s.Stat(t.Context())
	if err != nil || st.Bytes+st.WALBytes == 0 || st.Oldest != 1 || st.Newest != 11 || st.Schema.Pending() {
		t.Errorf("Stat = %+v, %v", st, err)
	}
}

func TestRetentionTakesWholeTransactionsHoweverLong(t *testing.T) {
	s := openTest(t, Options{})
	put(t, s, general())
	for range 3 {
		ops := make([]knowledge.Op, 1500)
		for i := range ops {
			ops[i] = knowledge.Put(storetest.Violation("", func(v *knowledge.Violation) { v.RuleID = "r" }), 0)
		}
		ops[0] = knowledge.Put(storetest.Rule(func(r *knowledge.Rule) { r.RuleID = "r" }), 0)
		apply(t, s, ops...)
	}
	n, err := s.Retain(t.Context(), knowledge.At(time.Now().Add(time.Hour)), 100)
	if err != nil || n != 3001 {
		t.Errorf("Retain = %d, %v; want all of the first two batches and nothing of the third, of which some "+
			"must stay", n, err)
	}
	if list := feed(t, s, 3001); len(list) != 1500 {
		t.Errorf("the log holds %d changes, want the whole third batch", len(list))
	}
}
