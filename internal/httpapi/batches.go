package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Modes of a batch.
const (
	modeAtomic     = "atomic"
	modeBestEffort = "best_effort"
)

// batchRequest is the body of POST /batches.
type batchRequest struct {
	ID      *uuid.UUID      `json:"id,omitempty" doc:"The batch's id; sent again, nothing is done twice" format:"uuid"`
	Mode    string          `json:"mode,omitempty" doc:"Whether all ops happen or none, or each for itself" enum:"atomic,best_effort" default:"atomic"`
	Actor   string          `json:"actor,omitempty" doc:"Who wrote; only admins write for others" maxLength:"255"`
	At      *knowledge.Time `json:"at,omitempty" doc:"When it was written, for a restore; default: now"`
	Message string          `json:"message,omitempty" doc:"Why: one line that the history shows beside each change. It may also be given as the parameter of that name" maxLength:"500"`
	Ops     []batchOp       `json:"ops" doc:"What to do, each document once" minItems:"1" maxItems:"2000"`
}

// batchOp is one op of a batch.
type batchOp struct {
	Verb      knowledge.Verb  `json:"verb" doc:"What to do" enum:"put,patch,retire,restore,purge"`
	Kind      knowledge.Kind  `json:"kind" doc:"The document's kind"`
	ID        string          `json:"id,omitempty" doc:"The document's id; that of the document when left out"`
	IfVersion int64           `json:"if_version,omitempty" doc:"The version that the writer saw; 0 for any, -1 for none. Of a document whose ETag is the id of a batch it is only promised: give if_batch in its place" minimum:"-1"`
	IfMatch   string          `json:"if_match,omitempty" doc:"In place of if_version: the ETag of what the writer saw, in quotes, which names one text also after a restore" example:"\"3-9f86d081884c\""`
	IfBatch   *uuid.UUID      `json:"if_batch,omitempty" doc:"In place of if_version: the batch that left what the writer saw, which is the ETag of a document that waits for the primary" format:"uuid"`
	Document  json.RawMessage `json:"document,omitempty" doc:"For a put: the whole document"`
	Patch     json.RawMessage `json:"patch,omitempty" doc:"For a patch: a merge patch (RFC 7396)"`
}

// batchAnswer is the result of a batch.
type batchAnswer struct {
	ID      uuid.UUID         `json:"id" doc:"The batch's id" format:"uuid"`
	State   string            `json:"state" doc:"Whether it is done, or waits for the primary" enum:"applied,queued"`
	Seq     knowledge.Seq     `json:"seq,omitempty" doc:"The seq of its last change, once applied"`
	Results []api.BatchResult `json:"results" doc:"What became of each op, in their order"`
	Failed  *int              `json:"failed,omitempty" doc:"With best_effort: how many ops were refused"`
	DryRun  bool              `json:"dry_run,omitempty" doc:"True for a trial: the rest is what it would be"`
	// Unchanged is left out where something was written.
	Unchanged bool `json:"unchanged,omitempty" doc:"True where every document is as the batch would leave it: nothing was written, and seq is that of their last change"`
	// Notes are left out where there are none.
	Notes []knowledge.Note `json:"notes,omitempty" doc:"What the writer may not have meant, such as names of documents that are not there: no faults, since these may come later. A large batch may have more than are found"`
}

