package postgres_test

import (
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestTheAuditKeepsItsLaws(t *testing.T) {
	storetest.Audit(t, func(t *testing.T) storetest.AuditedStore {
		url := migrated(t)
		s := openAt(t, url)
		return storetest.AuditedStore{
			ErasingStore: struct {
				*postgres.Store
				*postgres.Eraser
				postgres.Archive
			}{s, postgres.NewEraser(s), postgres.NewArchive(s)},
			AuditBook: postgres.NewAuditBook(s),
			Retain: func(before knowledge.Time) error {
				_, err := s.Retain(t.Context(), before, 1<<62)
				return err
			},
			Forge: func(t *testing.T, forged string) { pgtest.Exec(t, url, forged) },
		}
	})
}

func TestRefusalsOfBeforeAreChained(t *testing.T) {
	url := pgtest.URL(t)
	migrate(t, url, 14)
	pgtest.Exec(t, url, `INSERT INTO refusals (at, actor, action, key, reason, request_id, peer) VALUES
('2026-01-02T03:04:05.000006Z', 'eve', 'put', 'rule/x', 'é', 'r1', ''), ('2026-01-02T03:04:05.000007Z', 'ann',
'entered', '', '', '', '192.0.2.7')`)
	migrate(t, url, -1)
	s := openAt(t, url)
	if err := postgres.NewAuditBook(s).Add(t.Context(), store.AuditEntry{
		At:   knowledge.At(time.Now()),
		Kind: store.AuditRead,
	}); err != nil {
		t.Fatal(err)
	}
	if head, err := postgres.NewAuditBook(s).Verify(t.Context(), nil); err != nil || head.Seq != 3 {
		t.Errorf("the audit verifies up to %s, %v; want entry 3", head, err)
	}
	list, err := postgres.NewAuditBook(s).Entries(t.Context(), store.AuditQuery{Below: 3, Limit: 9})
	if err != nil || len(list) != 2 || list[0].Kind != store.AuditEntered || list[1].Kind != store.AuditRefused ||
		list[1].Actor != "eve" || list[1].Reason != "é" {
		t.Errorf("the entries of before are %+v, %v", list, err)
	}
	migrate(t, url, 14)
	n := 0
	if err := pgtest.Connect(t, url).QueryRow(t.Context(), "SELECT count(*) FROM refusals").Scan(&n); err != nil ||
		n != 2 {
		t.Errorf("the way down leaves %d refusals, %v; want 2", n, err)
	}
}
