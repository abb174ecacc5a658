package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A log is a feed for tests: what it holds, in the order it holds it.
type log []knowledge.Change

func (l log) Changes(_ context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if len(l) > 0 && q.After+1 < l[0].Seq && l[0].Batch == (knowledge.BatchID{1}) {
		return nil, &store.GoneError{Oldest: l[0].Seq}
	}
	var out []knowledge.Change
	for _, c := range l {
		if c.Seq > q.After && len(out) < 3 {
			out = append(out, c)
		}
	}
	return out, nil
}

func (log) Wait(context.Context, knowledge.Seq) error { return nil }

// chained returns a log of n changes that verifies.
func chained(n int) log {
	var l log
	var prev [32]byte
	for i := 1; i <= n; i++ {
		c := knowledge.Change{
			Seq: knowledge.Seq(i), Verb: knowledge.VerbPut,
			Key: knowledge.Key{Kind: knowledge.KindRule, ID: "R"}, Version: int64(i), Hash: [32]byte{byte(i)},
		}
		c.Chain = knowledge.NextChain(prev, &c)
		prev = c.Chain
		l = append(l, c)
	}
	return l
}

func TestWhatWasDoneToALogIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(log) log
		want []string // parts of the faults, in order
	}{
		"nothing": {func(l log) log { return l }, nil},
		"emptied": {func(log) log { return nil }, nil},
		"a change edited": {
			func(l log) log { l[3].Actor, l[3].Version = "mallory", 9; return l },
			[]string{"change 4"},
		},
		"a hash exchanged":   {func(l log) log { l[4].Hash = [32]byte{99}; return l }, []string{"change 5"}},
		"a change taken out": {func(l log) log { return append(l[:4], l[5:]...) }, []string{"change 6 follows 4"}},
		"the first ones cut": {func(l log) log { return l[2:] }, []string{"the log begins at change 3"}},
		"a chain restarted": {
			func(l log) log { l[5].Chain = knowledge.NextChain([32]byte{}, &l[5]); return l },
			[]string{"change 6", "change 7"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := verifyChanges(t.Context(), c.do(chained(8)), time.Minute, anchor{}, func(int64) {})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Faults) != len(c.want) {
				t.Fatalf("faults %q, want %d", report.Faults, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(report.Faults[i], want) {
					t.Errorf("fault %q, want one about %q", report.Faults[i], want)
				}
			}
		})
	}
}

func TestAShortenedLogIsVerifiedFromItsBeginning(t *testing.T) {
	l := chained(9)[4:]
	l[0].Batch = knowledge.BatchID{1} // marks a log that says where it begins
	report, err := verifyChanges(t.Context(), l, time.Minute, anchor{}, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	if report.Anchored || report.From != 5 || report.To != 9 || report.Changes != 5 || len(report.Faults) != 0 {
		t.Errorf("report %+v, want changes 5 to 9 without faults, not anchored", report)
	}
}
