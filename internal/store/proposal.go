package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// ProposalOf returns a proposal with its record.
func ProposalOf(ctx context.Context, s Reader, id string) (*knowledge.Proposal, *knowledge.Record, error) {
	key := knowledge.Key{Kind: knowledge.KindProposal, ID: id}
	if !key.Sound() {
		return nil, nil, &NotFoundError{Key: key}
	}
	rec, err := s.Get(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	d, err := rec.Document()
	if err != nil {
		return nil, nil, err
	}
	p, ok := d.(*knowledge.Proposal)
	if !ok {
		return nil, nil, fmt.Errorf("%s is a %T", key, d)
	}
	return p, rec, nil
}

// NewestFirst returns proposals with the newest first. A store orders them by the second, which is not enough for those
// that a person makes one after the other.
func NewestFirst(list []*knowledge.Record) ([]*knowledge.Record, error) {
	at := make(map[*knowledge.Record]knowledge.Time, len(list))
	for _, rec := range list {
		d, err := rec.Document()
		if err != nil {
			return nil, err
		}
		at[rec] = d.Stamps().CreatedAt
	}
	return slices.SortedStableFunc(slices.Values(list), func(a, b *knowledge.Record) int {
		return at[b].Compare(at[a].Time)
	}), nil
}

// FillVersions sets the current version in each op of a proposal that names none.
func FillVersions(ctx context.Context, s Reader, p *knowledge.Proposal) error {
	for i := range p.Ops {
		op := &p.Ops[i]
		kind, err := knowledge.ParseKind(op.Kind)
		key := knowledge.Key{Kind: kind, ID: op.ID}
		if op.ID == "" && err == nil {
			if id, ok := op.Document[kind.IDField()].(string); ok {
				op.ID, key.ID = id, id
			}
		}
		if err != nil || op.IfVersion != knowledge.AnyVersion || !key.Sound() {
			continue // validation reports the fault
		}
		rec, err := s.Get(ctx, key)
		switch {
		case errors.Is(err, ErrNotFound) && op.Verb == knowledge.VerbPut:
			op.IfVersion = knowledge.NoVersion
		case err != nil:
			return err
		case rec.Pending != (knowledge.BatchID{}):
			return &ConflictError{Key: key, Op: i, Got: rec.Version, GotBatch: rec.Pending}
		default:
			op.IfVersion = rec.Version
		}
	}
	p.Normalize()
	return nil
}

// TitleProposal gives a proposal a title: what is done to which documents, and what those are called. One that is not
// there, and has no title in the op, is named by its key alone.
func TitleProposal(ctx context.Context, s Reader, p *knowledge.Proposal, ops []knowledge.Op) {
	names := make([]string, len(ops))
	for i := range ops {
		op, title := &ops[i], ""
		if op.Doc != nil {
			title = op.Doc.Text().Title
		} else if rec, err := s.Get(ctx, op.Key); err == nil {
			if d, err := rec.Document(); err == nil {
				title = d.Text().Title
			}
		}
		names[i] = string(op.Verb) + " " + op.Key.String()
		if title != "" {
			names[i] += " (" + title + ")"
		}
	}
	p.Title = clip(strings.Join(names, ", "), knowledge.MaxTitle)
}

// clip shortens a text to at most n characters.
func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// leastDigest is how much of the digest of ops names them.
const leastDigest = 8

// ReviewBatch returns the batch that adds a review to a proposal. done says that the last review is the same already. A
// review that names the ops which its writer has read, by their digest or its beginning, is refused for any other.
func ReviewBatch(
	p *knowledge.Proposal, rec *knowledge.Record, id knowledge.BatchID, r knowledge.Review,
) (b knowledge.Batch, done bool) {
	if seen := strings.ToLower(r.OpsDigest); seen == "" || len(seen) >= leastDigest && strings.HasPrefix(p.OpsDigest,
		seen) {
		r.OpsDigest = p.OpsDigest
	}
	if n := len(p.Reviews); n > 0 && r.OpsDigest == p.OpsDigest {
		last := p.Reviews[n-1]
		if last.By == r.By && last.Verdict == r.Verdict && last.Comment == r.Comment && last.OpsDigest == r.OpsDigest {
			return b, true
		}
	}
	fields := map[string]any{"reviews": append(slices.Clone(p.Reviews), r)}
	if r.Verdict == knowledge.VerdictReject {
		fields["state"] = knowledge.ProposalRejected
	}
	return ProposalBatch(rec, id, r.By, fields), false
}

// ProposalBatch returns the batch that changes fields of a proposal, given the record that was read.
func ProposalBatch(rec *knowledge.Record, id knowledge.BatchID, actor string, fields map[string]any) knowledge.Batch {
	patch, err := json.Marshal(fields)
	if err != nil {
		panic(err) // fields of a document can be encoded
	}
	op := knowledge.Op{Verb: knowledge.VerbPatch, Key: rec.Key, Patch: patch, IfVersion: rec.Version}
	if rec.Pending != (knowledge.BatchID{}) {
		op.IfVersion, op.IfBatch = knowledge.AnyVersion, rec.Pending
	}
	return knowledge.Batch{ID: id, Actor: actor, Ops: []knowledge.Op{op}}
}

// ApplyProposal applies a proposal: its ops and its new state are one batch, whose id follows from the proposal's
// version. So it is applied once, however often it is called or cut off by a crash. A proposal that is applied already
// is returned as it is.
func ApplyProposal(ctx context.Context, s Store, actor, id string) (knowledge.Receipt, *knowledge.Record, error) {
	p, rec, err := ProposalOf(ctx, s, id)
	switch {
	case err != nil:
		return knowledge.Receipt{}, nil, err
	case p.State == knowledge.ProposalApplied:
		return knowledge.Receipt{Queued: rec.Pending != (knowledge.BatchID{}), Batch: rec.Pending}, rec, nil
	}
	if err := CheckProposed(ctx, s.Get, p); err != nil {
		return knowledge.Receipt{}, nil, err
	}
	ops, err := p.ApplyOps()
	if err != nil {
		return knowledge.Receipt{}, nil, err
	}
	last := &ops[len(ops)-1]
	if rec.Pending != (knowledge.BatchID{}) {
		last.IfVersion, last.IfBatch = knowledge.AnyVersion, rec.Pending
	}
	why := knowledge.MessageOf(p.Why)
	if why == "" {
		why = knowledge.MessageOf(p.Title)
	}
	r, err := s.Apply(ctx, knowledge.Batch{ID: p.ApplyID(), Actor: actor, Message: why, Ops: ops})
	if errors.Is(err, ErrReused) || errors.Is(err, ErrConflict) {
		// Another caller may have applied it meanwhile.
		if again, now, failed := ProposalOf(ctx, s, id); failed == nil && again.State == knowledge.ProposalApplied {
			return knowledge.Receipt{Queued: now.Pending != (knowledge.BatchID{}), Batch: now.Pending}, now, nil
		}
	}
	if err != nil {
		return r, nil, err
	}
	for _, done := range r.Records {
		if done != nil && done.Key == rec.Key {
			rec = done
		}
	}
	return r, rec, nil
}

// A ProposedChange is the effect of one op of a proposal.
type ProposedChange struct {
	Verb    knowledge.Verb `json:"verb" doc:"What is done" enum:"put,patch,retire,restore"`
	Kind    knowledge.Kind `json:"kind" doc:"The document's kind"`
	ID      string         `json:"id" doc:"The document's id"`
	Base    int64          `json:"base_version" doc:"The version that the proposal was made for; -1 for none"`
	Current int64          `json:"current_version" doc:"The version that is there now; 0 for none"`
	Moved   bool           `json:"moved" doc:"True when the document has changed since: it can't be applied as it is"`
	// The documents to compare.
	Before any `json:"before" doc:"The document that the proposal was made for; null for none"`
	Now    any `json:"now" doc:"The document as it is now; null for none"`
	After  any `json:"after" doc:"The document as the proposal leaves it; null where that can't be told"`

	Records [3]*knowledge.Record `json:"-"` // before, now, after; nil for none
}

// Preview returns the effect of each op of a proposal.
func Preview(ctx context.Context, s Past, p *knowledge.Proposal) ([]ProposedChange, error) {
	list := make([]ProposedChange, 0, len(p.Ops))
	for i := range p.Ops {
		op, err := p.Ops[i].Op()
		if err != nil {
			return nil, err
		}
		c := ProposedChange{Verb: op.Verb, Kind: op.Key.Kind, ID: op.Key.ID, Base: op.IfVersion}
		now, err := s.Get(ctx, op.Key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		before := now
		if now != nil {
			c.Current, c.Now = now.Version, json.RawMessage(now.JSON)
		}
		open := p.State == knowledge.ProposalOpen
		c.Moved = open && (op.IfVersion == knowledge.NoVersion && now != nil || op.IfVersion > 0 &&
			(now == nil || now.Version != op.IfVersion || otherText(&p.Ops[i], now)))
		switch {
		case op.IfVersion == knowledge.NoVersion:
			before = nil
		case now == nil || now.Version != op.IfVersion:
			if before, err = versionOf(ctx, s, op.Key, op.IfVersion); err != nil {
				return nil, err
			}
		}
		if before != nil {
			c.Before = json.RawMessage(before.JSON)
		}
		after, err := leftBehind(&op, before)
		if err != nil {
			return nil, err
		}
		if after != nil {
			c.After = json.RawMessage(after.JSON)
		}
		c.Records = [3]*knowledge.Record{before, now, after}
		list = append(list, c)
	}
	return list, nil
}

// versionOf returns a version of a document, nil if the log does not have it.
func versionOf(ctx context.Context, s Feed, key knowledge.Key, version int64) (*knowledge.Record, error) {
	changes, err := s.Changes(ctx, knowledge.ChangeQuery{Key: key, Version: version, Limit: 1})
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	return changes[0].Record, nil
}

// leftBehind returns the result of an op, stamped as the next version; nil if there is no document to change.
func leftBehind(op *knowledge.Op, before *knowledge.Record) (*knowledge.Record, error) {
	var current knowledge.Document
	if before != nil {
		var err error
		if current, err = before.Document(); err != nil {
			return nil, err
		}
	} else if op.Verb != knowledge.VerbPut {
		return nil, nil // the document was deleted
	}
	next, err := op.Next(current)
	if _, invalid := errors.AsType[*knowledge.InvalidError](err); invalid || err == nil && next == nil {
		return nil, nil // it can't be applied; applying it reports why
	}
	if err != nil {
		return nil, err
	}
	if next, err = knowledge.Clone(next); err != nil {
		return nil, err
	}
	if current != nil {
		stamp := *current.Stamps()
		stamp.Version++
		*next.Stamps() = stamp
	}
	return knowledge.NewRecord(next)
}
