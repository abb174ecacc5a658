package postgres_test

import (
	"errors"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestErasureKeepsItsLaws(t *testing.T) {
	s := open(t)
	storetest.Erasure(t, struct {
		*postgres.Store
		*postgres.Eraser
		postgres.Archive
	}{s, postgres.NewEraser(s), postgres.NewArchive(s)}, s.RunBook(), postgres.NewAuditBook(s))
}

// TestAnErasureIsNoCoverForAForger changes what an erasure has left, or says that there was one.
func TestAnErasureIsNoCoverForAForger(t *testing.T) {
	const other = "(SELECT seq FROM changes WHERE erased IS NULL AND actor = 'root' ORDER BY seq LIMIT 1)"
	const one = "(SELECT seq FROM changes WHERE erased IS NOT NULL AND entered_by IS NOT NULL ORDER BY seq LIMIT 1)"
	for name, statement := range map[string]string{
		"the actor of an erased change": "UPDATE changes SET actor = 'mallory' WHERE seq = " + one,
		"who entered it":                "UPDATE changes SET entered_by = 'mallory' WHERE seq = " + one,
		"its document": "UPDATE changes SET document = document || '{\"title\": \"Leave it " +
			"open\"}' WHERE seq = " + one,
		"that a person was erased": "UPDATE changes SET erased = (SELECT erasure FROM erased LIMIT 1), actor = " +
			"'mallory' WHERE seq = " + other,
		"an erasure that there was not": "UPDATE changes SET erased = 'erased-0', actor = 'mallory' WHERE seq = " +
			other,
		"a row taken out of the list":    "DELETE FROM erased WHERE seq = " + one,
		"that nobody was erased from it": "UPDATE changes SET erased = NULL WHERE seq = " + one,
	} {
		t.Run(name, func(t *testing.T) {
			url := migrated(t)
			s := openAt(t, url)
			storetest.FillWithPerson(t, s)
			pseudonym, person := knowledge.NewErasure(storetest.Erased, []string{storetest.ErasedName})
			if _, err := postgres.NewEraser(s).Erase(t.Context(), store.ErasureRequest{
				Pseudonym: pseudonym,
				Erasure:   *person, Batch: knowledge.NewBatchID(), Actor: "root",
			}); err != nil {
				t.Fatal(err)
			}
			if err := s.VerifyChanges(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if code := byHand(t, url, statement); code != "" {
				t.Fatal(code)
			}
			if found, ok := errors.AsType[*postgres.TamperError](s.VerifyChanges(t.Context(), nil)); !ok {
				t.Errorf("VerifyChanges: %v, want a fault", found)
			}
		})
	}
}
