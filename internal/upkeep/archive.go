package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// archivePage is how many documents one batch of [Archive] takes: other writers wait for no longer than that.
const archivePage = 500

// Archive archives the documents that were retired before a time and have not been changed since, those that others
// name last. One that is still named by a document outside of the archive stays. It returns what it did, in words.
func Archive(ctx context.Context, s store.Store, before knowledge.Time, actor string, p *Progress) (string, error) {
	kinds := knowledge.Kinds()
	slices.Reverse(kinds) // children first
	moved, kept := 0, 0
	for _, kind := range kinds {
		if knowledge.Describe(kind).Stays {
			continue
		}
		var ops []knowledge.Op
		q := knowledge.Query{Kind: kind, Activity: knowledge.RetiredOnly, Order: knowledge.OrderID}
		err := store.All(ctx, s, q, func(r *knowledge.Record) error {
			if r.Updated.Before(before.Time) && r.Pending == (knowledge.BatchID{}) {
				ops = append(ops, knowledge.Op{Verb: knowledge.VerbArchive, Key: r.Key, IfVersion: r.Version})
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		for page := range slices.Chunk(ops, archivePage) {
			n, err := archiveAll(ctx, s, page, actor)
			moved, kept = moved+n, kept+len(page)-n
			if err != nil {
				return "", err
			}
			p.Add(int64(len(page)))
		}
	}
	text := ""
	if moved > 0 {
		text = knowledge.Count(moved, "document", "documents") + " archived"
	}
	if kept > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s; %d stay, which others still name or somebody has just changed",
			text, kept), "; ")
	}
	return text, nil
}

// archiveAll archives documents in one batch, without those that can't be, and returns how many it was.
func archiveAll(ctx context.Context, s store.Store, ops []knowledge.Op, actor string) (int, error) {
	ops = slices.Clone(ops)
	for len(ops) > 0 {
		_, err := s.Apply(ctx, knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: ops})
		if err == nil {
			return len(ops), nil
		}
		blamed := blame(err)
		left := ops[:0:0]
		for i := range ops {
			if !slices.Contains(blamed.ops, i) && ops[i].Key != blamed.key {
				left = append(left, ops[i])
			}
		}
		if len(left) == len(ops) {
			return 0, err
		}
		ops = left
	}
	return 0, nil
}

// A culprit is what of a batch an error is about.
type culprit struct {
	ops []int
	key knowledge.Key
}

func blame(err error) (c culprit) {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		for _, f := range invalid.Faults {
			place, _, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/ops/"), "/")
			if i, err := strconv.Atoi(place); err == nil {
				c.ops = append(c.ops, i)
			}
		}
	}
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		c.ops = append(c.ops, conflict.Op)
	}
	if missing, ok := errors.AsType[*store.NotFoundError](err); ok {
		c.key = missing.Key
	}
	return c
}
