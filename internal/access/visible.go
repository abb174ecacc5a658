package access

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A keeper reports whether the caller of a call may see a change.
type keeper func(c *knowledge.Change) (bool, error)

// keeper returns which changes the caller may see: those of principals are for admins, and what is confidential for
// those who may read it. It is nil for a caller who sees all.
func (c call) keeper(ctx context.Context) keeper {
	secret, all := c.s.policy.Confidential, SeesAll(c.caller)
	if len(secret.Hidden(ctx)) == 0 && store.MarksOf(ctx) == nil {
		secret = nil // nothing is hidden, and nobody asks what is confidential
	}
	if all && len(secret) == 0 {
		return nil
	}
	return func(change *knowledge.Change) (bool, error) {
		if !all && hiddenKind(change.Key.Kind) {
			return false, nil
		}
		hidden, err := secret.hides(ctx, c.s.next, func(in *inside) error { return in.change(ctx, change) })
		return !hidden, err
	}
}

// visible reads the part of the log that the caller may see. If filtering leaves fewer changes than asked for, it reads
// on: an empty answer means the end of the log.
func (s *Store) visible(ctx context.Context, q knowledge.ChangeQuery, may keeper) ([]knowledge.Change, error) {
	q, err := q.Check()
	if err != nil {
		return nil, err
	}
	keep := shown
	if q.Filtered() {
		keep = without
	}
	out := []knowledge.Change{}
	for {
		list, err := s.next.Changes(ctx, q)
		if err != nil || len(list) == 0 {
			return out, err
		}
		seen, err := keep(list, may)
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
		last := list[len(list)-1].Seq
		switch {
		case len(out) > q.Limit && q.Filtered():
			return out[:q.Limit], nil
		case len(out) >= q.Limit, len(seen) == len(list), q.Newest && last == 1:
			return out, nil
		}
		q.After = last
	}
}

// without returns the changes that the caller may see.
func without(list []knowledge.Change, may keeper) ([]knowledge.Change, error) {
	out := make([]knowledge.Change, 0, len(list))
	for i := range list {
		ok, err := may(&list[i])
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, list[i])
		}
	}
	return out, nil
}

// shown filters like without but keeps transaction boundaries: if a transaction's last changes are filtered out, the
// change before them ends it.
func shown(list []knowledge.Change, may keeper) ([]knowledge.Change, error) {
	out := make([]knowledge.Change, 0, len(list))
	begin := 0 // where the transaction begins in out
	for i := range list {
		ok, err := may(&list[i])
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, list[i])
		}
		if !list[i].More {
			if len(out) > begin {
				out[len(out)-1].More = false
			}
			begin = len(out)
		}
	}
	return out, nil
}
