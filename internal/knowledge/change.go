package knowledge

import (
	"crypto/sha256"
	"strconv"
)

// A Change is one row of the log: what one op did.
type Change struct {
	Seq     Seq
	Batch   BatchID // the zero id for a change made by hand in the database
	Verb    Verb    // put, retire, restore, archive or purge
	Key     Key
	Version int64
	Record  *Record // the document after it; nil for an archive or a purge, and where a purge has emptied it since
	Actor   string
	At      Time
	// EnteredBy and EnteredAt are set for a change that was entered under another name or time: by whom and when. If
	// no time was given, EnteredAt is At.
	EnteredBy string
	EnteredAt Time
	// Message is what the batch's writer said of it. It is outside of the chain, so that an erasure can rewrite it and
	// a purge of the document remove it.
	Message string
	Hash    [32]byte // SHA-256 of the document as its engine stored it; without one, see [RemovalHash]
	Chain   [32]byte // see [NextChain]
	// Erased is the pseudonym of the last erasure that rewrote the change; empty for none. Hash stays that of the
	// original document.
	Erased string
	// More is true when the next change belongs to the same transaction: they are applied together.
	More bool
}

// Size returns the bytes of the change's document.
func (c *Change) Size() int {
	if c.Record == nil {
		return 0
	}
	return len(c.Record.JSON)
}

// Entered reports whether the change was entered under another name or time.
func (c *Change) Entered() bool { return c.EnteredBy != "" }

// enteredForm is the number of the chain's form that includes who entered a change. The first form has no number.
const enteredForm = 2

// NextChain returns the chain value of a change. In form 1 it is the SHA-256 of the previous chain value (32 zero bytes
// for the first change), then seq, kind, id, version, verb and batch, each followed by a line feed, then the document's
// hash. Form 2 is for a change that was entered for somebody else: before the hash it adds the number 2, the actor, the
// time, who entered it and when, each followed by a line feed, times in microseconds since 1970.
func NextChain(prev [32]byte, c *Change) [32]byte {
	b := make([]byte, 0, 256)
	b = append(b, prev[:]...)
	b = strconv.AppendInt(b, int64(c.Seq), 10)
	b = append(b, '\n')
	b = append(append(b, c.Key.Kind...), '\n')
	b = append(append(b, c.Key.ID...), '\n')
	b = append(strconv.AppendInt(b, c.Version, 10), '\n')
	b = append(append(b, c.Verb...), '\n')
	b = append(append(b, c.Batch.String()...), '\n')
	if c.Entered() {
		b = append(strconv.AppendInt(b, enteredForm, 10), '\n')
		b = append(append(b, c.Actor...), '\n')
		b = append(strconv.AppendInt(b, c.At.UnixMicro(), 10), '\n')
		b = append(append(b, c.EnteredBy...), '\n')
		b = append(strconv.AppendInt(b, c.EnteredAt.UnixMicro(), 10), '\n')
	}
	b = append(b, c.Hash[:]...)
	return sha256.Sum256(b)
}

// RemovalHash returns the hash of a change without a document: of its verb, actor and time, which other changes have in
// the document.
func RemovalHash(verb Verb, actor string, at Time) [32]byte {
	b := append([]byte(verb+"\n"), actor...)
	return sha256.Sum256(strconv.AppendInt(append(b, '\n'), at.UnixMicro(), 10))
}

// Attested reports whether the hash of a change without a document matches its actor and time. For a purge by an older
// program, whose hash is that of nothing, old is true and nothing can be verified.
func (c *Change) Attested() (old, ok bool) {
	if !c.Verb.Removes() {
		return false, true
	}
	if c.Erased != "" {
		return false, true // the erasure binds the actor
	}
	old = c.Verb == VerbPurge && c.Hash == sha256.Sum256(nil)
	return old, old || c.Hash == RemovalHash(c.Verb, c.Actor, c.At)
}

// ChangeVerb returns the verb of the change from before to after; nil means no document.
func ChangeVerb(before, after Document) Verb {
	switch {
	case after == nil:
		return VerbPurge
	case before == nil || before.Active() == after.Active():
		return VerbPut
	case after.Active():
		return VerbRestore
	default:
		return VerbRetire
	}
}
