package failover

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A desk lets people decide conflicts, and tells the state of a batch.
type desk struct {
	o       *Options
	board   *board
	modes   *modes
	mirror  *mirror
	reader  *reader
	writer  *writer
	journal Journal
}

// conflicts returns parked batches. Those that wait for a decision come with the current state of their documents.
func (d *desk) conflicts(ctx context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	list, err := d.journal.Parked(ctx, q)
	if err != nil {
		return nil, err
	}
	open := list[:0]
	for i := range list {
		p := &list[i]
		if p.Resolution == "" {
			if err := d.refresh(ctx, p); err != nil {
				return nil, err
			}
		}
		if p.Resolution == "" || q.Resolved {
			open = append(open, *p)
		}
	}
	return open, nil
}

// refresh fills in the current state of a parked batch's documents, or the decision that another instance has carried
// out.
func (d *desk) refresh(ctx context.Context, p *store.Parked) error {
	if done, err := d.done(ctx, p); done != nil || err != nil {
		return err
	}
	now, err := d.stands(ctx, p)
	if err != nil {
		if errors.Is(err, store.ErrUnavailable) {
			return nil // it can be looked at, but not decided
		}
		return err
	}
	p.Seen, p.Theirs, p.Found = now.seen, nil, 0
	if r := now.records[p.Key()]; r != nil {
		p.Theirs, p.Found = json.RawMessage(r.JSON), r.Version
	}
	return nil
}

// decisionOf returns the id of the batch that carries out a decision. It is the same on every instance and for every
// decision, so the primary takes only one of them.
func decisionOf(id knowledge.BatchID) knowledge.BatchID { return uuid.NewSHA1(id, []byte("decision")) }

// done returns the changes of a decision that any instance has carried out, and notes the decision in the journal.
func (d *desk) done(ctx context.Context, p *store.Parked) ([]knowledge.Change, error) {
	id := decisionOf(p.Entry.Batch.ID)
	if !d.mirror.complete() {
		return nil, nil
	}
	changes, err := d.mirror.file.Changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: knowledge.MaxChanges})
	if err != nil || len(changes) == 0 {
		return nil, nil //nolint:nilerr // if the log can't be read, the primary's ledger finds a second decision
	}
	p.Resolution, p.ResolvedBy, p.ResolvedAt, p.ResolvedAs = store.ResolveOurs, changes[0].Actor, changes[0].At, id
	for i := range changes {
		l, _ := p.Entry.LeftOf(changes[i].Key)
		if l.Record == nil || changes[i].Record == nil {
			continue
		}
		ours, err := l.Record.Document()
		theirs, failed := changes[i].Record.Document()
		if err != nil || failed != nil || !knowledge.SameContent(ours, theirs) {
			p.Resolution = store.ResolveMerged
		}
	}
	return changes, d.journal.Resolve(ctx, *p)
}

// A stand is the current state of a batch's documents.
type stand struct {
	records map[knowledge.Key]*knowledge.Record
	seen    string // identifies the state
}

