package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A chainReport tells what a look through the log of changes found.
type chainReport struct {
	From    knowledge.Seq `json:"from"` // the first change looked at, 0 when there is none
	To      knowledge.Seq `json:"to"`
	Changes int64         `json:"changes"`
	// Anchored is true when the look began at the very first change; a log that was cut begins at a change whose
	// predecessor can't be checked.
	Anchored bool     `json:"anchored"`
	Faults   []string `json:"faults"`
}

// maxFaults is how many faults are told; more of them say nothing more.
const maxFaults = 20

// verifyChanges reads the whole log and checks that no change is missing, and that each is what its chain value was made of.
func verifyChanges(ctx context.Context, feed store.Feed, timeout time.Duration, seen func(int64)) (*chainReport, error) {
	r := &chainReport{Anchored: true, Faults: []string{}}
	var prev *knowledge.Change
	after := knowledge.Seq(0)
	for {
		changes, err := withTimeout(ctx, timeout, func(ctx context.Context) ([]knowledge.Change, error) {
			return feed.Changes(ctx, knowledge.ChangeQuery{After: after})
		})
		if gone, ok := errors.AsType[*store.GoneError](err); ok && prev == nil && after < gone.Oldest-1 {
			after, r.Anchored = gone.Oldest-1, false
			continue
		}
		if err != nil {
			return r, err
		}
		if len(changes) == 0 {
			return r, nil
		}
		for i := range changes {
			r.check(prev, &changes[i])
			prev = &changes[i]
		}
		after = prev.Seq
		seen(r.Changes)
		if len(r.Faults) >= maxFaults {
			r.Faults = append(r.Faults, "there may be more")
			return r, nil
		}
	}
}

// check looks at a change and the one before it; nil for the first one.
func (r *chainReport) check(prev, c *knowledge.Change) {
	r.Changes++
	r.To = c.Seq
	var before [32]byte
	switch {
	case prev == nil:
		r.From = c.Seq
		if r.Anchored && c.Seq != 1 {
			r.fault("the log begins at change %d: those before it are missing", c.Seq)
		}
		if c.Seq != 1 {
			return
		}
	case c.Seq != prev.Seq+1:
		r.fault("change %d follows %d: those between them are missing", c.Seq, prev.Seq)
		return
	default:
		before = prev.Chain
	}
	if knowledge.NextChain(before, c) != c.Chain {
		r.fault("change %d (%s %s, version %d) is not what its chain value was made of", c.Seq, c.Verb, c.Key, c.Version)
	}
	if c.Record != nil && (c.Record.Key != c.Key || c.Record.Version != c.Version) {
		r.fault("change %d is about %s, version %d, and holds %s, version %d", c.Seq, c.Key, c.Version, c.Record.Key, c.Record.Version)
	}
}

func (r *chainReport) fault(format string, args ...any) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}
