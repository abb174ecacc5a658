package interchange

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// A history is the replay of an export with history: its changes are read twice, once to plan and once to write,
// because a log may be larger than memory.
type history struct {
	export  *Export
	keys    map[knowledge.Key]*past
	ops     int
	invalid bool // documents with faults are taken
	places  positions
}

// A past is the state of one document during a replay.
type past struct {
	there   int64 // version in the store, 0 for none
	current knowledge.Document
	matched int64 // version in the export whose document is the one that is there, 0 while it was not met
	last    int64 // version of the last change in the export
	base    int64 // versions up to this one are not in the export: purged, or older than its log
	replays int
	refused string
	stays   string // why the store's own is left as it is, although the export has another
	lost    bool   // a purge has emptied earlier versions
	lenient bool   // documents with faults are taken, and named
	invalid []string

	// while writing
	version  int64 // the store's, as it will be after the ops so far
	archived bool  // and a restore brings it back
	highest  int64 // the highest that there was: a document that is made again goes on from there
}

// history plans a replay: a step for each document.
func (p *Plan) history(base Step, e *Export) error {
	h := &history{export: e, keys: map[knowledge.Key]*past{}, invalid: p.o.Invalid, places: positions{of: p.o.Position}}
	first := len(p.steps)
	for at, err := range e.Changes() {
		if err != nil {
			p.steps = append(p.steps[:first], base)
			p.steps[first].Outcome, p.steps[first].Reason = Refused, err.Error()
			return nil
		}
		k, err := p.past(h, at)
		if err != nil {
			return err
		}
		k.change(at)
		if err := h.places.want(at.Change); err != nil {
			k.refused = fmt.Sprintf("line %d: %s", at.Line, err)
		}
	}
	for _, k := range h.sorted() {
		st := base
		st.Key, st.Version = k.key, k.there
		k.finish(&st)
		if st.Outcome != Refused {
			h.ops += k.replays
		}
		p.seen[st.Key] = len(p.steps)
		p.steps = append(p.steps, st)
	}
	if len(h.keys) == 0 {
		base.Outcome, base.Reason = Skipped, "an export without changes"
		p.steps = append(p.steps, base)
		return nil
	}
	p.histories = append(p.histories, h)
	return nil
}

// past returns the state of the document of a change.
func (p *Plan) past(h *history, at ChangeAt) (*past, error) {
	key := at.Change.Key
	if k, ok := h.keys[key]; ok {
		return k, nil
	}
	k := &past{lenient: p.o.Invalid}
	h.keys[key] = k
	if i, twice := p.seen[key]; twice && p.implied(i) {
		p.steps[i].giveWay()
	} else if twice {
		k.refused = fmt.Sprintf("%s was read before, from %s: import the export by itself", key, p.steps[i].where())
		return k, nil
	}
	rec, err := p.o.Current(key)
	if err != nil || rec == nil {
		return k, err
	}
	k.there = rec.Version
	k.current, err = rec.Document()
	return k, err
}

// change takes the next change of the document into account.
func (k *past) change(at ChangeAt) {
	c := at.Change
	if k.refused != "" || k.stays != "" {
		return
	}
	if c.Version <= k.last {
		k.refused = fmt.Sprintf("line %d: version %d after version %d: the lines are out of order", at.Line, c.Version,
			k.last)
		return
	}
	if k.last == 0 {
		k.base = c.Version - 1
	}
	k.last = c.Version
	switch {
	case k.there > 0 && k.matched == 0:
		k.match(at)
	default:
		k.replay(at)
	}
}

// match looks for the version that the store has. A store that was filled from an export whose first versions were
// purged counts from the first that was left.
func (k *past) match(at ChangeAt) {
	c := at.Change
	if c.Verb == knowledge.VerbArchive {
		return
	}
	if c.Record == nil {
		k.lost = k.lost || c.Verb != knowledge.VerbPurge
		k.base = c.Version
		// The store's document may be the one that was purged there since: then the purge is for it, too.
		if s := k.current.Stamps(); c.Verb != knowledge.VerbPurge && c.Version == k.there && s.UpdatedBy == c.Actor &&
			s.UpdatedAt.Equal(c.At.Time) {
			k.matched = c.Version
		}
		return
	}
	if c.Version != k.there && c.Version-k.base != k.there {
		return
	}
	same, err := k.same(c)
	switch {
	case err == nil && same:
		k.matched = c.Version
	case c.Version == k.there && k.ownAdmin():
		k.stays = "this install has made an admin of its own, who stays with the token that it has"
	case c.Version == k.there:
		k.refused = fmt.Sprintf("line %d: the store has another version %d: the two have parted", at.Line, c.Version)
	}
}

