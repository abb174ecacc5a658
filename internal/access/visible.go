package access

import (
	"context"

	"tenet/internal/knowledge"
)

// visible reads a part of the log without the changes of principals. It reads on where so many were left out that the answer
// would be shorter than what was asked for: an empty answer is the end of the log.
func (s *Store) visible(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
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
		seen := keep(list)
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

// without returns the changes that are not about principals, each as it is.
func without(list []knowledge.Change) []knowledge.Change {
	out := make([]knowledge.Change, 0, len(list))
	for _, c := range list {
		if c.Key.Kind != knowledge.KindPrincipal {
			out = append(out, c)
		}
	}
	return out
}

// shown is without for whole transactions: where the last changes of one are left out, the one before ends it.
func shown(list []knowledge.Change) []knowledge.Change {
	out := make([]knowledge.Change, 0, len(list))
	begin := 0 // where the transaction begins in out
	for i := range list {
		if list[i].Key.Kind != knowledge.KindPrincipal {
			out = append(out, list[i])
		}
		if !list[i].More {
			if len(out) > begin {
				out[len(out)-1].More = false
			}
			begin = len(out)
		}
	}
	return out
}
