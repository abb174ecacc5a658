package server

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

func (e *embedded) auditBook() store.AuditBook { return sqlite.NewAuditBook(e.Store) }

func (p *primary) auditBook() store.AuditBook { return postgres.NewAuditBook(p.Store) }

func (d *dual) auditBook() store.AuditBook { return dualAudit{d} }

// dualAudit is the audit of a server on PostgreSQL: there, and in the journal's file while it is away.
type dualAudit struct{ d *dual }

// Add implements [store.AuditBook]. A primary that goes away at that moment may have the entries already: better twice
// than not at all.
func (a dualAudit) Add(ctx context.Context, list ...store.AuditEntry) error {
	if p := a.d.primary.Load(); p != nil && a.d.Level().Mode == knowledge.ModeNormal {
		book := p.auditBook()
		if a.d.journal.TakeAudit(ctx, book.Add) == nil && book.Add(ctx, list...) == nil {
			return nil
		}
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	return a.d.journal.AddAudit(keep, list...)
}

// Entries implements [store.AuditBook]. Those that wait here for the primary come before its own.
func (a dualAudit) Entries(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	list, err := a.d.journal.Audit(ctx, q)
	if p := a.d.primary.Load(); err == nil && p != nil && a.d.Level().Mode != knowledge.ModeDegraded {
		var theirs []store.AuditEntry
		theirs, err = p.auditBook().Entries(ctx, q)
		list = append(list, theirs...)
	}
	return list[:min(len(list), q.Limit)], err
}

// Verify implements [store.AuditBook], while the primary is there.
func (a dualAudit) Verify(ctx context.Context, progress func(done, last int64)) (store.AuditHead, error) {
	p := a.d.primary.Load()
	if p == nil || a.d.Level().Mode == knowledge.ModeDegraded {
		return store.AuditHead{}, a.d.errAway()
	}
	return p.auditBook().Verify(ctx, progress)
}