// same reports whether the document of a change is the store's.
func (k *past) same(c *knowledge.Change) (bool, error) {
	d, err := c.Record.Document()
	if err != nil {
		return false, err
	}
	theirs, err := unplaced(d)
	if err != nil {
		return false, err
	}
	ours, err := unplaced(k.current)
	if err != nil {
		return false, err
	}
	return sameContent(theirs, ours)
}

// ownAdmin reports whether the store's document is the admin that a first start makes: an install that an export is
// restored into has one before anybody can call it.
func (k *past) ownAdmin() bool {
	p, ok := k.current.(*knowledge.Principal)
	return ok && p.CreatedBy == "system" && p.Version == 1
}

// replay adds a change that the store lacks.
func (k *past) replay(at ChangeAt) {
	c := at.Change
	if c.Record == nil {
		switch {
		case c.Verb.Removes() && (k.replays > 0 || k.there > 0):
			k.replays++
		default: // emptied by a purge, or the purge of what is no longer known
			k.lost, k.base = true, c.Version
		}
		return
	}
	d, err := c.Record.Document()
	unread := err != nil
	if err == nil {
		err = d.Validate()
	}
	switch {
	case err != nil && k.lenient && !unread:
		k.invalid = append(k.invalid, fmt.Sprintf("line %d: %s", at.Line, err))
	case err != nil:
		k.refused = fmt.Sprintf("line %d: %s", at.Line, err)
		return
	}
	k.replays++
}

// finish sets the outcome of the document.
func (k *past) finish(st *Step) {
	if k.stays != "" {
		st.Outcome, st.Reason = Skipped, k.stays
		return
	}
	switch {
	case k.refused == "" && k.there > k.last:
		k.refused = fmt.Sprintf("the store is at version %d, the export ends at %d: the store is ahead", k.there,
			k.last)
	case k.refused == "" && k.there > 0 && k.matched == 0:
		k.refused = fmt.Sprintf("the export does not hold version %d, which the store has", k.there)
	}
	st.Invalid = k.invalid
	switch {
	case k.refused != "":
		st.Outcome, st.Reason = Refused, k.refused
	case k.replays == 0:
		st.Outcome = Unchanged
	case k.there == 0:
		st.Outcome = Created
	default:
		st.Outcome = Changed
	}
	if k.replays > 0 && st.Outcome != Refused {
		st.Versions = k.replays
	}
	if k.lost {
		st.Notes = append(slices.Clone(st.Notes),
			"earlier versions were purged: the export no longer holds them, and versions are counted anew")
	}
}

// A keyed past is a past with its key.
type keyedPast struct {
	key knowledge.Key
	*past
}

func (h *history) sorted() []keyedPast {
	out := make([]keyedPast, 0, len(h.keys))
	for _, key := range slices.SortedFunc(maps.Keys(h.keys), func(a, b knowledge.Key) int {
		return cmp.Or(
			cmp.Compare(slices.Index(knowledge.Kinds(), a.Kind), slices.Index(knowledge.Kinds(), b.Kind)),
			cmp.Compare(a.ID, b.ID))
	}) {
		out = append(out, keyedPast{key, h.keys[key]})
	}
	return out
}

// batches returns the batches of the history as they were: with their ids, actors and times. One that can't be repeated
// whole, because the store has part of it, gets an id made of its own and of what is left, so that a repeated import
// finds it done.
func (h *history) batches(maxOps int) iter.Seq2[knowledge.Batch, error] {
	return func(yield func(knowledge.Batch, error) bool) {
		for _, k := range h.keys {
			k.version, k.highest, k.archived = k.there, k.there, false
		}
		h.places.begin()
		g := &group{maxOps: maxOps, invalid: h.invalid}
		for at, err := range h.export.Changes() {
			if err != nil {
				yield(knowledge.Batch{}, fmt.Errorf("read the export again: %w", err))
				return
			}
			if g.open && !g.fits(at.Change) {
				if b, ok := g.take(at.Change.Batch); ok && !yield(b, nil) {
					return
				}
			}
			g.begin(at.Change)
			h.places.reach(at.Change.Seq)
			op, ok, err := h.op(at.Change)
			if err != nil {
				yield(knowledge.Batch{}, fmt.Errorf("line %d: %w", at.Line, err))
				return
			}
			if !ok {
				g.whole = false
				continue
			}
			g.add(at.Change, op)
		}
		if b, ok := g.take(knowledge.BatchID{}); ok {
			yield(b, nil)
		}
	}
}

