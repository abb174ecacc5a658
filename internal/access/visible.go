package access

import (
	"context"

	"tenet/internal/knowledge"
)

// visible reads the log without the changes of principals. If filtering leaves fewer changes than asked for, it reads
// on: an empty answer means the end of the log.
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

// without returns the changes that are not about principals.
func without(list []knowledge.Change) []knowledge.Change {
	out := make([]knowledge.Change, 0, len(list))
	for _, c := range list {
		if !hidden(c.Key.Kind) {
			out = append(out, c)
		}
	}
	return out
}

// shown filters like without but keeps transaction boundaries: if a transaction's last changes are filtered out, the
// change before them ends it.
func shown(list []knowledge.Change) []knowledge.Change {
	out := make([]knowledge.Change, 0, len(list))
	begin := 0 // where the transaction begins in out
	for i := range list {
		if !hidden(list[i].Key.Kind) {
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