// stands returns the current state of a batch's documents on this instance.
func (d *desk) stands(ctx context.Context, p *store.Parked) (stand, error) {
	s := stand{records: map[knowledge.Key]*knowledge.Record{}}
	var text strings.Builder
	for i := range p.Entry.Batch.Ops {
		key := p.Entry.Batch.Ops[i].Key
		r, err := d.reader.get(ctx, key)
		switch {
		case err == nil:
			s.records[key] = r
			fmt.Fprintf(&text, "%s %d %s %x\n", key, r.Version, r.Pending, sha256.Sum256(r.JSON))
		case isNotFound(err):
			fmt.Fprintf(&text, "%s none\n", key)
		default:
			return s, err
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	s.seen = hex.EncodeToString(sum[:8])
	return s, nil
}

// A deskCase is a parked batch with its decision.
type deskCase struct {
	parked   store.Parked
	decision store.Decision
	now      stand
}

// resolve checks all decisions before it carries out the first. If one of them was made on a state that has changed
// since, all are refused. Later decisions see the writes of earlier ones.
func (d *desk) resolve(ctx context.Context, by string, decisions []store.Decision) ([]store.Decided, error) {
	cases := make([]deskCase, len(decisions))
	for i, decision := range decisions {
		c := &cases[i]
		var err error
		if c.decision = decision; decision.How != store.ResolveTheirs && decision.How != store.ResolveOurs &&
			decision.How != store.ResolveMerged {
			return nil, knowledge.Invalid("/resolution", "%q: want theirs, ours or merged", decision.How)
		}
		if c.parked, err = d.conflict(ctx, decision.ID); err != nil {
			return nil, err
		}
		if decision.How == store.ResolveTheirs {
			continue
		}
		if c.now, err = d.stands(ctx, &c.parked); err != nil {
			return nil, err
		}
		switch conflict := (&store.ConflictError{Key: c.parked.Key(), Op: max(c.parked.Op, 0), Want: c.parked.Found}); {
		case decision.Seen == "":
			return nil, knowledge.Invalid("/seen",
				"missing: send the conflict's seen value, so that a newer change is not overwritten")
		case decision.Seen != c.now.seen:
			if r := c.now.records[c.parked.Key()]; r != nil {
				conflict.Got = r.Version
			}
			return nil, conflict
		}
	}
	slices.SortStableFunc(cases, func(a, b deskCase) int { return cmp.Compare(a.parked.Entry.Seq, b.parked.Entry.Seq) })
	var done []store.Decided
	written := map[knowledge.Key]int64{}
	for i := range cases {
		rec, err := d.carryOut(ctx, &cases[i], by, written)
		if err != nil {
			return done, err
		}
		done = append(done, store.Decided{ID: cases[i].decision.ID, Receipt: rec})
	}
	return done, nil
}

// carryOut carries out one decision. written holds the versions that earlier decisions have written.
func (d *desk) carryOut(
	ctx context.Context, c *deskCase, by string, written map[knowledge.Key]int64,
) (knowledge.Receipt, error) {
	p := &c.parked
	p.Resolution, p.ResolvedBy, p.ResolvedAt = c.decision.How, by, knowledge.At(d.o.wall())
	if c.decision.How == store.ResolveTheirs {
		return knowledge.Receipt{}, d.journal.Resolve(ctx, *p)
	}
	if d.modes.mode() != knowledge.ModeNormal {
		return knowledge.Receipt{}, &store.UnavailableError{
			Reason: "a conflict is resolved at the primary, which can't be reached yet", RetryAfter: d.o.Recovery,
			NotDone: true,
		}
	}
	ops, err := c.ops()
	if err != nil {
		return knowledge.Receipt{}, err
	}
	b := knowledge.Batch{ID: decisionOf(p.Entry.Batch.ID), Actor: by, Message: p.Entry.Batch.Message, Ops: ops}
	keys := make([]knowledge.Key, len(b.Ops))
	for i := range b.Ops {
		op := &b.Ops[i]
		keys[i] = op.Key
		switch r := c.now.records[op.Key]; {
		case written[op.Key] != 0:
			op.IfVersion = written[op.Key]
		case r != nil:
			op.IfVersion = r.Version
		default:
			op.IfVersion = knowledge.NoVersion
		}
	}
	rec, err := d.writer.apply(ctx, b)
	if errors.Is(err, store.ErrReused) {
		return rec, knowledge.Invalid("",
			"the conflict was already resolved, perhaps by another instance: read it again")
	}
	if err != nil {
		return rec, err
	}
	for i, r := range rec.Records {
		written[b.Ops[i].Key] = knowledge.NoVersion
		if r != nil {
			written[b.Ops[i].Key] = r.Version
		}
	}
	d.board.invalidate(keys) // this write bypassed the cache; invalidate it
	p.ResolvedAs = b.ID
	return rec, d.journal.Resolve(ctx, *p)
}

// ops returns the operations that carry out a decision: the merged document, or what the parked batch would have
// written.
func (c *deskCase) ops() ([]knowledge.Op, error) {
	e := &c.parked.Entry
	if c.decision.How == store.ResolveMerged {
		merged := c.decision.Merged
		switch {
		case merged == nil:
			return nil, knowledge.Invalid("/document", "missing: merged needs the document to write")
		case merged.Key() != c.parked.Key():
			return nil, knowledge.Invalid("/document", "%s, but the conflict is about %s", merged.Key(), c.parked.Key())
		}
		merged.Normalize()
		return []knowledge.Op{knowledge.Put(merged, 0)}, nil
	}
	ops := make([]knowledge.Op, len(e.Batch.Ops))
	for i := range e.Batch.Ops {
		ops[i] = e.Batch.Ops[i]
		if l, _ := e.LeftOf(ops[i].Key); l.Record != nil {
			doc, err := l.Record.Document()
			if err != nil {
				return nil, err
			}
			ops[i] = knowledge.Put(doc, 0)
		}
		ops[i].IfBatch = knowledge.BatchID{}
	}
	return ops, nil
}

// conflict returns a parked batch that is not yet decided.
func (d *desk) conflict(ctx context.Context, id knowledge.BatchID) (store.Parked, error) {
	list, err := d.journal.Parked(ctx, store.ParkedQuery{ID: id, Resolved: true})
	if err != nil {
		return store.Parked{}, err
	}
	if len(list) == 0 {
		return store.Parked{}, &store.NotFoundError{Key: knowledge.Key{Kind: "conflict", ID: id.String()}}
	}
	p := &list[0]
	if p.Resolution == "" {
		_, err = d.done(ctx, p)
	}
	if err == nil && p.Resolution != "" {
		err = knowledge.Invalid("", "the conflict was already resolved as %s by %s", p.Resolution, p.ResolvedBy)
	}
	return *p, err
}

// journalled reports whether a batch was ever in the journal, whatever its state now.
func (d *desk) journalled(ctx context.Context, id knowledge.BatchID) (bool, error) {
	_, _, err := d.journal.Find(ctx, id)
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// batch returns the state of a batch: from the journal, from the log, or as lost by a failover of the primary and
// parked.
func (d *desk) batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error) {
	_, out, err := d.journal.Find(ctx, id)
	if err != nil && !isNotFound(err) {
		return knowledge.BatchStatus{}, err
	}
	noted := err == nil
	if noted && (out.State == knowledge.BatchParked || out.State == knowledge.BatchResolved) {
		return knowledge.BatchStatus{ID: id, State: out.State, Detail: out.Why}, nil
	}
	if noted && d.mirror.complete() {
		// The feed may bring a batch before its replay returns, and its documents then already show as applied.
		changes, err := d.mirror.file.Changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: knowledge.MaxChanges})
		if err == nil && len(changes) > 0 {
			return knowledge.BatchStatus{ID: id, State: knowledge.BatchApplied, Seq: changes[len(changes)-1].Seq}, nil
		}
	}
	if !noted {
		changes, err := d.reader.changes(ctx, knowledge.ChangeQuery{Batch: id, Limit: knowledge.MaxChanges})
		if err == nil && len(changes) > 0 {
			return knowledge.BatchStatus{ID: id, State: knowledge.BatchApplied, Seq: changes[len(changes)-1].Seq}, nil
		}
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			return knowledge.BatchStatus{}, err
		}
		if lost, failed := d.lost(ctx, id); lost != nil || failed != nil {
			return orNone(lost), failed
		}
		return knowledge.BatchStatus{}, d.unknown(id, err)
	}
	if lost, err := d.lost(ctx, id); lost != nil || err != nil {
		return orNone(lost), err
	}
	return knowledge.BatchStatus{ID: id, State: out.State, Seq: out.Seq, Detail: out.Why}, nil
}

