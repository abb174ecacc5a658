package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestTheAuditKeepsItsLaws(t *testing.T) {
	storetest.Audit(t, func(t *testing.T) storetest.AuditedStore {
		path := filepath.Join(t.TempDir(), "a.db")
		s := openAt(t, path, Options{})
		return storetest.AuditedStore{
			ErasingStore: erasing{s, NewEraser(s), NewArchive(s)},
			AuditBook:    NewAuditBook(s),
			Retain: func(before knowledge.Time) error {
				_, err := s.Retain(t.Context(), before, 1<<62)
				return err
			},
			Forge: func(t *testing.T, forged string) { forge(t, path, forged) },
		}
	})
}

// forge writes into a file past its store.
func forge(t *testing.T, path, forged string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(forged); err != nil {
		t.Fatal(err)
	}
}

func TestRefusalsOfBeforeAreChained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	migrateTo(t, path, 13)
	forge(t, path, `INSERT INTO refusals (refusal_id, at, actor, action, key, reason, request_id, peer) VALUES
(4, 1700000000000001, 'eve', 'put', 'rule/x', 'é', 'r1', ''), (9, 1700000000000002, 'ann', 'entered', '', '', '',
'192.0.2.7')`)
	s := openAt(t, path, Options{})
	if err := NewAuditBook(s).Add(t.Context(), store.AuditEntry{
		At:   knowledge.At(time.Now()),
		Kind: store.AuditRead,
	}); err != nil {
		t.Fatal(err)
	}
	if head, err := NewAuditBook(s).Verify(t.Context(), nil); err != nil || head.Seq != 3 {
		t.Errorf("the audit verifies up to %s, %v; want entry 3", head, err)
	}
	list, err := NewAuditBook(s).Entries(t.Context(), store.AuditQuery{Below: 3, Limit: 9})
	if err != nil || len(list) != 2 || list[0].Kind != store.AuditEntered || list[1].Kind != store.AuditRefused ||
		list[1].Actor != "eve" || list[1].Reason != "é" {
		t.Errorf("the entries of before are %+v, %v", list, err)
	}
}