func batchRoutes(h *Handler) []*route {
	return []*route{
		{
			method: http.MethodPost, path: batchesPath, id: "apply-batch", tag: "batches",
			summary: "Change many documents at once",
			description: "An atomic batch happens as a whole or not at all. With best_effort every op is a batch of " +
				"its own, whose id " +
				"follows from the batch's id and the op's index, and is refused for itself: the answer is then 200 " +
				"with the number " +
				"of those that failed. A batch with an id that was used before is not done again and gets the same " +
				"answer; the " +
				"same id with other content is refused. 202 says that the batch is safe on disk and waits for the " +
				"primary. With dry_run " +
				"nothing is written, and the answer says dry_run and what it would be. notes name what the writer " +
				"may not have meant.",
			handler: with(applyBatch), limit: h.o.Limits.MaxBatchBody,
			body: &payload{media: mediaJSON, body: typeOf[batchRequest](), samples: exampleBatches()},
			answers: []answer{
				jsonAnswer[batchAnswer](http.StatusOK, "What the batch did", exampleBatchAnswer(), "Tenet-Batch",
					"Tenet-Seq", dryHeader, unchangedHeader),
				jsonAnswer[batchAnswer](http.StatusAccepted, "The batch waits for the primary", exampleQueuedBatch(),
					"Tenet-Batch", "Link"),
			},
			refusals: []int{
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
				http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
		{
			method: http.MethodGet, path: batchesPath + "/{id}", id: "get-batch", tag: "batches",
			summary: "Ask where a batch stands",
			description: "A batch that was answered with 202 ends as applied or as parked: a parked one did not fit " +
				"any more when the " +
				"primary came back, and waits for a person.",
			handler: with(batchStatus),
			answers: []answer{jsonAnswer[knowledge.BatchStatus](http.StatusOK, "Where the batch stands",
				exampleBatchStatus())},
			refusals: []int{http.StatusNotFound},
			sample:   exampleBatchID,
		},
	}
}

// A parsedBatch is a batch as it was sent: its decoded ops, each with its faults.
type parsedBatch struct {
	batch      knowledge.Batch
	bestEffort bool
	tags       []string    // of each op: its if_match, "" for none
	faults     []faultList // of each op
}

// opConditions returns what reads the tags of a batch's ops.
func opConditions(c *call) *api.Precondition {
	return &api.Precondition{Store: c.h.o.Store, Fresh: c.h.o.Fresh}
}

type batchParams struct{ writeHeaders }

func applyBatch(c *call, params *batchParams) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth+4); err != nil {
		return err
	}
	p, err := parseBatch(c, raw, params.saidParams)
	if err != nil {
		return err
	}
	if p.bestEffort {
		return applyEach(c, p)
	}
	var f faultList
	for i := range p.faults {
		f = append(f, p.faults[i]...)
	}
	if err := f.err(false); err != nil {
		return err
	}
	cond := opConditions(c)
	if err := cond.ReadOps(c.limited(), &p.batch, p.tags); err != nil {
		return err
	}
	receipt, err := c.h.o.Store.Apply(c.limited(), p.batch)
	if err != nil {
		return cond.Explain(err)
	}
	setBatchHeaders(c, p.batch.ID, &receipt)
	a := batchAnswer{ID: p.batch.ID, State: stateOf(&receipt), Seq: receipt.Seq, Results: make([]api.BatchResult,
		len(p.batch.Ops)), DryRun: receipt.Dry, Unchanged: receipt.Unchanged}
	for i := range p.batch.Ops {
		a.Results[i] = resultOf(&p.batch.Ops[i])
		if i < len(receipt.Records) {
			setRecord(&a.Results[i], receipt.Records[i])
		}
		a.Results[i].Unchanged = receipt.Left(i)
	}
	a.Notes = notesOf(c, p.batch.Ops, receipt.Records)
	return c.json(statusOf(&receipt), &a)
}

func resultOf(op *knowledge.Op) api.BatchResult {
	return api.BatchResult{Kind: op.Key.Kind, ID: op.Key.ID, Verb: op.Verb}
}

// setRecord adds the document that an op left behind.
func setRecord(r *api.BatchResult, rec *knowledge.Record) {
	if rec != nil {
		r.Version, r.ETag, r.Document = rec.Version, api.ETag(rec), rec.JSON
	}
}

func stateOf(r *knowledge.Receipt) string {
	if r.Queued {
		return knowledge.BatchQueued
	}
	return knowledge.BatchApplied
}

