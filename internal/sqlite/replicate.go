package sqlite

import (
	"context"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// logTail is the number of newest changes that a mirror keeps in any case, so that its followers can continue from
// their position.
const logTail = 10_000

// Replicate applies changes of the primary's feed to a mirror, with their seq, and advances its position, in one
// transaction. It skips changes that the mirror has already. A document with an overlay keeps it until Settle, unless
// the change comes from the overlay's own batch. [ErrGap] and [ErrOtherHistory] say that the changes do not follow on
// those of the mirror.
func (s *Store) Replicate(ctx context.Context, changes []knowledge.Change) error {
	if len(changes) == 0 {
		return nil
	}
	return s.do(ctx, "replicate", func(ctx context.Context, t *tx) error {
		at, err := t.position(ctx)
		if err != nil {
			return err
		}
		if at == nil {
			at = &knowledge.Position{}
		}
		for i := range changes {
			if err := t.follow(ctx, at, &changes[i]); err != nil {
				return err
			}
		}
		if err := t.shorten(ctx, changes, s.opts.Versions); err != nil {
			return err
		}
		return t.setPosition(ctx, at)
	})
}

// follow applies one change.
func (t *tx) follow(ctx context.Context, at *knowledge.Position, c *knowledge.Change) error {
	switch {
	case c.Seq <= at.Seq:
		return t.seen(ctx, c)
	case c.Seq > at.Seq+1:
		return fmt.Errorf("replicate change %d after %d: %w", c.Seq, at.Seq, ErrGap)
	case !c.Follows(at.Chain):
		return fmt.Errorf("replicate change %d: %w", c.Seq, ErrOtherHistory)
	}
	at.Seq, at.Chain, at.At = c.Seq, c.Chain, c.At
	if err := t.insertChange(ctx, c); err != nil {
		return err
	}
	if err := followErasure(ctx, t, c); err != nil {
		return err
	}
	if c.Verb == knowledge.VerbPurge {
		if err := t.forget(ctx, c.Key); err != nil {
			return err
		}
	} else if c.Record == nil && !c.Verb.Removes() {
		return nil // emptied by a later purge
	}
	// In this order the batch's document only gets new stamps; it is not removed from the search index and added again.
	if err := t.base(ctx, c.Key, c.Record, c.Version); err != nil {
		return err
	}
	return t.endOverlays(ctx, c.Batch, []knowledge.Key{c.Key})
}

// followErasure erases a person from a mirror when the primary has.
func followErasure(ctx context.Context, t *tx, c *knowledge.Change) error {
	person, err := c.Erasure()
	if err != nil || person == nil {
		return err
	}
	return (&eraser{tx: t, pseudonym: c.Key.ID, person: person, rows: map[string]int64{}}).everything(ctx)
}

// seen compares a change with the same change of the mirror, if it has it.
func (t *tx) seen(ctx context.Context, c *knowledge.Change) error {
	var chain []byte
	ok, err := t.one(ctx, "SELECT chain FROM changes WHERE seq = ?", []any{int64(c.Seq)}, &chain)
	if ok && string(chain) != string(c.Chain[:]) {
		return fmt.Errorf("replicate change %d: %w", c.Seq, ErrOtherHistory)
	}
	return err
}

// shorten removes old versions of a document from a mirror's log, except for the last few and for the tail of the log.
func (t *tx) shorten(ctx context.Context, changes []knowledge.Change, versions int64) error {
	last := changes[len(changes)-1].Seq
	if last <= logTail {
		return nil
	}
	gone := int64(0)
	for i := range changes {
		c := &changes[i]
		if c.Version <= versions {
			continue
		}
		n, err := t.execCount(ctx, "DELETE FROM changes WHERE kind = ? AND id = ? AND version <= ? AND seq <= ?",
			string(c.Key.Kind), c.Key.ID, c.Version-versions, int64(last-logTail))
		if err != nil {
			return err
		}
		gone += n
	}
	if gone == 0 {
		return nil
	}
	return t.exec(ctx, "INSERT INTO meta (key, value) VALUES ('log_start', ?) ON CONFLICT DO UPDATE SET value = "+
		"max(value, excluded.value)",
		int64(last-logTail))
}

// base sets the primary's document in a mirror, or removes it, unless the mirror has a later version.
func (t *tx) base(ctx context.Context, key knowledge.Key, rec *knowledge.Record, version int64) error {
	below, overlaid, err := t.belowOf(ctx, key)
	if err != nil {
		return err
	}
	now := below
	if !overlaid {
		if now, err = t.current(ctx, key); err != nil {
			return err
		}
	}
	known := int64(0)
	if now.doc != nil {
		known = now.doc.Stamps().Version
	} else if known, err = t.lastPurged(ctx, key); err != nil {
		return err
	}
	if rec == nil && now.doc == nil {
		return nil
	}
	if version == 0 { // a removal without a known version
		version = known + 1
	}
	if version < known || version == known && (rec == nil || now.text == string(rec.JSON)) {
		return nil
	}
	if rec == nil {
		if err := t.setPurged(ctx, key, version); err != nil {
			return err
		}
	} else if err := t.exec(ctx, "DELETE FROM purged WHERE kind = ? AND id = ?", string(key.Kind), key.ID); err != nil {
		return err
	}
	if overlaid {
		return t.setBelow(ctx, key, rec)
	}
	return t.show(ctx, key, rec, now, knowledge.BatchID{})
}

// show sets the document that readers find, or removes it.
func (t *tx) show(ctx context.Context, key knowledge.Key, rec *knowledge.Record, now current,
	pending knowledge.BatchID,
) error {
	if rec == nil {
		if now.doc == nil {
			return nil
		}
		return t.erase(ctx, key, now)
	}
	doc, err := rec.Document()
	if err != nil {
		return err
	}
	return t.put(ctx, rec, doc, now, pending)
}

// Foresee writes into a mirror what the primary has acknowledged before the feed delivers it. Versions older than the
// mirror's are ignored.
func (s *Store) Foresee(ctx context.Context, left []store.Left) error {
	if len(left) == 0 {
		return nil
	}
	return s.do(ctx, "foresee", func(ctx context.Context, t *tx) error { return foresee(ctx, t, left) })
}

func foresee(ctx context.Context, t *tx, left []store.Left) error {
	for _, l := range left {
		if err := t.base(ctx, l.Key, l.Record, versionOf(l.Record)); err != nil {
			return err
		}
	}
	return nil
}

func versionOf(r *knowledge.Record) int64 {
	if r == nil {
		return 0
	}
	return r.Version
}