func orNone(st *knowledge.BatchStatus) knowledge.BatchStatus {
	if st == nil {
		return knowledge.BatchStatus{}
	}
	return *st
}

// lost returns the state of a batch that a failover of the primary has lost; nil if it was not lost.
func (d *desk) lost(ctx context.Context, id knowledge.BatchID) (*knowledge.BatchStatus, error) {
	list, err := d.journal.Parked(ctx, store.ParkedQuery{Lost: id, Resolved: true, Limit: 1})
	switch {
	case err != nil, len(list) == 0:
		return nil, err
	case list[0].Resolution == "":
		return &knowledge.BatchStatus{ID: id, State: knowledge.BatchParked, Detail: list[0].Why}, nil
	}
	return &knowledge.BatchStatus{
		ID: id, State: knowledge.BatchResolved,
		Detail: list[0].Why + "; resolved: " + list[0].Resolution,
	}, nil
}

// unknown returns the error for a batch that this instance does not know. why is the error of asking the log, nil if it
// could be asked.
func (d *desk) unknown(id knowledge.BatchID, why error) error {
	if why != nil {
		return why
	}
	if mode := d.modes.mode(); mode != knowledge.ModeNormal && mode != knowledge.ModeRecovering {
		return &store.UnavailableError{
			Reason:     "this instance does not know the batch, and the primary can't be reached to ask",
			RetryAfter: d.o.Recovery, NotDone: true,
		}
	}
	return fmt.Errorf("batch %s: %w", id, store.ErrNotFound)
}
