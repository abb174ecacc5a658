package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
)

// Kinds of entries of the audit.
const (
	AuditRefused    = "refused"    // a call that was not let through
	AuditCounted    = "counted"    // what came too often to be kept one by one
	AuditEntered    = "entered"    // a write under another's name or time, which was allowed
	AuditOverridden = "overridden" // a proposal that was applied without its approvals
	AuditProposed   = "proposed"   // a proposal that was made, and by which agent
	AuditRead       = "read"       // documents that were handed out
	AuditSignedIn   = "signed-in"  // the first call of a principal in a day, from one address through one door
	AuditErased     = "erased"     // the erasure of a person
	AuditTrimmed    = "trimmed"    // entries that retention has removed
)

// AuditKinds returns the kinds of entries.
func AuditKinds() []string {
	return []string{
		AuditRefused, AuditRead, AuditSignedIn, AuditEntered, AuditOverridden, AuditProposed, AuditCounted, AuditErased,
		AuditTrimmed,
	}
}

// An AuditEntry says who was refused, or who read what. What was written is in the log of changes.
type AuditEntry struct {
	Seq       int64          `json:"seq" doc:"Its number, from 1 without gaps; 0 while not stored" example:"42"`
	At        knowledge.Time `json:"at" doc:"When"`
	Kind      string         `json:"kind" doc:"What it tells of: a refused call, a read, the first call of a principal in a day from an address, a write under another's name or time, a proposal applied without its approvals, a proposal that was made, what was only counted, an erasure, entries that retention removed" enum:"refused,read,signed-in,entered,overridden,proposed,counted,erased,trimmed" example:"refused"`
	Actor     string         `json:"actor" doc:"The caller's id; empty if unknown" example:"ada"`
	Door      string         `json:"door" doc:"The door: rest, live, mcp or pages; empty if unknown" example:"rest"`
	Action    string         `json:"action" doc:"What was asked for: the verb of a write, what was read (get, list, search, history, changes, guidance, check, skills, follow, conflicts, audit, archive), a method of the store, authenticate, or request for a call that the HTTP API refused by itself" example:"put"`
	Key       string         `json:"key" doc:"The document, or the kind of a list; or empty" example:"rule/SEC-001"`
	Question  string         `json:"question" doc:"What a list, a search or guidance was asked for" example:"q=injection"`
	Count     int64          `json:"count" doc:"Documents handed out; else how many calls it tells of, 1 for most" example:"1"`
	Reason    string         `json:"reason" doc:"Why it was refused"`
	RequestID string         `json:"request_id" doc:"The request's id, to find it in the log"`
	Peer      string         `json:"peer" doc:"The remote address; empty if unknown" example:"192.0.2.7"`
	Hash      string         `json:"hash" doc:"The SHA-256 of the fields as they were added, in hex"`
	Chain     string         `json:"chain" doc:"The SHA-256 of the chain before, the number and the hash, in hex"`
	Erased    string         `json:"erased,omitempty" doc:"The pseudonym of a person who was erased from the entry since: the hash is of before"`
}

// maxAuditText bounds a text of an entry, in bytes.
const maxAuditText = 1024

// Trim shortens texts that are too long, and replaces bytes that no engine stores.
func (e *AuditEntry) Trim() {
	for _, text := range []*string{
		&e.Actor, &e.Door, &e.Action, &e.Key, &e.Question, &e.Reason, &e.RequestID,
		&e.Peer,
	} {
		if len(*text) > maxAuditText {
			*text = (*text)[:maxAuditText] + "…"
		}
		*text = strings.ReplaceAll(strings.ToValidUTF8(*text, "\uFFFD"), "\x00", "\uFFFD")
	}
}

// Size returns about how many bytes the entry takes in memory.
func (e *AuditEntry) Size() int {
	const fields = 300
	return fields + len(e.Actor) + len(e.Key) + len(e.Question) + len(e.Reason) + len(e.RequestID) + len(e.Peer)
}

// Digest returns the hash of the entry's fields, without its number. PostgreSQL makes the same one itself.
func (e *AuditEntry) Digest() [32]byte {
	return AuditDigest(strconv.FormatInt(e.At.UnixMicro(), 10), e.Kind, e.Actor, e.Door, e.Action, e.Key, e.Question,
		strconv.FormatInt(e.Count, 10),
		e.Reason, e.RequestID, e.Peer)
}

// AuditDigest returns the hash of fields, each with its length before it.
func AuditDigest(fields ...string) [32]byte {
	h := sha256.New()
	for _, f := range fields {
		_, _ = fmt.Fprintf(h, "%d:%s;", len(f), f)
	}
	return [32]byte(h.Sum(nil))
}

// AuditChain returns the chain value of an entry, from that of the one before it.
func AuditChain(before [32]byte, seq int64, hash [32]byte) [32]byte {
	return sha256.Sum256(append(strconv.AppendInt(before[:], seq, 10), append([]byte{'\n'}, hash[:]...)...))
}

// An AuditQuery narrows a list of entries, which begins with the newest. Zero values do not narrow it.
type AuditQuery struct {
	Below  int64          // only entries with a smaller seq: Seq of the last one seen
	Before knowledge.Time // only older ones
	Since  knowledge.Time // only those of this time or later
	Actor  string
	Kind   string
	Key    string // a document, or a kind for its lists
	Limit  int
}

