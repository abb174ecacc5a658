package failover_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// setup is who writes what was there before the clients.
const setup = "setup"

// judge compares what writers were told with the primary's whole log and what waits for a person, and returns what is
// wrong. With loses the primary may have forgotten what it had acknowledged: then that must wait for a person.
func judge(writes []*attempt, log []knowledge.Change, parked map[knowledge.BatchID]store.Parked, loses bool) []string {
	j := &judgement{
		log: log, applied: map[knowledge.BatchID][]knowledge.Change{},
		at: map[versioned]*knowledge.Change{}, parked: parked, loses: loses,
	}
	sent := map[knowledge.BatchID][]*attempt{}
	for _, w := range writes {
		sent[w.batch.ID] = append(sent[w.batch.ID], w)
	}
	j.history(sent)
	j.salvaged = map[string]bool{}
	for _, p := range parked {
		for i := range p.Entry.Batch.Ops {
			if rule, ok := p.Entry.Batch.Ops[i].Doc.(*knowledge.Rule); ok {
				j.salvaged[rule.RuleID+" "+rule.Title] = true
			}
		}
	}
	for _, list := range sent {
		j.outcome(list)
	}
	if !loses { // a lost batch may have been sent again, and got another version
		j.realTime(writes)
	}
	return j.faults
}

// A judgement is one run of judge.
type judgement struct {
	log      []knowledge.Change
	applied  map[knowledge.BatchID][]knowledge.Change
	at       map[versioned]*knowledge.Change
	parked   map[knowledge.BatchID]store.Parked
	salvaged map[string]bool // document and title
	loses    bool
	faults   []string
}

type versioned struct {
	key     knowledge.Key
	version int64
}

func (j *judgement) found(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// history looks at the log alone: numbers and versions without gaps, and nothing that nobody has sent.
func (j *judgement) history(sent map[knowledge.BatchID][]*attempt) {
	versions := map[knowledge.Key]int64{}
	for i := range j.log {
		c := &j.log[i]
		if c.Seq != knowledge.Seq(i+1) {
			j.found("change %d has the number %d", i+1, c.Seq)
		}
		if c.Version != versions[c.Key]+1 {
			j.found("%s went from version %d to %d", c.Key, versions[c.Key], c.Version)
		}
		versions[c.Key] = c.Version
		j.at[versioned{c.Key, c.Version}] = c
		j.applied[c.Batch] = append(j.applied[c.Batch], *c)
		if c.Actor != setup && sent[c.Batch] == nil {
			j.found("change %d of %s is of batch %s, which nobody has sent: a write was doubled", c.Seq, c.Key, c.Batch)
		}
	}
}

// outcome judges all answers to one batch together: one that took it counts.
func (j *judgement) outcome(list []*attempt) {
	w := list[0]
	id, done := w.batch.ID, j.applied[w.batch.ID]
	if len(done) != 0 && len(done) != len(w.batch.Ops) {
		j.found("batch %s of %d ops was applied in %d changes", id, len(w.batch.Ops), len(done))
		return
	}
	_, waits := j.parked[id]
	if len(done) != 0 && waits {
		j.found("batch %s was applied and waits for a person", id)
	}
	taken, open := false, false
	for _, one := range list {
		switch {
		case one.err == nil && !one.receipt.Queued:
			taken = true
			j.direct(one, list, done)
		case one.err == nil:
			taken = true
		default:
			u, ok := errors.AsType[*store.UnavailableError](one.err)
			open = open || ok && !u.NotDone
		}
	}
	switch {
	case taken && len(done) == 0 && !waits && !j.kept(w):
		j.found("batch %s of %s was taken and is lost: %s", id, w.by, answers(list))
	case !taken && !open && (len(done) != 0 || waits):
		j.found("batch %s was refused and is there: %s", id, answers(list))
	}
	for i := range done {
		j.base(w, &done[i])
	}
}

// direct judges an answer, one of those to a batch, that said which versions were written.
func (j *judgement) direct(w *attempt, list []*attempt, done []knowledge.Change) {
	if len(done) == 0 {
		if !j.kept(w) {
			j.found("batch %s of %s was acknowledged as applied and is not there", w.batch.ID, w.by)
		}
		return
	}
	if j.kept(w) || j.loses && slices.ContainsFunc(
		list, func(o *attempt) bool { return o.again && o.ended.After(w.ended) }) {
		// What was acknowledged is lost. Its writer, who could not know, has sent it again to the new primary, which
		// has taken it anew: after it was kept for a person, or before, and then there was nothing to keep.
		return
	}
	for _, r := range w.receipt.Records {
		if c := j.at[versioned{r.Key, r.Version}]; c == nil || c.Batch != w.batch.ID {
			j.found("batch %s was acknowledged as version %d of %s, which is another's", w.batch.ID, r.Version, r.Key)
		}
	}
}

// kept reports whether everything that a batch wrote waits for a person, after the primary has lost it.
func (j *judgement) kept(w *attempt) bool {
	if !j.loses {
		return false
	}
	for i := range w.batch.Ops {
		if !j.salvaged[w.batch.Ops[i].Key.ID+" "+w.title] {
			return false
		}
	}
	return true
}

// base checks that a write replaced what its writer was shown: that version, or the pending batch's.
func (j *judgement) base(w *attempt, c *knowledge.Change) {
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
		case on.of != knowledge.BatchID{}:
			if before == nil || before.Batch != on.of {
				j.found("batch %s was made on top of batch %s and replaced version %d of %s, which is another's",
					w.batch.ID, on.of, c.Version-1, c.Key)
			}
		case c.Version-1 != max(on.version, 0):
			j.found("batch %s was made on version %d of %s and replaced version %d", w.batch.ID, on.version, c.Key,
				c.Version-1)
		}
	}
}

// realTime checks that a write which was acknowledged before another began has the lower version.
func (j *judgement) realTime(writes []*attempt) {
	type done struct {
		w       *attempt
		version int64
	}
	byKey := map[knowledge.Key][]done{}
	for _, w := range writes {
		if w.err != nil || w.receipt.Queued || w.again || len(j.applied[w.batch.ID]) == 0 {
			continue
		}
		for _, r := range w.receipt.Records {
			byKey[r.Key] = append(byKey[r.Key], done{w, r.Version})
		}
	}
	for key, list := range byKey {
		for _, a := range list {
			for _, b := range list {
				if a.w.ended.Before(b.w.began) && a.version > b.version {
					j.found("%s: batch %s was acknowledged before %s began, and has version %d over %d", key,
						a.w.batch.ID, b.w.batch.ID, a.version, b.version)
				}
			}
		}
	}
}

func answers(list []*attempt) string {
	var text strings.Builder
	for _, w := range list {
		fmt.Fprintf(&text, "[queued %t, again %t, error %v] ", w.receipt.Queued, w.again, w.err)
	}
	return text.String()
}
