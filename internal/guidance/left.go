package guidance

import (
	"context"

	"tenet/internal/knowledge"
)

// A Left is a rule or practice whose activation leaves it to the model to take it up.
type Left struct {
	Key      knowledge.Key
	Category string
	Tags     []string
}

// LeftToModel returns the rules and practices that the model decides about, strictest first. It reads no store.
func (x *Index) LeftToModel(ctx context.Context) ([]Left, error) {
	s, err := x.current(ctx)
	if err != nil {
		return nil, err
	}
	var list []Left
	for _, seg := range []*segment{s.base, s.recent} {
		for o, d := range seg.docs {
			n := int32(o)
			if !seg.model.has(n) || d.key.Kind == knowledge.KindTemplate || seg == s.base && s.hidden != nil &&
				s.hidden.has(n) {
				continue
			}
			list = append(list, Left{d.key, d.category, d.tags})
		}
	}
	return list, nil
}
