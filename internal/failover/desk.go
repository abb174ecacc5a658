package failover

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Ways to resolve a conflict.
const (
	ResolveTheirs = "theirs" // what is at the primary stays
	ResolveOurs   = "ours"   // what was journalled is written over it
	ResolveMerged = "merged" // a document that a person made of both is written
)

// Conflicts returns the batches that wait for a person, and with resolved also those decided, newest first.
func (s *Store) Conflicts(ctx context.Context, resolved bool) ([]store.Parked, error) {
	return s.journal.Parked(ctx, resolved)
}

// Resolve carries out what a person has decided about a parked batch, and returns the receipt of what was written, which is
// empty for theirs. Merged is the document to write for merged. It needs the primary.
func (s *Store) Resolve(ctx context.Context, id knowledge.BatchID, how, by string, merged knowledge.Document) (knowledge.Receipt, error) {
	p, err := s.conflict(ctx, id)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	p.Resolution, p.ResolvedBy, p.ResolvedAt = how, by, knowledge.At(s.o.Wall())
	if how == ResolveTheirs {
		return knowledge.Receipt{}, s.journal.Resolve(ctx, p)
	}
	b := knowledge.Batch{ID: uuid.NewSHA1(id, []byte("resolve "+how+" "+by)), Actor: by}
	switch how {
	case ResolveOurs:
		if b.Ops, err = s.ours(ctx, &p.Entry); err != nil {
			return knowledge.Receipt{}, err
		}
	case ResolveMerged:
		if merged == nil {
			return knowledge.Receipt{}, knowledge.Invalid("/document", "missing: merged needs the document to write")
		}
		at := max(p.Op, 0)
		if merged.Key() != p.Entry.Batch.Ops[at].Key {
			return knowledge.Receipt{}, knowledge.Invalid("/document", "%s, but the conflict is about %s", merged.Key(), p.Entry.Batch.Ops[at].Key)
		}
		merged.Normalize()
		found := p.Found
		if found <= 0 {
			found = knowledge.NoVersion // it was made of nothing: what came since is not to be overwritten
		}
		b.Ops = []knowledge.Op{knowledge.Put(merged, found)}
	default:
		return knowledge.Receipt{}, knowledge.Invalid("/resolution", "%q: want theirs, ours or merged", how)
	}
	if s.modeNow() != knowledge.ModeNormal {
		return knowledge.Receipt{}, &store.UnavailableError{
			Reason: "a conflict is resolved at the primary, which is not back yet", RetryAfter: s.o.Recovery, NotDone: true,
		}
	}
	rec, err := s.Apply(ctx, b)
	if err != nil {
		return rec, err
	}
	// This write did not come through what remembers answers above.
	keys := make([]knowledge.Key, len(b.Ops))
	for i := range b.Ops {
		keys[i] = b.Ops[i].Key
	}
	s.tellSettled(keys)
	p.ResolvedAs = b.ID
	return rec, s.journal.Resolve(ctx, p)
}

// conflict returns a parked batch that nobody has decided.
func (s *Store) conflict(ctx context.Context, id knowledge.BatchID) (store.Parked, error) {
	list, err := s.journal.Parked(ctx, true)
	if err != nil {
		return store.Parked{}, err
	}
	for _, p := range list {
		if p.Entry.Batch.ID != id {
			continue
		}
		if p.Resolution != "" {
			return p, knowledge.Invalid("", "the conflict was resolved as %s by %s already", p.Resolution, p.ResolvedBy)
		}
		return p, nil
	}
	return store.Parked{}, &store.NotFoundError{Key: knowledge.Key{Kind: "conflict", ID: id.String()}}
}

// ours returns the ops that write what a parked batch would have left, on top of what is there now.
func (s *Store) ours(ctx context.Context, e *store.Entry) ([]knowledge.Op, error) {
	ops := make([]knowledge.Op, len(e.Batch.Ops))
	for i := range e.Batch.Ops {
		op := e.Batch.Ops[i]
		if l, _ := e.LeftOf(op.Key); l.Record != nil {
			doc, err := l.Record.Document()
			if err != nil {
				return nil, err
			}
			op = knowledge.Put(doc, 0)
		}
		now, err := s.Get(ctx, op.Key)
		switch {
		case err == nil:
			op.IfVersion = now.Version
		case isNotFound(err):
			op.IfVersion = knowledge.NoVersion
		default:
			return nil, err
		}
		ops[i] = op
	}
	return ops, nil
}

// Journalled reports whether a batch was ever put in the journal, whatever has become of it.
func (s *Store) Journalled(ctx context.Context, id knowledge.BatchID) (bool, error) {
	_, _, err := s.journal.Find(ctx, id)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Batch tells where a batch stands: in the journal's book, or in the log.
func (s *Store) Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error) {
	_, out, err := s.journal.Find(ctx, id)
	if err == nil {
		return knowledge.BatchStatus{ID: id, State: out.State, Seq: out.Seq, Detail: out.Why}, nil
	}
	if !isNotFound(err) {
		return knowledge.BatchStatus{}, err
	}
	changes, err := s.Changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: knowledge.MaxChanges})
	if err != nil {
		return knowledge.BatchStatus{}, err
	}
	if len(changes) == 0 {
		if mode := s.modeNow(); mode != knowledge.ModeNormal && mode != knowledge.ModeRecovering {
			return knowledge.BatchStatus{}, &store.UnavailableError{
				Reason: "this machine does not know the batch, and the primary, which may, can't be reached", RetryAfter: s.o.Recovery, NotDone: true,
			}
		}
		return knowledge.BatchStatus{}, fmt.Errorf("batch %s: %w", id, store.ErrNotFound)
	}
	return knowledge.BatchStatus{ID: id, State: knowledge.BatchApplied, Seq: changes[len(changes)-1].Seq}, nil
}
