package failover_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// slowestRead is how long a read may take on a machine that does other things too; what is promised is measured
// elsewhere.
const slowestRead = 5 * time.Second

// A memory is what a session knows, from what it was shown and told.
type memory struct {
	life  int
	calls []*call // so far
	seen  map[knowledge.Key]int64
	own   map[knowledge.Key]int64 // of these, what it wrote itself
	// Of the documents that nobody else writes, what it wrote last.
	wrote map[knowledge.Key]*write
	// unsure holds the titles of its writes that may have been done, and doubted their documents.
	unsure  map[string]bool
	doubted map[knowledge.Key]bool
	taken   map[knowledge.BatchID]bool
	order   map[knowledge.BatchID]int // in which its batches were sent first
}

// sessions replays what each session saw.
func (j *judgement) sessions() {
	acks := j.acknowledged()
	by := map[string][]*call{}
	for _, c := range j.calls {
		by[c.by] = append(by[c.by], c)
	}
	for _, calls := range by {
		slices.SortFunc(calls, func(a, b *call) int { return a.began.Compare(b.began) })
		m := &memory{
			seen: map[knowledge.Key]int64{}, own: map[knowledge.Key]int64{}, wrote: map[knowledge.Key]*write{},
			unsure: map[string]bool{}, doubted: map[knowledge.Key]bool{}, taken: map[knowledge.BatchID]bool{},
			order: map[knowledge.BatchID]int{},
		}
		for i, c := range calls {
			// a session ends with its process: what it wrote must still be there, others' may come back later
			if c.life != m.life {
				m.life, m.seen = c.life, maps.Clone(m.own)
			}
			m.calls = calls[:i+1]
			switch answered := j.readable(c); {
			case !answered || j.end.forgets:
			case c.read != nil:
				j.sawDocument(m, c, acks)
			case c.list != nil:
				j.sawList(m, c)
			default:
				j.wrote(m, c)
			}
		}
	}
}

// readable judges that a read was answered, whole and in time, and reports whether there is an answer to look at.
func (j *judgement) readable(c *call) bool {
	if c.write != nil {
		return true
	}
	what := "a list"
	if c.read != nil {
		what = "a read of " + c.read.key.String()
	}
	if took := c.ended.Sub(c.began); took > slowestRead && !c.hurt {
		j.found(answersReads, "%s: %s took %v", c.by, what, took)
	}
	excused := c.hurt || c.read != nil && c.read.fresh
	switch {
	case errors.Is(c.err, errKilled), errors.Is(c.err, store.ErrUnavailable) && excused:
		return false
	case c.read != nil && errors.Is(c.err, store.ErrNotFound):
		return true
	case c.err != nil:
		j.found(answersReads, "%s: %s failed: %v", c.by, what, c.err)
		return false
	}
	if c.list != nil && c.list.want > 0 && c.list.got != c.list.want {
		j.found(answersReads, "%s: a list or search of %d documents from the %s has %d", c.by, c.list.want,
			c.list.source, c.list.got)
	}
	return true
}

// sawDocument judges what a read showed after all that its session knows.
func (j *judgement) sawDocument(m *memory, c *call, acks map[knowledge.Key][]ack) {
	r := c.read
	if r.text != r.version {
		j.found(tellsTruth, "%s: %s shows the text of version %d under the tag of version %d", c.by, r.key, r.text,
			r.version)
	}
	waits := r.pending != (knowledge.BatchID{})
	if !waits {
		if want := newestBefore(acks[r.key], r.asOf); r.version < want {
			j.found(tellsTruth, "%s: %s is said to be current as of %s, is version %d from the %s, and version %d was "+
				"acknowledged before", c.by, r.key, r.asOf.Format("05.000000"), r.version, r.source, want)
		}
		if r.version < m.seen[r.key] {
			j.found(neverGoesBack, "%s: %s was at version %d and went back to %d, from the %s:%s", c.by, r.key,
				m.seen[r.key], r.version, r.source, m.story(r.key))
		}
		m.seen[r.key] = r.version
	}
	if r.lacks != (knowledge.BatchID{}) {
		j.found(neverGoesBack, "%s: %s shows version %d without the session's own batch %s, which waits:%s", c.by,
			r.key, r.version, r.lacks, m.story(r.key))
	}
	last := m.wrote[r.key]
	switch {
	case last == nil || r.title == last.title:
	case m.unsure[r.title]: // nobody knew whether it was done: it was
	case r.version == 0 && m.doubted[r.key]:
	default:
		j.found(neverGoesBack, "%s: %s was last written as %q and reads %q, version %d from the %s, pending %s:%s",
			c.by, r.key, last.title, r.title, r.version, r.source, r.pending, m.story(r.key))
	}
}

