package knowledge

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// A BatchID identifies a batch. A store accepts each id once, so a retry is harmless.
type BatchID = uuid.UUID

// NewBatchID returns a new id, a version 7 UUID.
func NewBatchID() BatchID { return uuid.Must(uuid.NewV7()) }

// A Verb says what an op does or, in a [Change], what it did.
type Verb string

// Verbs. A change never has the verb patch: its result is a put.
const (
	VerbPut     Verb = "put"     // write the whole document
	VerbPatch   Verb = "patch"   // merge into the document (RFC 7396)
	VerbRetire  Verb = "retire"  // clear the active flag
	VerbRestore Verb = "restore" // set it again
	VerbArchive Verb = "archive" // move a retired document to the archive, from which a restore brings it back
	VerbPurge   Verb = "purge"   // remove the document, and its texts from the log
)

// Removes reports whether a verb takes the document from lists and searches altogether, so that its change has none.
func (v Verb) Removes() bool { return v == VerbArchive || v == VerbPurge }

// MaxBatchOps is the largest number of ops in a batch. Other writers wait while its changes are written to the log.
const MaxBatchOps = 2000

// A Seq is the number of a change in the log, from 1, without gaps.
type Seq int64

// Conditions of an op besides a version that must match.
const (
	// AnyVersion writes whatever the current version is.
	AnyVersion int64 = 0
	// NoVersion writes only if there is no such document.
	NoVersion int64 = -1
	// NeverVersion is a version that no document reaches. An op with it is refused, unless its batch was applied
	// before. A door uses it when it sees that a condition does not hold, so that the store still checks for a retry
	// first.
	NeverVersion int64 = math.MaxInt64
)

// A Batch is a list of ops of which all are applied or none.
type Batch struct {
	ID    BatchID
	Actor string // who writes; the doors set it from the caller
	// At is the time of the ops, zero for now. Only a restore from an export sets it.
	At  Time
	Ops []Op
	// EnteredBy is the caller, if that is not the actor or if At is set; else empty. The doors set it, and the log
	// keeps it.
	EnteredBy string
	// Message says why, in one line of at most [MaxMessage] characters; empty for nothing said. The log keeps it beside
	// each change. It is no part of the batch's content: a retry with another message is still the same batch.
	Message string
	// Invalid accepts documents with faults, from an export of a database that contained them. Only an import into a
	// database that it has opened itself sets it; no request can.
	Invalid bool
	// Dry asks whether the batch would be taken: it is judged and applied as any other, and then taken back, so that
	// nothing is written and its id stays free.
	Dry bool
	// Found is set of a batch that leaves every document as it is: for each op the seq of the change that left its
	// document so, 0 if the log no longer has it. Of such a batch only the id is kept, with these. The store that finds
	// it out sets it, package unchanged; no request can.
	Found []Seq
	// Same is set of a batch that leaves some of its documents as they are: those documents, nil for the others. The op
	// of one that is still at that version makes no version of it; its condition holds until the batch is written. The
	// store that finds it out sets it, package unchanged; no request can.
	Same []*Record
	// Origin is the fingerprint of the batch as its writer sent it, if a door or a replay has filled in conditions
	// since; else zero. With it a retry by the writer finds its batch.
	Origin [32]byte
}

// An Op changes one document. A batch has at most one op for each key.
type Op struct {
	Verb  Verb
	Key   Key
	Doc   Document        // for a put, normalized
	Patch json.RawMessage // for a patch
	// IfVersion is the version that the writer saw: a positive number, [AnyVersion] or [NoVersion].
	IfVersion int64
	// IfBatch is the batch that wrote what the writer saw, if that batch waited in the journal: its version was only
	// promised, and a promise is never compared with a real version. Zero for none. It is allowed with [AnyVersion]
	// only.
	IfBatch BatchID
}

// Kept returns the document that op i leaves as it is; nil for an op that does something.
func (b *Batch) Kept(i int) *Record {
	if i < len(b.Same) {
		return b.Same[i]
	}
	return nil
}

// Put returns the op that writes d.
func Put(d Document, ifVersion int64) Op {
	return Op{Verb: VerbPut, Key: d.Key(), Doc: d, IfVersion: ifVersion}
}

