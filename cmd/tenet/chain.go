package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	Anchored bool `json:"anchored"`
	// Head is the chain value of the last change: kept elsewhere, it shows later whether the log was written anew.
	Head string `json:"head"`
	// Documents says whether every document was compared with its hash: only the database itself can do that.
	Documents bool `json:"documents"`
	// Unattested is how many purges were made before their hash held who made them and when.
	Unattested int64 `json:"unattested"`
	// Erased is how many changes a person was erased from. What they are now only the database itself can compare with
	// their erasures.
	Erased int64    `json:"erased"`
	Faults []string `json:"faults"`

	// Why says why documents were not compared; "" where they were.
	Why string `json:"why,omitempty"`

	want anchor
}

// An anchor is a chain value that was noted elsewhere.
type anchor struct {
	seq   knowledge.Seq // 0 for none
	chain string        // in hex
	found bool
}

// parseAnchor reads what the report shows as the head.
func parseAnchor(text string) (anchor, error) {
	if text == "" {
		return anchor{}, nil
	}
	seq, chain, _ := strings.Cut(text, "-")
	n, err := strconv.ParseInt(seq, 10, 64)
	if raw, bad := hex.DecodeString(chain); err != nil || n < 1 || bad != nil || len(raw) < 8 {
		return anchor{}, usageError("--head %q: want the head that an earlier tenet doctor changes has shown, as in "+
			"42-9f86d081884c7d65", text)
	}
	return anchor{seq: knowledge.Seq(n), chain: strings.ToLower(chain)}, nil
}

// compare notes whether a change is the one that was noted elsewhere.
func (r *chainReport) compare(c *knowledge.Change) {
	if c.Seq != r.want.seq {
		return
	}
	r.want.found = true
	if !strings.HasPrefix(hex.EncodeToString(c.Chain[:]), r.want.chain) {
		r.fault("change %d has another chain value than the head that was noted: the log was written anew up to "+
			"there, or is another history", c.Seq)
	}
}

// maxFaults is how many faults are told; more of them say nothing more.
const maxFaults = 20

// verifyChanges reads the whole log and checks that no change is missing, and that each is what its chain value was
// made of.
func verifyChanges(ctx context.Context, feed store.Feed, timeout time.Duration, want anchor,
	seen func(int64),
) (*chainReport, error) {
	r := &chainReport{Anchored: true, Faults: []string{}, want: want}
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
			if r.want.seq != 0 && !r.want.found {
				r.fault("the log ends at change %d, or begins after it, and does not hold change %d, which was "+
					"noted as a head: what was there was cut off", r.To, r.want.seq)
			}
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
	r.To, r.Head = c.Seq, fmt.Sprintf("%d-%x", c.Seq, c.Chain)
	r.compare(c)
	if why := c.Unstamped(); why != "" {
		r.fault("change %d: %s", c.Seq, why)
	}
	if old, ok := c.Attested(); !ok {
		r.fault("change %d is a purge by somebody else, or at another time, than was written", c.Seq)
	} else if old {
		r.Unattested++
	}
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
	if c.Erased != "" {
		r.Erased++
	}
	if !c.Follows(before) {
		r.fault("change %d (%s %s, version %d) is not what its chain value was made of", c.Seq, c.Verb, c.Key,
			c.Version)
	}
	if c.Record != nil && (c.Record.Key != c.Key || c.Record.Version != c.Version) {
		r.fault("change %d is about %s, version %d, and holds %s, version %d", c.Seq, c.Key, c.Version, c.Record.Key,
			c.Record.Version)
	}
}

func (r *chainReport) fault(format string, args ...any) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}