// sawList judges that a list lacks nothing of what its session has written.
func (j *judgement) sawList(m *memory, c *call) {
	if c.list.shown == nil {
		return
	}
	for key, own := range m.own {
		if key.Kind != knowledge.KindRule || !isShared(key) {
			continue
		}
		if shown := c.list.shown[key]; shown.pending == (knowledge.BatchID{}) && shown.version < own {
			j.found(neverGoesBack, "%s: a list shows %s at version %d, which the session has written up to %d:%s", c.by,
				key, shown.version, own, m.story(key))
		}
	}
}

// wrote notes what a session was told of a write. Its own documents nobody else can have changed.
func (j *judgement) wrote(m *memory, c *call) {
	w, id := c.write, c.write.batch.ID
	if w.foul {
		if c.err == nil && !w.receipt.Queued { // in an outage it can't always be told: then it is parked in the end
			j.found(answersAlike, "%s: other content under the id %s was answered with success", c.by, id)
		}
		return
	}
	if _, sent := m.order[id]; !sent {
		m.order[id] = len(m.order) + 1
	}
	if c.err != nil {
		u, away := errors.AsType[*store.UnavailableError](c.err)
		if away && !u.NotDone || errors.Is(c.err, context.DeadlineExceeded) {
			m.unsure[w.title] = true
			for i := range w.batch.Ops {
				m.doubted[w.batch.Ops[i].Key] = true
			}
		}
		own := !w.shared && !w.again && !m.doubted[w.batch.Ops[0].Key]
		if own && errors.Is(c.err, store.ErrConflict) {
			j.found(neverGoesBack, "%s: a write of its own documents: %v:%s", c.by, c.err, m.story(w.batch.Ops[0].Key))
		}
		return
	}
	for i, r := range w.receipt.Records {
		if r == nil {
			continue
		}
		key := w.batch.Ops[i].Key
		if !w.receipt.Queued {
			m.seen[key], m.own[key] = max(m.seen[key], r.Version), max(m.own[key], r.Version)
		}
		switch last := m.wrote[key]; {
		case w.shared || m.taken[id]: // a retry of what was taken before writes nothing
		case last != nil && m.order[last.batch.ID] > m.order[id]: // it was done below what came later, or not
			m.unsure[w.title] = true
		default:
			m.wrote[key] = w
		}
	}
	m.taken[id] = true
}

// story tells what the session did last with a document, for whoever looks into a fault.
func (m *memory) story(key knowledge.Key) string {
	var lines []string
	for _, c := range slices.Backward(m.calls) {
		if len(lines) == 10 {
			break
		}
		at := c.began.UTC().Format("05.000") + " to " + c.ended.UTC().Format("05.000")
		switch {
		case c.read != nil && c.read.key == key:
			lines = append(lines, fmt.Sprintf("%s read version %d from the %s, pending %s, fresh %t, in mode %s, error %v",
				at, c.read.version, c.read.source, c.read.pending, c.read.fresh, c.read.mode, c.err))
		case c.write != nil && slices.ContainsFunc(c.write.batch.Ops,
			func(op knowledge.Op) bool { return op.Key == key }):
			version := int64(0)
			for _, r := range c.write.receipt.Records {
				if r != nil && r.Key == key {
					version = r.Version
				}
			}
			lines = append(lines, fmt.Sprintf("%s batch %s, again %t, told as version %d, queued %t, error %v", at,
				c.write.batch.ID, c.write.again, version, c.write.receipt.Queued, c.err))
		}
	}
	slices.Reverse(lines)
	return "\n\t\t" + strings.Join(lines, "\n\t\t")
}