// op returns the op that repeats a change, or false when there is nothing to repeat.
func (h *history) op(c *knowledge.Change) (knowledge.Op, bool, error) {
	k := h.keys[c.Key]
	if k == nil || k.refused != "" || k.stays != "" {
		return knowledge.Op{}, false, nil
	}
	if c.Version <= k.matched {
		h.places.pass(c.Key, c.Version-k.matched+k.there)
		return knowledge.Op{}, false, nil
	}
	op, ok, err := h.repeat(k, c)
	if ok {
		h.places.pass(c.Key, k.highest)
	}
	return op, ok, err
}

// repeat returns the op that repeats a change that the store lacks, or false when there is nothing to repeat.
func (h *history) repeat(k *past, c *knowledge.Change) (knowledge.Op, bool, error) {
	seen := k.version
	if seen == 0 {
		seen = knowledge.NoVersion
	}
	if c.Verb.Removes() {
		if k.version == 0 {
			return knowledge.Op{}, false, nil
		}
		k.highest++
		k.version, k.archived = 0, c.Verb == knowledge.VerbArchive
		return knowledge.Op{Verb: c.Verb, Key: c.Key, IfVersion: seen}, true, nil
	}
	if c.Record == nil {
		return knowledge.Op{}, false, nil
	}
	d, err := c.Record.Document()
	if err == nil {
		err = h.places.bring(d)
	}
	if err != nil {
		return knowledge.Op{}, false, err
	}
	if k.archived && c.Verb == knowledge.VerbRestore {
		seen, k.archived = k.highest, false
		k.highest++
		k.version = k.highest
		return knowledge.Op{Verb: c.Verb, Key: c.Key, IfVersion: seen}, true, nil
	}
	k.highest++
	k.version = k.highest
	if p, ok := d.(*knowledge.Principal); ok {
		p.Erasure = nil // it binds changes of the log that it comes from; what is in the export names nobody
	}
	return knowledge.Put(d, seen), true, nil
}

// A group collects the ops of one batch of the history.
type group struct {
	maxOps  int
	invalid bool // documents with faults are taken
	batch   knowledge.Batch
	keys    map[knowledge.Key]bool
	whole   bool // every change of the batch is repeated, in this one batch
	open    bool
	split   bool // the next batch is the rest of this one
	size    int  // of the documents, as JSON
}

// fits reports whether a change belongs to the current batch.
func (g *group) fits(c *knowledge.Change) bool {
	return g.open && g.batch.ID == c.Batch && c.Batch != (knowledge.BatchID{}) && g.batch.Actor == c.Actor &&
		g.batch.At.Equal(c.At.Time) && !g.keys[c.Key] && len(g.batch.Ops) < g.maxOps && (len(g.batch.Ops) == 0 ||
		g.size+sizeOf(c) <= maxBatchBytes)
}

func sizeOf(c *knowledge.Change) int {
	if c.Record == nil {
		return 0
	}
	return len(c.Record.JSON)
}

func (g *group) begin(c *knowledge.Change) {
	if g.open {
		return
	}
	g.batch = knowledge.Batch{ID: c.Batch, Actor: c.Actor, At: c.At, Invalid: g.invalid}
	g.keys, g.whole, g.open = map[knowledge.Key]bool{}, c.Batch != (knowledge.BatchID{}) && !g.split, true
	g.split, g.size = false, 0
}

func (g *group) add(c *knowledge.Change, op knowledge.Op) {
	g.keys[c.Key] = true
	if g.batch.Message == "" { // a purge has removed it from the changes of its document
		g.batch.Message = c.Message
	}
	g.batch.Ops = append(g.batch.Ops, op)
	g.size += sizeOf(c)
}

// take ends the batch, which a change of the batch next follows, and returns it, or false when nothing was gathered.
func (g *group) take(next knowledge.BatchID) (knowledge.Batch, bool) {
	g.split = g.batch.ID == next && next != (knowledge.BatchID{})
	b, whole := g.batch, g.whole && !g.split
	g.open = false
	if len(b.Ops) == 0 {
		return b, false
	}
	if !whole {
		sum := fmt.Appendf(nil, "tenet:replay\n%s\n%s", b.At.Format(knowledge.TimeLayout), b.ID)
		for _, op := range b.Ops {
			sum = fmt.Appendf(sum, "\n%s %s %d", op.Verb, op.Key, op.IfVersion)
		}
		b.ID = uuid.NewSHA1(uuid.NameSpaceURL, sum)
	}
	return b, true
}
