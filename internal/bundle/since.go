package bundle

import (
	"context"
	"errors"
	"slices"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxMoved is the largest number of changes that Since reads.
const maxMoved = 2000

// Since returns what has changed for a repository since a change of the log, newest first; more is true if there were
// too many changes to read all. For a repository at a label these are the effects of moving the label.
func Since(ctx context.Context, s store.Past, r *knowledge.Repository,
	seq knowledge.Seq,
) (moves []store.FleetMove, more bool, err error) {
	now, err := stand(ctx, s, r.Label)
	if err != nil {
		return nil, false, err
	}
	before, err := now.before(ctx, seq)
	if err != nil {
		return nil, false, err
	}
	d := &difference{now: now, before: before}
	if d.chosen, err = now.compose(ctx, r.Packs); err != nil {
		return nil, false, err
	}
	if d.chose, err = before.compose(ctx, r.Packs); err != nil { // a pack that was missing then selected nothing
		d.chose = &knowledge.Composition{}
	}
	from, to := before.label.Seq, knowledge.Seq(0) // to the end
	if now.label != nil {
		from, to = min(before.label.Seq, now.label.Seq), max(before.label.Seq, now.label.Seq)
	}
	newest, more, err := newestOf(ctx, s, from, to)
	if err != nil {
		return nil, false, err
	}
	moves = []store.FleetMove{}
	for i := range newest {
		m, err := d.move(ctx, &newest[i])
		if err != nil {
			return nil, false, err
		}
		if m != nil {
			moves = append(moves, *m)
		}
	}
	return moves, more, nil
}

// before returns the view as of a change of the log.
func (v *view) before(ctx context.Context, seq knowledge.Seq) (*view, error) {
	old := &view{s: v.s, label: &knowledge.Label{Seq: seq}}
	if v.label == nil {
		return old, nil
	}
	rec, err := store.AsOf(ctx, v.s, seq, v.label.Key())
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone) {
		return old, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, err
	}
	if l, ok := d.(*knowledge.Label); ok {
		old.label = l
	}
	return old, nil
}

// newestOf returns the newest change of each document after one change and up to another, newest first; 0 for the end.
func newestOf(ctx context.Context, s store.Feed, from,
	to knowledge.Seq,
) (list []knowledge.Change, more bool, err error) {
	seen := map[knowledge.Key]bool{}
	looked := 0
	for before := to + 1; looked < maxMoved; {
		if to == 0 && looked == 0 {
			before = 0
		}
		changes, err := s.Changes(ctx, knowledge.ChangeQuery{Newest: true, After: before})
		if err != nil || len(changes) == 0 {
			return list, false, err
		}
		looked += len(changes)
		for i := range changes {
			c := &changes[i]
			if c.Seq <= from {
				return list, false, nil
			}
			if before = c.Seq; !seen[c.Key] {
				seen[c.Key] = true
				list = append(list, *c)
			}
		}
		if before <= 1 {
			return list, false, nil
		}
	}
	return list, true, nil
}

// A difference compares two views for a list of packs.
type difference struct {
	now, before   *view
	chosen, chose *knowledge.Composition
}

// move returns what happened to a changed document; nil for one that was not taken before or after.
func (d *difference) move(ctx context.Context, c *knowledge.Change) (*store.FleetMove, error) {
	m := &store.FleetMove{Key: c.Key.String(), Version: c.Version, Seq: c.Seq, At: c.At, By: c.Actor}
	if c.Key.Kind == knowledge.KindPack {
		same := func(p *knowledge.Pack) bool { return p.PackID == c.Key.ID }
		if d.chosen == nil || !slices.ContainsFunc(d.chosen.Packs, same) {
			return nil, nil // of a pack that is not taken
		}
		m.How = "changed"
		return titled(m, c.Record)
	}
	if !taken(c.Key.Kind) {
		return nil, nil // of a kind that is not taken
	}
	is, err := holds(ctx, d.now, d.chosen, c.Key)
	if err != nil {
		return nil, err
	}
	was, err := holds(ctx, d.before, d.chose, c.Key)
	if err != nil {
		return nil, err
	}
	switch {
	case was == nil && is == nil:
		return nil, nil // not taken
	case was == nil:
		m.How = "added"
	case is == nil:
		m.How = "removed"
		return titled(m, was)
	case was.Version == is.Version:
		return nil, nil // unchanged at the label
	default:
		m.How = "changed"
	}
	m.Version = is.Version
	return titled(m, is)
}

// holds returns a document if it is active and in the packs.
func holds(ctx context.Context, v *view, c *knowledge.Composition, key knowledge.Key) (*knowledge.Record, error) {
	rec, err := v.get(ctx, key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone) || err == nil && !rec.Active {
		return nil, nil // it is not there
	}
	if err != nil || c == nil {
		return rec, err
	}
	d, err := rec.Document()
	if err != nil || c.Holding(d) == nil {
		return nil, err
	}
	return rec, nil
}

// titled adds the title of a document, if there is one.
func titled(m *store.FleetMove, r *knowledge.Record) (*store.FleetMove, error) {
	if r == nil {
		return m, nil
	}
	d, err := r.Document()
	if err != nil {
		return nil, err
	}
	m.Title = d.Text().Title
	return m, nil
}