// A Receipt is the result of a batch.
type Receipt struct {
	Batch BatchID
	Seq   Seq // of the batch's last change; 0 while it is queued, and after a dry run
	// Records holds the resulting record of each op, nil for an archive or a purge.
	Records []*Record
	// Queued is true when the batch is on disk in the journal and not yet at the primary.
	Queued bool
	// Dry is true when the batch was only tried: the records are those that it would leave behind.
	Dry bool
	// Unchanged is true when the batch leaves every document as it was: nothing was written, the records are those that
	// were there, and Seq is that of the last change of them.
	Unchanged bool
	// Kept says for each op whether it left its document as it was, where others of the batch changed theirs; else nil.
	Kept []bool
}

// Left reports whether op i left its document as it was.
func (r *Receipt) Left(i int) bool { return r.Unchanged || i < len(r.Kept) && r.Kept[i] }

// Keep notes that op i left its document as it was, which is rec; nil for one that is not known.
func (r *Receipt) Keep(i int, rec *Record) {
	if r.Kept == nil {
		r.Kept = make([]bool, len(r.Records))
	}
	r.Kept[i] = true
	if rec != nil {
		r.Records[i] = rec.From(SourcePrimary)
	}
}

// Validate returns nil or an [*InvalidError] with every fault of the batch and of the documents in it, pointers below
// /ops/N.
func (b *Batch) Validate() error {
	var f faults
	if b.ID == (BatchID{}) {
		f.add("/id", "missing: want a UUID")
	}
	if len(b.Ops) == 0 || len(b.Ops) > MaxBatchOps {
		f.add("/ops", "%d ops: want 1 to %d", len(b.Ops), MaxBatchOps)
		return f.err()
	}
	if len(b.Actor) == 0 || len(b.Actor) > MaxTitle || TextFault(b.Actor) != "" {
		f.add("/actor", "want a name of 1 to %d characters", MaxTitle)
	}
	if b.EnteredBy != "" && (len(b.EnteredBy) > MaxTitle || TextFault(b.EnteredBy) != "") {
		f.add("/entered_by", "want a name of 1 to %d characters", MaxTitle)
	}
	f.time("/at", b.At)
	f.message("/message", b.Message)
	seen := make(map[Key]int, len(b.Ops))
	for i := range b.Ops {
		op, p := &b.Ops[i], at("/ops", i)
		if first, ok := seen[op.Key]; ok {
			f.add(p, "%s stands in op %d already: a key stands once in a batch", op.Key, first)
		}
		seen[op.Key] = i
		f.op(p, op, b.Invalid)
	}
	return f.err()
}

// MaxMessage is the largest number of characters of a batch's message.
const MaxMessage = 500

// message checks what a writer says of a batch.
func (f *faults) message(pointer, text string) {
	switch n := utf8.RuneCountInString(text); {
	case n > MaxMessage:
		f.add(pointer, "%d characters: at most %d fit", n, MaxMessage)
	case strings.ContainsAny(text, lineBreaks+"\t"):
		f.add(pointer, "has a line break or a tab: want one line")
	default:
		f.text(pointer, text)
	}
}

// MessageOf makes a message of a longer text: its first line, cut where it is too long.
func MessageOf(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.Join(strings.Fields(line), " ")
	if r := []rune(line); len(r) > MaxMessage {
		return string(r[:MaxMessage-1]) + "…"
	}
	return line
}