// Admits reports whether the query lets an entry through that has no number yet.
func (q *AuditQuery) Admits(e *AuditEntry) bool {
	return (q.Before.IsZero() || e.At.Before(q.Before.Time)) && !e.At.Before(q.Since.Time) && (q.Actor == "" ||
		q.Actor == e.Actor) &&
		(q.Kind == "" || q.Kind == e.Kind) && (q.Key == "" || q.Key == e.Key)
}

// AuditAbout returns the key of the entries that are about what a text names, a document or the lists of a kind. The
// error says what would be right.
func AuditAbout(text string) (string, error) {
	if !strings.Contains(text, "/") {
		kind, err := knowledge.ParseKind(text)
		return string(kind), err
	}
	key, err := knowledge.ParseKey(text)
	return key.String(), err
}

// An AuditBook keeps the audit.
type AuditBook interface {
	// Add adds entries, in their order.
	Add(ctx context.Context, list ...AuditEntry) error
	// Entries returns entries, the newest first.
	Entries(ctx context.Context, q AuditQuery) ([]AuditEntry, error)
	// Verify checks the audit from the oldest entry that is kept to the newest, and returns where it ends. Progress is
	// called now and then; it may be nil. If something does not match, the error is a [*AuditError].
	Verify(ctx context.Context, progress func(done, last int64)) (AuditHead, error)
}

// An AuditError says where the audit does not verify.
type AuditError struct {
	Seq int64 // 0 where it is no single entry
	Why string
}

// Error says what does not match.
func (e *AuditError) Error() string {
	if e.Seq == 0 {
		return "the audit was changed past tenet: " + e.Why + "; compare with a backup"
	}
	return fmt.Sprintf("the audit was changed after it was written: entry %d: %s; compare with a backup", e.Seq, e.Why)
}

// An AuditHead is where the audit ends.
type AuditHead struct {
	Seq   int64
	Chain [32]byte
}

// String returns the head as text.
func (h AuditHead) String() string { return fmt.Sprintf("%d-%x", h.Seq, h.Chain) }

// An AuditVerifier checks entries in their order. The zero value is ready.
type AuditVerifier struct {
	first, last AuditEntry
	chain       [32]byte
	trimmed     AuditEntry            // the newest of its kind
	erasures    map[string]AuditEntry // the newest of each key
}

// Check checks an entry. Left is the hash that its newest erasure has left; nil for none.
func (v *AuditVerifier) Check(e *AuditEntry, left []byte) error {
	hash, bad := hex.DecodeString(e.Hash)
	chain, worse := hex.DecodeString(e.Chain)
	if bad != nil || worse != nil || len(hash) != sha256.Size || len(chain) != sha256.Size {
		return &AuditError{e.Seq, "it has no hash"}
	}
	if e.Erased == "" {
		left = hash
	}
	digest := e.Digest()
	switch before := v.last.Seq; {
	case before != 0 && e.Seq != before+1:
		return &AuditError{before + 1, "it is missing"}
	case string(left) != string(digest[:]):
		return &AuditError{e.Seq, "it is not as it was written"}
	case before != 0 || e.Seq == 1:
		if want := AuditChain(v.chain, e.Seq, [32]byte(hash)); string(want[:]) != string(chain) {
			return &AuditError{e.Seq, "it does not follow from the entry before it"}
		}
	}
	if v.first.Seq == 0 {
		v.first = *e
	}
	switch e.Kind {
	case AuditTrimmed:
		v.trimmed = *e
	case AuditErased:
		if v.erasures == nil {
			v.erasures = map[string]AuditEntry{}
		}
		v.erasures[e.Key] = *e
	}
	v.last, v.chain = *e, [32]byte(chain)
	return nil
}

// End checks that the entries reach from where retention has left them to the head, and that what each erasure has left
// is what its entry binds.
func (v *AuditVerifier) End(head AuditHead, erased map[string]*knowledge.ErasedRoot) error {
	switch {
	case v.last.Seq != head.Seq:
		return &AuditError{v.last.Seq + 1, fmt.Sprintf("it is missing: %d is the last", head.Seq)}
	case v.chain != head.Chain:
		return &AuditError{0, "its head is not that of the last entry"}
	}
	if v.first.Seq > 1 {
		cut, err := hex.DecodeString(v.trimmed.Question)
		if err != nil || len(cut) != sha256.Size || v.trimmed.Count != v.first.Seq-1 {
			return &AuditError{v.first.Seq - 1, "it is missing, and no retention has removed it"}
		}
		hash, err := hex.DecodeString(v.first.Hash)
		if want := AuditChain([32]byte(cut), v.first.Seq, [32]byte(hash)); err != nil ||
			hex.EncodeToString(want[:]) != v.first.Chain {
			return &AuditError{v.first.Seq, "it does not follow from what retention has removed"}
		}
	}
	for pseudonym, sum := range erased {
		told := v.erasures["principal/"+pseudonym]
		if told.Count != sum.Rows || told.Question != sum.Text() {
			return &AuditError{0, fmt.Sprintf(
				"the list of what the erasure %s has rewritten is not the one that it was made with", pseudonym)}
		}
	}
	return nil
}