// An ack is when somebody knew a version, or a newer one, to be written.
type ack struct {
	at      time.Time
	version int64
}

// acknowledged returns the acks of each document in the order of time. Their versions rise.
func (j *judgement) acknowledged() map[knowledge.Key][]ack {
	acks := map[knowledge.Key][]ack{}
	for _, c := range j.calls {
		if c.write == nil || c.err != nil || c.write.receipt.Queued {
			continue
		}
		for _, r := range c.write.receipt.Records {
			if r != nil {
				acks[r.Key] = append(acks[r.Key], ack{c.ended, r.Version})
			}
		}
	}
	for _, list := range acks {
		slices.SortFunc(list, func(a, b ack) int { return a.at.Compare(b.at) })
		for i := range list[1:] {
			list[i+1].version = max(list[i].version, list[i+1].version)
		}
	}
	return acks
}

// newestBefore returns the newest version that was acknowledged before a time; 0 for none.
func newestBefore(acks []ack, at time.Time) int64 {
	i, _ := slices.BinarySearchFunc(acks, at, func(a ack, at time.Time) int { return a.at.Compare(at) })
	if i == 0 {
		return 0
	}
	return acks[i-1].version
}

// A registerOp is a write of a version of a document, or a read of it.
type registerOp struct {
	write   bool
	version int64
}

// register is a compare-and-set register: a version replaces exactly the one before it.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return int64(0) },
		Step: func(state, input, output any) (bool, any) {
			op := input.(registerOp)
			if !op.write {
				return output == state, state
			}
			return state == op.version-1, op.version
		},
	}
}

// registers checks the history of each document as one of a register: the writes that were applied, and the reads that
// were as of now.
func (j *judgement) registers() {
	end := time.Now()
	ops := map[knowledge.Key][]porcupine.Operation{}
	for i, c := range j.calls {
		r := c.read
		switch {
		case r == nil || r.pending != (knowledge.BatchID{}):
		case c.err == nil && (r.fresh || r.source == knowledge.SourcePrimary),
			errors.Is(c.err, store.ErrNotFound) && r.fresh:
			ops[r.key] = append(ops[r.key], porcupine.Operation{
				ClientId: i, Input: registerOp{}, Output: r.version, Call: c.began.UnixNano(), Return: c.ended.UnixNano(),
			})
		}
	}
	for id, list := range j.sent {
		until := end
		for _, c := range list {
			if c.err == nil && !c.write.receipt.Queued {
				until = c.ended
				break
			}
		}
		for _, done := range j.applied[id] {
			ops[done.Key] = append(ops[done.Key], porcupine.Operation{
				ClientId: len(j.calls) + int(done.Seq), Input: registerOp{true, done.Version},
				Call: list[0].began.UnixNano(), Return: until.UnixNano(),
			})
		}
	}
	for key, ops := range ops {
		if porcupine.CheckOperationsTimeout(register(), ops, 15*time.Second) == porcupine.Illegal {
			j.found(linearizable, "the history of %s, %d calls, is not one of a compare-and-set register%s", key,
				len(ops), stale(ops))
		}
	}
}

// stale names the reads of a register that came too early or too late for what they saw, if it is as simple as that.
func stale(ops []porcupine.Operation) string {
	var b strings.Builder
	at := func(nano int64) string { return time.Unix(0, nano).UTC().Format("05.000") }
	for _, r := range ops {
		if r.Input.(registerOp).write {
			continue
		}
		saw := r.Output.(int64)
		for _, w := range ops {
			op := w.Input.(registerOp)
			if op.write && (op.version > saw && w.Return < r.Call || op.version == saw && w.Call > r.Return) {
				fmt.Fprintf(&b, "\n\t\t%d was read between %s and %s, and %d was written between %s and %s", saw,
					at(r.Call), at(r.Return), op.version, at(w.Call), at(w.Return))
			}
		}
	}
	return b.String()
}
