package httpapi

import (
	"errors"
	"net/http"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type createParams struct{ writeHeaders }

func (l *collection) create(c *call, p *createParams) error {
	batch, err := newBatch(c, p.saidParams)
	if err != nil {
		return err
	}
	d, err := c.document(l.kind)
	if err != nil {
		return err
	}
	if knowledge.Describe(l.kind).UUID && d.Key().ID == "" {
		// Its batch's id: new where the caller gave no key, and the same again where the caller asks again.
		knowledge.SetID(d, batch.ID.String())
	}
	if len(c.r.Header["If-Match"]) > 0 {
		return knowledge.BadQuery("If-Match", "a new document matches nothing: use PUT to replace one")
	}
	if err := l.filled(c, &batch, d); err != nil {
		return err
	}
	batch.Ops = []knowledge.Op{knowledge.Put(d, knowledge.AnyVersion)}
	if err := c.conditions().Read(c.limited(), &batch); err != nil {
		return err
	}
	batch.Ops[0].IfVersion = knowledge.NoVersion
	return l.write(c, batch)
}

type putParams struct {
	documentPath
	matchHeader
	noneMatchHeader
	writeHeaders
}

func (l *collection) put(c *call, p *putParams) error {
	batch, err := newBatch(c, p.saidParams)
	if err != nil {
		return err
	}
	d, err := c.document(l.kind)
	if err != nil {
		return err
	}
	key := knowledge.Key{Kind: l.kind, ID: c.r.PathValue("id")}
	if err := nameByPath(d, key); err != nil {
		return err
	}
	if err := l.filled(c, &batch, d); err != nil {
		return err
	}
	// The version in a body is a precondition, as for tenet put: a document that is sent back as it was read replaces
	// only the version that was read. A precondition in a header takes its place.
	seen := d.Stamps().Version
	if seen < 0 {
		return knowledge.Invalid("/version", "%d: want the version that you saw, or leave it out", seen)
	}
	batch.Ops = []knowledge.Op{knowledge.Put(d, seen)}
	if err := c.conditions().Read(c.limited(), &batch); err != nil {
		return err
	}
	if !c.cond.Given() {
		if err := store.CheckSeen(c.limited(), c.h.o.Store.Get, 0, &batch.Ops[0]); err != nil {
			return err
		}
	}
	return l.write(c, batch)
}

// nameByPath sets the id of a document from its path. An id that differs from the path is a fault, reported with all
// the others.
func nameByPath(d knowledge.Document, key knowledge.Key) error {
	if d.Key().ID == "" {
		setID(d, key.ID)
	}
	if d.Key() == key {
		return nil
	}
	var f faultList
	f.add("/"+key.Kind.IDField(), "%q, but the path says %q: give the same or leave it out", d.Key().ID, key.ID)
	f.merge(d.Validate())
	return f.err(false)
}

func setID(d knowledge.Document, id string) {
	knowledge.SetID(d, id)
	d.Normalize() // a name may follow from the id
}

type patchParams struct {
	documentPath
	matchHeader
	writeHeaders
}

func (l *collection) patch(c *call, p *patchParams) error {
	b, err := documentBytes(c)
	if err != nil {
		return err
	}
	return l.change(c, knowledge.Op{Verb: knowledge.VerbPatch, Patch: b}, p.saidParams)
}

type deleteParams struct {
	documentPath
	Purge bool `query:"purge" doc:"True removes the document and its texts for ever; admins only" example:"false"`
	matchHeader
	writeHeaders
}

func (l *collection) remove(c *call, p *deleteParams) error {
	if p.Purge {
		return l.change(c, knowledge.Op{Verb: knowledge.VerbPurge}, p.saidParams)
	}
	return l.change(c, knowledge.Op{Verb: knowledge.VerbRetire}, p.saidParams)
}

type restoreParams struct {
	documentPath
	matchHeader
	writeHeaders
}

func (l *collection) restore(c *call, p *restoreParams) error {
	return l.change(c, knowledge.Op{Verb: knowledge.VerbRestore}, p.saidParams)
}

// change does an op on the document that the path names.
func (l *collection) change(c *call, op knowledge.Op, said saidParams) error {
	batch, err := newBatch(c, said)
	if err != nil {
		return err
	}
	if op.Key, err = l.key(c); err != nil {
		return err
	}
	if len(c.r.Header["If-None-Match"]) > 0 {
		return knowledge.BadQuery("If-None-Match", "only a document that is not there yet can be none: use PUT")
	}
	batch.Ops = []knowledge.Op{op}
	if err := c.conditions().Read(c.limited(), &batch); err != nil {
		return asNotFound(err)
	}
	return asNotFound(l.write(c, batch))
}

// asNotFound turns a conflict about a document that does not exist into a [store.NotFoundError]: only a put needs no
// document.
func asNotFound(err error) error {
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok && conflict.Got == 0 {
		return &store.NotFoundError{Key: conflict.Key}
	}
	return err
}

// write applies a batch of one op and answers with the new document.
func (l *collection) write(c *call, b knowledge.Batch) error {
	receipt, err := l.h.o.Store.Apply(c.limited(), b)
	if err != nil {
		return c.cond.Explain(asSingle(err))
	}
	setBatchHeaders(c, b.ID, &receipt)
	op := &b.Ops[0]
	var rec *knowledge.Record
	if len(receipt.Records) > 0 {
		rec = receipt.Records[0]
	}
	if rec == nil {
		status := http.StatusNoContent
		if receipt.Queued {
			status = http.StatusAccepted
		}
		c.nothing(status)
		return nil
	}
	setNotes(c, notesOf(c, b.Ops, receipt.Records))
	status := http.StatusOK
	if op.Verb == knowledge.VerbPut && !receipt.Unchanged && (op.IfVersion == knowledge.NoVersion || rec.Version == 1) {
		status = http.StatusCreated
		c.set("Location", l.path+"/"+rec.Key.ID)
	}
	if receipt.Dry { // no version of it has this tag
		c.send(status, mediaJSON, rec.JSON)
		return nil
	}
	if receipt.Queued {
		status = http.StatusAccepted
	}
	c.record(status, rec)
	return nil
}

// filled gives the ops of a new proposal the versions that their writer sees now, where it names none.
func (l *collection) filled(c *call, b *knowledge.Batch, d knowledge.Document) error {
	p, ok := d.(*knowledge.Proposal)
	if !ok {
		return nil
	}
	sent := *b
	sent.Ops = []knowledge.Op{knowledge.Put(d, knowledge.AnyVersion)}
	var err error
	if b.Origin, err = sent.Fingerprint(); err != nil { // sent again, it is the same, whatever the versions are by then
		return err
	}
	return store.FillVersions(c.limited(), l.h.o.Store, p)
}