func statusOf(r *knowledge.Receipt) int {
	if r.Queued {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// applyEach does every op as a batch of its own.
func applyEach(c *call, p *parsedBatch) error {
	failed := 0
	all := knowledge.Receipt{Dry: p.batch.Dry}
	a := batchAnswer{ID: p.batch.ID, Results: make([]api.BatchResult, len(p.batch.Ops)), Failed: &failed}
	records := make([]*knowledge.Record, len(p.batch.Ops))
	var stopped error // what makes it pointless to go on
	for i := range p.batch.Ops {
		op := &p.batch.Ops[i]
		id := uuid.NewSHA1(p.batch.ID, []byte(strconv.Itoa(i)))
		r := resultOf(op)
		r.Batch = &id
		receipt, err := applyOne(c, p, i, id, stopped)
		if err != nil {
			if errors.Is(err, store.ErrUnavailable) || c.ctx.Err() != nil {
				stopped = notTried(err)
			}
			r.Error = api.ProblemOf(err)
			failed++
		} else {
			if len(receipt.Records) > 0 {
				records[i] = receipt.Records[0]
				setRecord(&r, records[i])
			}
			r.State, r.Unchanged = stateOf(&receipt), receipt.Unchanged
			all.Queued = all.Queued || receipt.Queued
			all.Seq = max(all.Seq, receipt.Seq)
		}
		a.Results[i] = r
	}
	if c.r.Context().Err() != nil {
		return c.r.Context().Err()
	}
	setBatchHeaders(c, p.batch.ID, &all)
	a.State, a.Seq, a.DryRun = stateOf(&all), all.Seq, all.Dry
	a.Notes = notesOf(c, p.batch.Ops, records)
	return c.json(statusOf(&all), &a)
}

func applyOne(
	c *call, p *parsedBatch, i int, id knowledge.BatchID, stopped error,
) (knowledge.Receipt, error) {
	if err := p.faults[i].err(false); err != nil {
		return knowledge.Receipt{}, asSingle(belowFirst(err, i))
	}
	if stopped != nil {
		return knowledge.Receipt{}, stopped
	}
	b := p.batch
	b.ID, b.Ops = id, p.batch.Ops[i:i+1]
	cond := opConditions(c)
	if err := cond.ReadOps(c.limited(), &b, p.tags[i:i+1]); err != nil {
		return knowledge.Receipt{}, err
	}
	receipt, err := c.h.o.Store.Apply(c.limited(), b)
	if err != nil {
		return receipt, asSingle(cond.Explain(err))
	}
	return receipt, nil
}

// notTried is the error of the ops after one that could not reach the store.
func notTried(err error) error {
	e := &store.UnavailableError{
		Reason:  "an op before this one found the store away: send the batch again",
		NotDone: true,
	}
	if cause, ok := errors.AsType[*store.UnavailableError](err); ok {
		e.RetryAfter, e.Halt, e.ReadOnly = cause.RetryAfter, cause.Halt, cause.ReadOnly
	}
	return e
}

// parseBatch reads the members of a batch. The error is about the batch itself; what is wrong with its ops is noted
// beside them.
func parseBatch(c *call, raw []byte, said saidParams) (*parsedBatch, error) {
	batch, err := newBatch(c, said)
	if err != nil {
		return nil, err
	}
	p := &parsedBatch{batch: batch}
	var f faultList
	members := f.object("", raw, "id", "mode", "actor", "at", "message", "ops")
	if members == nil {
		return nil, f.err(false)
	}
	var id, mode, actor string
	var ops []json.RawMessage
	f.member("/id", members["id"], &id, "a UUID")
	f.member("/mode", members["mode"], &mode, "atomic or best_effort")
	f.member("/actor", members["actor"], &actor, "a name")
	f.member("/message", members["message"], &p.batch.Message, "a text of one line")
	f.member("/at", members["at"], &p.batch.At, "a time such as 2026-01-31T12:00:00Z")
	f.member("/ops", members["ops"], &ops, "an array")
	batchID(c, &f, p, id)
	switch mode {
	case "", modeAtomic:
	case modeBestEffort:
		p.bestEffort = true
	default:
		f.add("/mode", "%q: want atomic or best_effort", mode)
	}
	if actor != "" {
		p.batch.Actor = actor
	}
	if len(ops) == 0 || len(ops) > knowledge.MaxBatchOps {
		f.add("/ops", "%d ops: want 1 to %d", len(ops), knowledge.MaxBatchOps)
	}
	if p.bestEffort && len(f) > 0 {
		return nil, f.err(false)
	}
	if len(ops) <= knowledge.MaxBatchOps {
		p.decodeOps(ops)
	}
	if len(f) > 0 {
		for i := range p.faults {
			f = append(f, p.faults[i]...)
		}
		return nil, f.err(false)
	}
	return p, nil
}

// batchID takes the id that the body gives, which must be that of the Idempotency-Key where there is one.
func batchID(c *call, f *faultList, p *parsedBatch, text string) {
	if text == "" {
		return
	}
	id, err := uuid.Parse(text)
	switch {
	case err != nil || len(text) != 36 || id == uuid.Nil:
		f.add("/id", "%q: want a UUID", text)
	case len(c.r.Header["Idempotency-Key"]) > 0 && id != p.batch.ID:
		f.add("/id", "another one than the Idempotency-Key gives: give one of them")
	default:
		p.batch.ID = id
	}
}

func (p *parsedBatch) decodeOps(ops []json.RawMessage) {
	p.batch.Ops = make([]knowledge.Op, len(ops))
	p.faults, p.tags = make([]faultList, len(ops)), make([]string, len(ops))
	for i, raw := range ops {
		pointer := "/ops/" + strconv.Itoa(i)
		raw, p.tags[i], p.faults[i] = cutTag(pointer, raw)
		var more faultList
		p.batch.Ops[i], more = decodeOp(pointer, raw)
		p.faults[i] = append(p.faults[i], more...)
	}
}

// cutTag takes the if_match out of an op, which is this door's to read.
func cutTag(pointer string, raw []byte) (rest []byte, tag string, f faultList) {
	if !bytes.Contains(raw, []byte(`"if_match"`)) {
		return raw, "", nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members["if_match"] == nil {
		return raw, "", nil // what is wrong with it, decodeOp says
	}
	f.member(pointer+"/if_match", members["if_match"], &tag, "an ETag in quotes")
	if len(f) == 0 && !api.IsTag(tag) {
		f.add(pointer+"/if_match", "%q: want one ETag in quotes, as in \"3-9f86d081884c\"", tag)
	}
	if members["if_version"] != nil || members["if_batch"] != nil {
		f.add(pointer+"/if_match", "stands beside if_version or if_batch: give one of them")
	}
	delete(members, "if_match")
	rest, err := json.Marshal(members)
	if err != nil {
		f.add(pointer, "%s", err)
		return raw, "", f
	}
	return rest, tag, f
}

// decodeOp reads an op. Of a faulty one it also returns the parts that could be read.
func decodeOp(pointer string, raw []byte) (knowledge.Op, faultList) {
	var f faultList
	var shape struct {
		verb, kind, id string
		version        int64
	}
	members := f.object(pointer, raw, "verb", "kind", "id", "if_version", "if_batch", "document", "patch")
	f.member(pointer+"/verb", members["verb"], &shape.verb, "put, patch, retire, restore, archive or purge")
	f.member(pointer+"/kind", members["kind"], &shape.kind,
		"rule, practice, template, category, violation or principal")
	f.member(pointer+"/id", members["id"], &shape.id, "an id")
	f.member(pointer+"/if_version", members["if_version"], &shape.version, "a version, 0 for any, or -1 for none")
	broken := knowledge.Op{Verb: knowledge.Verb(shape.verb), Key: knowledge.Key{
		Kind: knowledge.Kind(shape.kind),
		ID:   shape.id,
	}}
	if len(f) > 0 {
		return broken, f
	}
	if string(bytes.TrimSpace(members["document"])) == "null" {
		f.add(pointer+"/document", "null: want a document, or leave it out")
		return broken, f
	}
	op, err := knowledge.DecodeOp(raw)
	if err != nil {
		if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
			return broken, append(f, invalid.Below(pointer).Faults...)
		}
		f.add(pointer, "%s", err)
		return broken, f
	}
	return op, f
}

type batchStatusParams struct {
	ID string `path:"id" doc:"The batch's id" format:"uuid"`
}

func batchStatus(c *call, _ *batchStatusParams) error {
	text := c.r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return knowledge.BadQuery("id", "%q: want the UUID of a batch", text)
	}
	s, err := c.h.o.Batches.Batch(c.limited(), id)
	if errors.Is(err, store.ErrNotFound) && c.h.o.Found != nil {
		seq, there, failed := c.h.o.Found(c.limited(), id)
		if failed != nil {
			return failed
		}
		if there {
			s, err = knowledge.BatchStatus{ID: id, State: knowledge.BatchApplied, Seq: seq}, nil
		}
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, s)
}

func exampleBatches() []sample {
	raw := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // examples are constants
		}
		return b
	}
	ops := []batchOp{
		{
			Verb: knowledge.VerbPut, Kind: knowledge.KindCategory,
			Document: raw(leastFields(anotherExample(knowledge.KindCategory, 4))),
		},
		{
			Verb: knowledge.VerbPatch, Kind: knowledge.KindRule, ID: "SEC-001", IfVersion: 1,
			Patch: raw(map[string]any{"priority": 95}),
		},
	}
	return []sample{
		{"atomic", "Both or neither", batchRequest{Mode: modeAtomic, Ops: ops}},
		{"best_effort", "Each for itself", batchRequest{Mode: modeBestEffort, Ops: append(ops, batchOp{
			Verb: knowledge.VerbRetire, Kind: knowledge.KindPractice, ID: "there-is-none",
		})}},
	}
}

