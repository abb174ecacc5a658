package failover

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sony/gobreaker/v2"

	"tenet/internal/knowledge"
)

// modesOf are all modes.
var modesOf = []knowledge.Mode{ //nolint:gochecknoglobals // a table
	knowledge.ModeNormal, knowledge.ModeRecovering, knowledge.ModeDegraded, knowledge.ModeDiverged, knowledge.ModeCold,
}

func TestAStandingMovesByWhatHappens(t *testing.T) {
	const (
		normal, recovering = knowledge.ModeNormal, knowledge.ModeRecovering
		degraded, diverged = knowledge.ModeDegraded, knowledge.ModeDiverged
		cold               = knowledge.ModeCold
	)
	open := input{kind: breakerMoved, breaker: gobreaker.StateOpen}
	for _, c := range []struct {
		name     string
		h        input
		complete bool
		want     map[knowledge.Mode]knowledge.Mode // modes that are not named stay
	}{
		{
			"the primary answers",
			input{kind: primaryAnswers},
			true,
			map[knowledge.Mode]knowledge.Mode{degraded: recovering, diverged: recovering, cold: recovering},
		},
		{
			"the primary answers an instance without a mirror",
			input{kind: primaryAnswers},
			false,
			map[knowledge.Mode]knowledge.Mode{degraded: normal, diverged: normal, cold: normal},
		},
		{
			"the primary answers an instance without a mirror in which something waits",
			input{kind: primaryAnswers, waiting: 1},
			false,
			map[knowledge.Mode]knowledge.Mode{degraded: recovering, diverged: recovering, cold: recovering},
		},
		{"the mirror is level", input{kind: mirrorLevel}, true, map[knowledge.Mode]knowledge.Mode{recovering: normal}},
		{"the mirror is level and something waits", input{kind: mirrorLevel, waiting: 1}, true, nil},
		{"the breaker opens", open, true, map[knowledge.Mode]knowledge.Mode{normal: degraded, recovering: degraded}},
		{"the breaker opens without a mirror", open, false, map[knowledge.Mode]knowledge.Mode{
			normal:     cold,
			recovering: cold,
		}},
		{"the breaker closes", input{kind: breakerMoved, breaker: gobreaker.StateClosed}, true, nil},
		{"the breaker lets a probe through", input{kind: breakerMoved, breaker: gobreaker.StateHalfOpen}, true, nil},
		{
			"the primary is of no use",
			input{kind: primaryUnusable},
			true,
			map[knowledge.Mode]knowledge.Mode{normal: degraded, recovering: degraded},
		},
		{
			"the primary is of no use without a mirror",
			input{kind: primaryUnusable},
			false,
			map[knowledge.Mode]knowledge.Mode{normal: cold, recovering: cold},
		},
		{
			"a batch is journalled",
			input{kind: batchQueued},
			true,
			map[knowledge.Mode]knowledge.Mode{normal: recovering},
		},
		{
			"the mirror is made anew",
			input{kind: mirrorRebuilding},
			true,
			map[knowledge.Mode]knowledge.Mode{normal: recovering},
		},
		{"the first mirror is made", input{kind: mirrorRebuilding}, false, nil},
		{"the first mirror is there", input{kind: mirrorComplete}, false, nil},
		{
			"the primary is another history",
			input{kind: otherHistory},
			true,
			map[knowledge.Mode]knowledge.Mode{
				normal: diverged, recovering: diverged, degraded: diverged,
				cold: diverged,
			},
		},
		{"a read is refused", input{kind: readSaid, class: halted, why: "no"}, true, nil},
		{"a write is refused", input{kind: writeSaid, class: readOnly, why: "no"}, true, nil},
	} {
		for _, from := range modesOf {
			want, moves := c.want[from]
			if !moves {
				want = from
			}
			if got := (standing{mode: from, complete: c.complete}).next(c.h); got.mode != want {
				t.Errorf("%s: from %s to %s, want %s", c.name, from, got.mode, want)
			}
		}
	}
}

// The table of DESIGN.md names every move, and no other.
func TestTheTableOfModesIsWhole(t *testing.T) {
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| from | to | when |")
	told := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(table)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		for from := range strings.SplitSeq(cells[1], ",") {
			for _, mode := range modesOf {
				if strings.TrimSpace(from) != "any" && strings.TrimSpace(from) != string(mode) {
					continue
				}
				for _, to := range modesOf {
					if strings.Contains(cells[2], string(to)) && to != mode {
						told[fmt.Sprintf("%s to %s", mode, to)] = true
					}
				}
			}
		}
	}
	moves := map[string]bool{}
	for what := primaryAnswers; what <= writeSaid; what++ {
		for _, from := range modesOf {
			for n := range 16 {
				s := standing{mode: from, complete: n&1 != 0}
				if s.mode == knowledge.ModeCold && s.complete || s.mode == knowledge.ModeDegraded && !s.complete ||
					s.mode == knowledge.ModeDiverged && !s.complete {
					continue // there is none such
				}
				h := input{kind: what, waiting: n >> 1 & 1, breaker: gobreaker.StateClosed}
				if n&4 != 0 {
					h.breaker = gobreaker.StateOpen
				}
				if what == otherHistory && !s.complete {
					continue // there is nothing that it could be compared with
				}
				if to := s.next(h).mode; to != from {
					moves[fmt.Sprintf("%s to %s", from, to)] = true
				}
			}
		}
	}
	for move := range moves {
		if !told[move] {
			t.Errorf("DESIGN.md does not tell of the move from %s", move)
		}
	}
	delete(told, "cold to diverged") // it needs a mirror
	if len(told) != len(moves) {
		t.Errorf("DESIGN.md tells of %v, and there are %v", slices.Sorted(maps.Keys(told)),
			slices.Sorted(maps.Keys(moves)))
	}
}

func TestWhatStandsInTheWayOfWritesIsNotClearedByAReadThatIsAnswered(t *testing.T) {
	s := standing{mode: knowledge.ModeNormal}
	s = s.next(input{kind: writeSaid, class: halted, why: "no rights"})
	s = s.next(input{kind: readSaid, class: fine})
	if s.halted() != "no rights" || !s.asks() {
		t.Errorf("halted %q, asks %v: want halted for writes, and asked for reads", s.halted(), s.asks())
	}
	if s = s.next(input{kind: writeSaid, class: fine}); s.halted() != "" {
		t.Errorf("halted %q after a write that was taken", s.halted())
	}
	if s = s.next(input{kind: readSaid, class: halted, why: "no table"}); s.halted() != "no table" || s.asks() {
		t.Errorf("halted %q, asks %v: want halted, and not asked", s.halted(), s.asks())
	}
}
