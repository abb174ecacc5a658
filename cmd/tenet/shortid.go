package main

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// minShort is how many signs of an id must be given.
const minShort = 4

// meansID reports whether an id is meant by a part of it: by its first or last signs, or by both with "…" between them,
// as a narrow terminal shows it.
func meansID(id, given string) bool {
	given = strings.ToLower(strings.ReplaceAll(given, "...", "…"))
	before, after, cut := strings.Cut(given, "…")
	switch {
	case len(before)+len(after) < minShort:
		return false
	case cut:
		return len(before)+len(after) <= len(id) && strings.HasPrefix(id, before) && strings.HasSuffix(id, after)
	}
	return strings.HasPrefix(id, given) || strings.HasSuffix(id, given)
}

// findBatch returns the batch that a person names: whole, or by a part of its id where no other one of the newest
// changes has it.
func findBatch(ctx context.Context, feed store.Feed, given string) (knowledge.BatchID, error) {
	if id, err := uuid.Parse(given); err == nil {
		return id, nil
	}
	var fit []knowledge.BatchID
	q := knowledge.ChangeQuery{Newest: true, Limit: lately}
	for looked := 0; looked < knowledge.MaxChanges; {
		changes, err := feed.Changes(ctx, q)
		if err != nil {
			return knowledge.BatchID{}, err
		}
		if len(changes) == 0 {
			break
		}
		for i := range changes {
			if id := changes[i].Batch; meansID(id.String(), given) && !slices.Contains(fit, id) {
				fit = append(fit, id)
			}
		}
		looked, q.After = looked+len(changes), changes[len(changes)-1].Seq
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) > 1:
		names := make([]string, min(len(fit), 5))
		for i := range names {
			names[i] = fit[i].String()
		}
		return knowledge.BatchID{}, usageError("%q is a part of %d batches: %s", given, len(fit),
			strings.Join(names, ", "))
	}
	return knowledge.BatchID{}, usageError("%q: want the id of a batch, as `tenet history` shows it, or the "+
		"beginning or the end of one; none of the newest changes fits", given)
}