func (f *faults) op(p string, op *Op, invalid bool) {
	if New(op.Key.Kind) == nil {
		f.add(p+"/kind", "no kind %q", op.Key.Kind)
		return
	}
	if op.IfVersion < NoVersion {
		f.add(p+"/if_version", "%d: want a version, 0 for any, or -1 for none", op.IfVersion)
	}
	if op.IfBatch != (BatchID{}) && op.IfVersion != AnyVersion {
		f.add(p+"/if_batch", "stands beside if_version: give the batch of a document that waits, else the version")
	}
	switch op.Verb {
	case VerbPut:
		switch {
		case op.Doc == nil:
			f.add(p+"/document", "missing: a put needs a document")
		case op.Doc.Key() != op.Key:
			f.add(p+"/id", "%s, but the document is %s", op.Key, op.Doc.Key())
		default:
			if !invalid {
				f.below(p+"/document", op.Doc.Validate())
			}
			f.erasure(p, op)
		}
	case VerbPatch:
		f.id(p+"/id", op.Key.ID)
		if op.IfVersion == NoVersion {
			f.add(p+"/if_version", "a patch needs a document to merge into")
		}
		f.below(p+"/patch", CheckJSON(op.Patch))
	case VerbRetire, VerbRestore, VerbArchive, VerbPurge:
		if op.Verb == VerbArchive && Describe(op.Key.Kind).Stays {
			f.add(p+"/verb", "a %s is never archived, since others name it for ever", op.Key.Kind)
		}
		f.id(p+"/id", op.Key.ID)
		if op.IfVersion == NoVersion {
			f.add(p+"/if_version", "a %s needs a document", op.Verb)
		}
	default:
		f.add(p+"/verb", "%q: want put, patch, retire, restore, archive or purge", op.Verb)
	}
}

// erasure adds a fault for an op that writes a field that only an erasure may write.
func (f *faults) erasure(p string, op *Op) {
	if d, ok := op.Doc.(*Principal); ok && d.Erasure != nil {
		f.add(p+"/document/erasure", "is written by an erasure alone: see tenet erase")
	}
}

// Next returns the resulting document of an op; nil for an archive or a purge. Current is the stored document: nil only
// for a put. The engine sets the stamps. The error is an [*InvalidError] without a prefix.
func (o *Op) Next(current Document) (Document, error) {
	switch o.Verb {
	case VerbPut:
		return o.Doc, nil
	case VerbPatch:
		b, err := Canonical(current)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", o.Key, err)
		}
		if b, err = MergePatch(b, o.Patch); err != nil {
			return nil, err
		}
		next, err := decode(o.Key.Kind, b)
		if err != nil {
			return nil, err
		}
		if next.Key() != o.Key {
			return nil, Invalid("/"+o.Key.Kind.IDField(), "a patch can't rename %s", o.Key)
		}
		return next, next.Validate()
	case VerbRetire, VerbRestore:
		next, err := Clone(current)
		if err != nil {
			return nil, err
		}
		next.SetActive(o.Verb == VerbRestore)
		return next, nil
	case VerbArchive:
		if current.Active() {
			return nil, Invalid("/verb", "%s is active: retire it first", o.Key)
		}
		return nil, nil // the archive has it
	case VerbPurge:
		return nil, nil // a purge has no document, which is no error
	}
	return nil, Invalid("/verb", "%q: want put, patch, retire, restore, archive or purge", o.Verb)
}

// Clone returns a deep copy of a document.
func Clone(d Document) (Document, error) {
	b, err := Canonical(d)
	if err != nil {
		return nil, fmt.Errorf("copy %s: %w", d.Key(), err)
	}
	return DecodeStored(d.Key().Kind, b)
}

// StampNext sets the stamps of a change's resulting document: actor, time, and the version after that of before. If
// there was no document before is nil, and lastVersion is the version of an earlier, purged one, or 0.
func StampNext(next, before Document, lastVersion int64, actor string, now Time) {
	s := next.Stamps()
	s.UpdatedBy, s.UpdatedAt = actor, now
	if before != nil {
		b := before.Stamps()
		s.CreatedBy, s.CreatedAt, s.Version = b.CreatedBy, b.CreatedAt, b.Version+1
	} else {
		s.CreatedBy, s.CreatedAt, s.Version = actor, now, lastVersion+1
	}
	if own, ok := next.(stamper); ok {
		own.stamped(actor, now)
	}
}

// A stamper has additional fields that the store sets when it stamps a document.
type stamper interface{ stamped(actor string, now Time) }

// StampsMore reports whether the store sets more than the stamps of a document.
func StampsMore(d Document) bool {
	_, ok := d.(stamper)
	return ok
}

