package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestErasureKeepsItsLaws(t *testing.T) {
	s := openTest(t, Options{})
	storetest.Erasure(t, erasing{s, NewEraser(s), NewArchive(s)}, s.RunBook(), NewAuditBook(s))
}

// erasing is a store with what erases from it.
type erasing struct {
	*Store
	*Eraser
	Archive
}

// TestAMirrorErasesWhatItsPrimaryHasErased follows a primary before and after an erasure, and from its beginning
// afterwards.
func TestAMirrorErasesWhatItsPrimaryHasErased(t *testing.T) {
	primary, followed, late := openTest(t, Options{}), openTest(t, Options{Mirror: true}),
		openTest(t, Options{Mirror: true})
	storetest.FillWithPerson(t, primary)
	replicated(t, followed, feed(t, primary, 0))
	waiting := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.CreatedBy, r.UpdatedBy, r.Version = "R-1", storetest.Erased, storetest.Erased, 9
		r.CreatedAt, r.UpdatedAt = knowledge.At(time.Now()), knowledge.At(time.Now())
	})
	rec, err := knowledge.NewRecord(waiting)
	if err != nil {
		t.Fatal(err)
	}
	if err := followed.Overlay(t.Context(), store.Entry{
		Batch: knowledge.Batch{ID: knowledge.NewBatchID()},
		Left:  []store.Left{{Key: rec.Key, Record: rec}},
	}); err != nil {
		t.Fatal(err)
	}
	at := knowledge.Seq(len(feed(t, primary, 0)))
	r := erase(t, primary, storetest.Erased, storetest.ErasedName, "I. Vogel")
	replicated(t, followed, feed(t, primary, at))
	replicated(t, late, feed(t, primary, 0))
	if diff := cmp.Diff(everything(t, primary), everything(t, followed)); diff != "" {
		t.Errorf("the mirror has other documents than its primary (-primary +mirror):\n%s", diff)
	}
	if diff := cmp.Diff(everything(t, primary), everything(t, late)); diff != "" {
		t.Errorf("a new mirror has other documents than its primary (-primary +mirror):\n%s", diff)
	}
	for name, m := range map[string]*Store{"that followed": followed, "made afterwards": late} {
		if lines := storetest.Named(storetest.Everything(t, m)); len(lines) > 0 {
			t.Errorf("the mirror %s still names %s:\n%s", name, r.Pseudonym, strings.Join(lines, "\n"))
		}
		if err := m.VerifyChanges(t.Context(), nil); err != nil {
			t.Errorf("the mirror %s: %v", name, err)
		}
		inFiles(t, m)
	}
	inFiles(t, primary)
}

// inFiles closes a store and looks for the person in every byte of its files.
func inFiles(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(s.path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of %s: %v", s.path, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, keep := range []string{
			storetest.Bystander, "Ask Ines Vogel before you merge.",
			"Ines Vogel the Second",
		} {
			data = bytes.ReplaceAll(data, []byte(keep), nil)
		}
		for _, name := range []string{storetest.Erased, storetest.ErasedName, "I. Vogel"} {
			if at := bytes.Index(data, []byte(name)); at >= 0 {
				t.Errorf("%s holds %q: %q", filepath.Base(path), name, data[max(0, at-60):min(len(data), at+60)])
			}
		}
	}
}

// erase erases a person and returns how it was asked for.
func erase(t *testing.T, s *Store, id string, names ...string) store.ErasureRequest {
	t.Helper()
	pseudonym, person := knowledge.NewErasure(id, names)
	r := store.ErasureRequest{Pseudonym: pseudonym, Erasure: *person, Batch: knowledge.NewBatchID(), Actor: "root"}
	if _, err := NewEraser(s).Erase(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAnErasureIsNoCoverForAForger changes what an erasure has left, or says that there was one.
func TestAnErasureIsNoCoverForAForger(t *testing.T) {
	const other = "(SELECT seq FROM changes WHERE erased IS NULL AND actor = 'root' ORDER BY seq LIMIT 1)"
	const one = "(SELECT seq FROM changes WHERE erased IS NOT NULL AND entered_by IS NOT NULL ORDER BY seq LIMIT 1)"
	for name, statement := range map[string]string{
		"the actor of an erased change": "UPDATE changes SET actor = 'mallory' WHERE seq = " + one,
		"who entered it":                "UPDATE changes SET entered_by = 'mallory' WHERE seq = " + one,
		"its document": "UPDATE changes SET document = replace(document, 'Close', 'Leave') " +
			"WHERE seq = " + one,
		"that a person was erased": "UPDATE changes SET erased = (SELECT erasure FROM erased LIMIT 1), actor = " +
			"'mallory' WHERE seq = " + other,
		"an erasure that there was not": "UPDATE changes SET erased = 'erased-0', actor = 'mallory' WHERE seq = " +
			other,
		"a row of the list":           "UPDATE erased SET digest = zeroblob(32) WHERE seq = " + one,
		"a row taken out of the list": "DELETE FROM erased WHERE seq = " + one,
		"a row put into the list": "INSERT INTO erased SELECT erasure, " + other +
			", document_hash, digest FROM erased LIMIT 1",
		"that nobody was erased from it": "UPDATE changes SET erased = NULL WHERE seq = " + one,
		"the erasure's document": "UPDATE principals SET document = json_set(document, " +
			"'$.erasure.rows', 0) WHERE erasure IS NOT NULL",
		"an erased change's place in the chain": "UPDATE changes SET chain = zeroblob(32) WHERE seq = " + one,
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, Options{})
			storetest.FillWithPerson(t, s)
			erase(t, s, storetest.Erased, storetest.ErasedName)
			if err := s.VerifyChanges(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			tamper(t, s, statement)
			if found, ok := errors.AsType[*TamperError](s.VerifyChanges(t.Context(), nil)); !ok {
				t.Errorf("VerifyChanges: %v, want a fault", found)
			}
		})
	}
}

// replicated applies changes of a primary to a mirror.
func replicated(t *testing.T, mirror *Store, changes []knowledge.Change) {
	t.Helper()
	if err := mirror.Replicate(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}
