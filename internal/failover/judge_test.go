package failover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A law is one of those of DESIGN.md, by its number there.
type law int

const (
	staysApplied   law = 1 + iota // acknowledged is applied once and stays
	endsOneWay                    // queued ends as applied or parked, whole
	staysRefused                  // refused is never applied
	overwritesSeen                // nothing is overwritten unseen
	noGaps                        // versions are contiguous
	chained                       // seq and chain
	endsEqual                     // mirrors equal, journals empty when all is quiet
	neverGoesBack                 // sessions are monotonic and see their writes
	answersReads                  // reads never fail, and are in time
	linearizable                  // acknowledged writes and reads as of now are a register's
	tellsTruth                    // what an answer says of itself is true
	answersAlike                  // a retry gets the same answer, a used id takes nothing else
	rightsOfNow                   // what its writer may no longer do is not applied
)

// A breach is a law that was broken, and where.
type breach struct {
	law  law
	text string
}

func (b breach) String() string { return fmt.Sprintf("law %d: %s", b.law, b.text) }

// judge compares what clients did and were told with how it came out, and returns what is wrong.
func judge(h *history, e *ending) []breach {
	j := &judgement{
		calls: h.all(), end: e, applied: map[knowledge.BatchID][]*knowledge.Change{},
		at: map[versioned]*knowledge.Change{}, parked: map[knowledge.BatchID]bool{}, salvaged: map[string]bool{},
		sent: map[knowledge.BatchID][]*call{},
	}
	for _, c := range j.calls {
		if c.write != nil && !c.write.foul {
			j.sent[c.write.batch.ID] = append(j.sent[c.write.batch.ID], c)
		}
	}
	j.readLog()
	j.readParked()
	for _, list := range j.sent {
		j.outcome(list)
	}
	if !e.forgets { // a lost batch may have been sent again, and got another version
		j.registers()
	}
	j.sessions()
	for _, w := range h.waits {
		j.waited(w)
	}
	for i, s := range e.stands {
		if !s.level {
			j.found(endsEqual, "instance %d has not come back to normal with an empty journal: %s", i, s.text)
		} else if !s.equal {
			j.found(endsEqual, "mirror %d differs from the primary: %s", i, s.text)
		}
	}
	return j.breaches
}

// A judgement is one run of judge.
type judgement struct {
	calls    []*call
	end      *ending
	sent     map[knowledge.BatchID][]*call // the writes, but those of other content under a used id
	applied  map[knowledge.BatchID][]*knowledge.Change
	at       map[versioned]*knowledge.Change
	parked   map[knowledge.BatchID]bool
	salvaged map[string]bool // document and title
	breaches []breach
}

type versioned struct {
	key     knowledge.Key
	version int64
}

func (j *judgement) found(broken law, format string, args ...any) {
	j.breaches = append(j.breaches, breach{broken, fmt.Sprintf(format, args...)})
}

// foulTitle begins the titles of what is sent under the id of another batch.
const foulTitle = "under a used id"

// readLog looks at the log alone: numbers, versions and chain without gaps, and nothing that nobody has sent.
func (j *judgement) readLog() {
	if j.end.broken != nil {
		j.found(chained, "the primary's log: %v", j.end.broken)
	}
	versions := map[knowledge.Key]int64{}
	retired := map[string]bool{}
	var chain [32]byte
	for i := range j.end.log {
		c := &j.end.log[i]
		if c.Seq != knowledge.Seq(i+1) {
			j.found(chained, "change %d has the number %d", i+1, c.Seq)
		}
		if chain = knowledge.NextChain(chain, c); chain != c.Chain {
			j.found(chained, "the chain breaks at change %d", c.Seq)
		}
		if c.Version != versions[c.Key]+1 {
			j.found(noGaps, "%s went from version %d to %d", c.Key, versions[c.Key], c.Version)
		}
		versions[c.Key] = c.Version
		j.at[versioned{c.Key, c.Version}] = c
		j.applied[c.Batch] = append(j.applied[c.Batch], c)
		if c.Actor != setup && j.sent[c.Batch] == nil {
			j.found(staysApplied, "change %d of %s is of batch %s, which nobody has sent: a write was doubled", c.Seq,
				c.Key, c.Batch)
		}
		if c.Record != nil && strings.Contains(string(c.Record.JSON), foulTitle) {
			j.found(answersAlike, "change %d has content that was sent under a used id", c.Seq)
		}
		if retired[c.Actor] {
			j.found(rightsOfNow, "change %d is by %s, who was retired before", c.Seq, c.Actor)
		}
		if c.Key.Kind == knowledge.KindPrincipal && c.Verb == knowledge.VerbRetire {
			retired[c.Key.ID] = true
		}
	}
}

func (j *judgement) readParked() {
	for _, p := range j.end.parked {
		id := p.Entry.Batch.ID
		j.parked[id] = true
		if p.Ours == nil {
			j.found(endsOneWay, "batch %s was parked without what it wanted to write", id)
		}
		for i := range p.Entry.Batch.Ops {
			if rule, ok := p.Entry.Batch.Ops[i].Doc.(*knowledge.Rule); ok {
				j.salvaged[rule.RuleID+" "+rule.Title] = true
			}
		}
	}
}

