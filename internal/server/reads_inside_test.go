package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A book keeps the entries of the audit, unless it is told to fail.
type book struct {
	store.AuditBook
	entries []store.AuditEntry
	err     error
}

func (b *book) Add(_ context.Context, list ...store.AuditEntry) error {
	if b.err == nil {
		b.entries = append(b.entries, list...)
	}
	return b.err
}

func TestReadsAreBoundedAndWhatIsOnlyCountedIsTold(t *testing.T) {
	b := &book{err: errors.New("away")}
	r := newReads(b, slog.New(slog.DiscardHandler))
	read := access.Read{
		Caller: &access.Caller{ID: "loop"}, Action: access.ReadGet,
		Key: knowledge.Key{Kind: knowledge.KindRule, ID: "X"}, Question: strings.Repeat("q", 1<<20),
	}
	const reads = 20_000
	for i := range reads {
		r.note(t.Context(), read)
		if i == reads/2 {
			r.flush(t.Context()) // which fails, and loses nothing
		}
	}
	size := 0
	for i := range r.pending {
		size += r.pending[i].Size()
	}
	if size > readsRoom || len(r.pending) < 1000 {
		t.Errorf("%d entries of %d bytes wait, want %d bytes at most", len(r.pending), size, readsRoom)
	}
	b.err = nil
	r.flush(t.Context())
	kept, counted := 0, int64(0)
	for i := range b.entries {
		switch b.entries[i].Kind {
		case store.AuditRead:
			kept++
		case store.AuditCounted:
			counted += b.entries[i].Count
		}
	}
	if int64(kept)+counted != reads || r.lost.Load() != counted || counted == 0 ||
		b.entries[0].Kind != store.AuditSignedIn {
		t.Errorf("%d reads are kept and %d counted of %d; the first entry is %+v", kept, counted, reads, b.entries[0])
	}
	r.note(t.Context(), read)
	r.flush(t.Context())
	if last := b.entries[len(b.entries)-1]; last.Kind != store.AuditRead || r.room != readsRoom {
		t.Errorf("after the flood the last entry is %s, and there is room for %d bytes", last.Kind, r.room)
	}
}