// jsonOp is the JSON form of an op.
type jsonOp struct {
	Verb      Verb            `json:"verb"`
	Kind      string          `json:"kind"`
	ID        string          `json:"id"`
	IfVersion int64           `json:"if_version,omitempty"`
	IfBatch   *BatchID        `json:"if_batch,omitempty"`
	Document  json.RawMessage `json:"document,omitempty"`
	Patch     json.RawMessage `json:"patch,omitempty"`
}

// MarshalJSON writes the op with its document in canonical form.
func (o Op) MarshalJSON() ([]byte, error) {
	j := jsonOp{Verb: o.Verb, Kind: string(o.Key.Kind), ID: o.Key.ID, IfVersion: o.IfVersion, Patch: o.Patch}
	if o.IfBatch != (BatchID{}) {
		j.IfBatch = &o.IfBatch
	}
	if o.Doc != nil {
		var err error
		if j.Document, err = Canonical(o.Doc); err != nil {
			return nil, err
		}
	}
	return json.Marshal(j)
}

// DecodeOp decodes an op that a caller sent, the document by [Decode]. The error is an [*InvalidError] with every fault
// of form. An unknown field is a fault, since a misspelt condition must not be ignored.
func DecodeOp(data []byte) (Op, error) {
	if !json.Valid(data) { // its document and patch have their own bounds
		return Op{}, Invalid("", "not JSON")
	}
	var j jsonOp
	var f faults
	f.decode("", data, reflect.ValueOf(&j).Elem())
	kind, err := ParseKind(j.Kind)
	if err != nil && f.err() == nil {
		f.add("/kind", "%s", err)
	}
	op := Op{Verb: j.Verb, Key: Key{kind, j.ID}, IfVersion: j.IfVersion, Patch: j.Patch}
	if j.IfBatch != nil {
		op.IfBatch = *j.IfBatch
		if op.IfBatch == (BatchID{}) {
			f.add("/if_batch", "want the id of a batch, or leave it out")
		}
	}
	if err == nil && len(j.Document) > 0 {
		if op.Doc, err = Decode(kind, j.Document); err != nil {
			f.below("/document", err)
		} else if j.ID == "" {
			op.Key = op.Doc.Key()
		}
	}
	if err := f.err(); err != nil {
		return Op{}, err
	}
	return op, nil
}

// Fingerprint returns the SHA-256 of the content of the batch, so that its id can't be used for other content.
func (b *Batch) Fingerprint() ([32]byte, error) {
	if b.Origin != ([32]byte{}) {
		return b.Origin, nil
	}
	data, err := json.Marshal(struct {
		Actor string `json:"actor"`
		Ops   []Op   `json:"ops"`
	}{b.Actor, b.Ops})
	if err != nil {
		return [32]byte{}, fmt.Errorf("encode batch %s: %w", b.ID, err)
	}
	return sha256.Sum256(data), nil
}

// ReceiptOf rebuilds a batch's receipt from its changes in the log; it is empty if the log has none of them.
func ReceiptOf(b *Batch, changes []Change) Receipt {
	if len(changes) == 0 {
		return Receipt{}
	}
	receipt := Receipt{Batch: b.ID, Records: make([]*Record, len(b.Ops))}
	at := make(map[Key]*Record, len(changes))
	for i := range changes {
		at[changes[i].Key] = changes[i].Record
		receipt.Seq = max(receipt.Seq, changes[i].Seq)
	}
	for i := range b.Ops {
		rec, changed := at[b.Ops[i].Key]
		if receipt.Records[i] = rec; !changed {
			receipt.Keep(i, nil)
		}
	}
	return receipt
}

// FoundReceipt returns the receipt of a batch that changed nothing, from the changes that it found. A record is nil if
// the log no longer has it.
func FoundReceipt(b *Batch, found []Change) Receipt {
	receipt := ReceiptOf(b, found)
	receipt.Batch, receipt.Unchanged, receipt.Kept = b.ID, true, nil
	if receipt.Records == nil {
		receipt.Records = make([]*Record, len(b.Ops))
	}
	return receipt
}

// LastOf returns the last of some seqs, 0 for none.
func LastOf(seqs []Seq) Seq {
	var last Seq
	for _, seq := range seqs {
		last = max(last, seq)
	}
	return last
}