// outcome judges all answers to one batch together: one that took it counts.
func (j *judgement) outcome(list []*call) {
	w := list[0].write
	id, done := w.batch.ID, j.applied[w.batch.ID]
	if len(done) != 0 && len(done) != len(w.batch.Ops) {
		j.found(staysApplied, "batch %s of %d ops was applied in %d changes", id, len(w.batch.Ops), len(done))
		return
	}
	if len(done) != 0 && j.parked[id] {
		j.found(endsOneWay, "batch %s was applied and waits for a person", id)
	}
	said := j.answers(list, done)
	switch there := len(done) != 0 || j.parked[id]; {
	case said.taken && !there && !j.kept(w):
		j.found(endsOneWay, "batch %s of %s was taken and is lost: %s", id, list[0].by, texts(list))
	case said.refused && there:
		j.found(staysRefused, "batch %s was refused and is there: %s", id, texts(list))
	}
	for _, c := range done {
		j.base(w, c)
	}
}

// A verdict is what all answers to one batch say together.
type verdict struct{ taken, refused bool }

func (j *judgement) answers(list []*call, done []*knowledge.Change) (v verdict) {
	open := false
	var told *call // the last that took it
	for _, c := range list {
		u, away := errors.AsType[*store.UnavailableError](c.err)
		switch {
		case c.err == nil:
			if !c.write.receipt.Queued {
				j.direct(c, list, done)
			}
			j.alike(told, c)
			v.taken, told = true, c
		case away && !u.NotDone || errors.Is(c.err, context.DeadlineExceeded) || errors.Is(c.err, context.Canceled):
			open = true
		case away: // that it can't be taken now says nothing of an earlier try whose outcome is open
			v.refused = !open
		case v.taken && !j.end.forgets:
			j.found(answersAlike, "batch %s was taken, and again: %v", c.write.batch.ID, c.err)
		default:
			v.refused = true
		}
	}
	v.refused = v.refused && !v.taken
	return v
}

// alike judges two answers to one batch that both took it.
func (j *judgement) alike(before, now *call) {
	if before == nil || j.end.forgets || before.write.receipt.Queued != now.write.receipt.Queued {
		return
	}
	for i, r := range now.write.receipt.Records {
		was := before.write.receipt.Records[i]
		if r != nil && was != nil && r.Version != was.Version {
			j.found(answersAlike, "batch %s was answered with version %d of %s, and again with %d",
				now.write.batch.ID, was.Version, r.Key, r.Version)
		}
	}
}

// direct judges an answer, one of those to a batch, that said which versions were written.
func (j *judgement) direct(c *call, list []*call, done []*knowledge.Change) {
	w := c.write
	if len(done) == 0 {
		if !j.kept(w) {
			j.found(staysApplied, "batch %s of %s was acknowledged as applied and is not there", w.batch.ID, c.by)
		}
		return
	}
	if j.kept(w) || j.end.forgets && slices.ContainsFunc(
		list, func(o *call) bool { return o.write.again && o.ended.After(c.ended) }) {
		// What was acknowledged is lost. Its writer, who could not know, has sent it again to the new primary, which
		// has taken it anew: after it was kept for a person, or before, and then there was nothing to keep.
		return
	}
	for _, r := range w.receipt.Records {
		if r == nil {
			j.found(tellsTruth, "the receipt of batch %s lacks a document", w.batch.ID)
			continue
		}
		if at := j.at[versioned{r.Key, r.Version}]; at == nil || at.Batch != w.batch.ID {
			j.found(staysApplied, "batch %s was acknowledged as version %d of %s, which is another's", w.batch.ID,
				r.Version, r.Key)
		}
	}
}

// kept reports whether everything that a batch wrote waits for a person, after the primary has lost it.
func (j *judgement) kept(w *write) bool {
	return j.end.forgets && !slices.ContainsFunc(w.batch.Ops, func(op knowledge.Op) bool {
		return !j.salvaged[op.Key.ID+" "+w.title]
	})
}

// base checks that a write replaced what its writer was shown: that version, or the pending batch's.
func (j *judgement) base(w *write, c *knowledge.Change) {
	if w.whatever {
		return
	}
	for i := range w.batch.Ops {
		if w.batch.Ops[i].Key != c.Key {
			continue
		}
		on := w.on[i]
		before := j.at[versioned{c.Key, c.Version - 1}]
		switch {
		case on.pending != knowledge.BatchID{}:
			if before == nil || before.Batch != on.pending {
				j.found(overwritesSeen, "batch %s was made on top of batch %s and replaced version %d of %s, which is "+
					"another's", w.batch.ID, on.pending, c.Version-1, c.Key)
			}
		case c.Version-1 != max(on.version, 0):
			j.found(overwritesSeen, "batch %s was made on version %d of %s and replaced version %d", w.batch.ID,
				on.version, c.Key, c.Version-1)
		}
	}
}

// waited checks that no read waited for a trouble to end: none that began in its first half was answered after it. How
// fast reads are is measured elsewhere, on a machine that does nothing else.
func (j *judgement) waited(w span) {
	half, n := w.from.Add(w.to.Sub(w.from)/2), 0
	for _, c := range j.calls {
		if c.anyRead() && c.began.Before(half) && c.ended.After(w.to) {
			n++
		}
	}
	if lasted := w.to.Sub(w.from); lasted >= 2*time.Second && n > 0 {
		j.found(answersReads, "%d reads waited for a trouble of %v to end, half of it or more", n, lasted)
	}
}

func texts(list []*call) string {
	var text strings.Builder
	for _, c := range list {
		fmt.Fprintf(&text, "[queued %t, again %t, error %v] ", c.write.receipt.Queued, c.write.again, c.err)
	}
	return text.String()
}