func exampleBatchAnswer() any {
	return batchAnswer{
		ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchApplied, Seq: 43,
		Results: []api.BatchResult{exampleResult()},
	}
}

func exampleQueuedBatch() any {
	return batchAnswer{
		ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchQueued,
		Results: []api.BatchResult{exampleResult()},
	}
}

func exampleResult() api.BatchResult {
	r, err := knowledge.NewRecord(exampleStored(knowledge.KindCategory))
	if err != nil {
		panic(err) // examples are constants
	}
	return api.BatchResult{
		Kind: r.Key.Kind, ID: r.Key.ID, Verb: knowledge.VerbPut, Version: r.Version,
		Document: r.JSON,
	}
}

func exampleBatchStatus() any {
	return knowledge.BatchStatus{ID: uuid.MustParse(exampleBatchID), State: knowledge.BatchApplied, Seq: 43}
}

// batchLog returns the state of a batch from the log of changes alone: a batch in the log was applied.
type batchLog struct{ feed store.Feed }

// Batch implements [BatchTeller].
func (l batchLog) Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error) {
	changes, err := l.feed.Changes(ctx, knowledge.ChangeQuery{Batch: id, Newest: true, Limit: 1})
	if err != nil {
		return knowledge.BatchStatus{}, err
	}
	if len(changes) == 0 {
		return knowledge.BatchStatus{}, api.Refuse(store.ErrNotFound, "no batch %s is known", id)
	}
	return knowledge.BatchStatus{ID: id, State: knowledge.BatchApplied, Seq: changes[0].Seq}, nil
}
