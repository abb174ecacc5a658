package sqlite

import (
	"context"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// logTail is how many of the newest changes a mirror keeps whatever their versions, so that its followers can go on from
// where they are.
const logTail = 10_000

// Replicate applies changes of the primary's feed to a mirror, with their own numbers, and moves its position, all in one
// transaction. Changes that it has already are passed over. A document that has an overlay keeps it until Settle, unless the
// change is the overlay's own batch. [ErrGap] and [ErrOtherHistory] say that the changes don't follow from what the mirror
// holds.
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
	case knowledge.NextChain(at.Chain, c) != c.Chain:
		return fmt.Errorf("replicate change %d: %w", c.Seq, ErrOtherHistory)
	}
	at.Seq, at.Chain, at.At = c.Seq, c.Chain, c.At
	if err := t.insertChange(ctx, c); err != nil {
		return err
	}
	if c.Verb == knowledge.VerbPurge {
		if err := t.forget(ctx, c.Key); err != nil {
			return err
		}
	} else if c.Record == nil {
		return nil // emptied by a purge that is still to come
	}
	if err := t.endOverlays(ctx, c.Batch, []knowledge.Key{c.Key}); err != nil {
		return err
	}
	return t.base(ctx, c.Key, c.Record, c.Version)
}

// seen checks a change that the mirror may hold already against it.
func (t *tx) seen(ctx context.Context, c *knowledge.Change) error {
	var chain []byte
	ok, err := t.one(ctx, "SELECT chain FROM changes WHERE seq = ?", []any{int64(c.Seq)}, &chain)
	if ok && string(chain) != string(c.Chain[:]) {
		return fmt.Errorf("replicate change %d: %w", c.Seq, ErrOtherHistory)
	}
	return err
}

// shorten removes versions from a mirror's log that are older than the last few of their document and no part of its tail.
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
	return t.exec(ctx, "INSERT INTO meta (key, value) VALUES ('log_start', ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
		int64(last-logTail))
}

// base makes a record, or nothing, what a mirror knows of the primary's document, unless it knows a later version.
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
	if version == 0 { // a removal of which only the fact is known
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

// show makes a record, or nothing, what readers find.
func (t *tx) show(ctx context.Context, key knowledge.Key, rec *knowledge.Record, now current, pending knowledge.BatchID) error {
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

// Foresee writes into a mirror what the primary has acknowledged and the feed has not yet brought. Older versions than it
// knows are ignored.
func (s *Store) Foresee(ctx context.Context, left []store.Left) error {
	if len(left) == 0 {
		return nil
	}
	return s.do(ctx, "foresee", func(ctx context.Context, t *tx) error {
		for _, l := range left {
			if err := t.base(ctx, l.Key, l.Record, versionOf(l.Record)); err != nil {
				return err
			}
		}
		return nil
	})
}

func versionOf(r *knowledge.Record) int64 {
	if r == nil {
		return 0
	}
	return r.Version
}
