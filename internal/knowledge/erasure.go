package knowledge

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An Erasure identifies a person who was replaced by a pseudonym. It is part of the principal whose id is the
// pseudonym, and never contains a name: a store finds the person by comparing hashes.
type Erasure struct {
	Salt string `json:"salt" doc:"Random bytes, in hex; each hash is the SHA-256 of them and a text"`
	ID   string `json:"id" doc:"Hash of the person's id"`
	// Names may be empty.
	Names []string `json:"names" doc:"Hashes of the names that stood for the person besides the id"`
	Rows  int64    `json:"rows" doc:"How many changes of the log were rewritten"`
	Root  string   `json:"root" doc:"SHA-256 over what each of these changes is now: it binds which ones, and to what"`
}

// pseudonymPrefix begins every pseudonym.
const pseudonymPrefix = "erased-"

// NewErasure returns a random pseudonym, and the erasure of the person with an id and optional other names.
func NewErasure(id string, names []string) (pseudonym string, e *Erasure) {
	var b [24]byte
	_, _ = rand.Read(b[:]) // it never fails
	e = &Erasure{Salt: hex.EncodeToString(b[8:]), Names: []string{}}
	e.ID = e.hash(id)
	for _, name := range names {
		if h := e.hash(name); name != "" && h != e.ID && !slices.Contains(e.Names, h) {
			e.Names = append(e.Names, h)
		}
	}
	slices.Sort(e.Names)
	return pseudonymPrefix + hex.EncodeToString(b[:8]), e
}

// hash returns the hash of a text, in hex.
func (e *Erasure) hash(text string) string {
	salt, err := hex.DecodeString(e.Salt)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append(salt, text...))
	return hex.EncodeToString(sum[:])
}

// IsID reports whether a text is the person's id.
func (e *Erasure) IsID(text string) bool {
	h := e.hash(text)
	return h != "" && subtle.ConstantTimeCompare([]byte(h), []byte(e.ID)) == 1
}

// Is reports whether a text is the person's id or one of the names.
func (e *Erasure) Is(text string) bool {
	return text != "" && (e.IsID(text) || slices.Contains(e.Names, e.hash(text)))
}

// SamePerson reports whether two erasures have the same hashes.
func (e *Erasure) SamePerson(o *Erasure) bool {
	return e != nil && o != nil && e.Salt == o.Salt && e.ID == o.ID && slices.Equal(e.Names, o.Names)
}

func (e *Erasure) validate(f *faults, p string) {
	salt, err := hex.DecodeString(e.Salt)
	if err != nil || len(salt) != 16 {
		f.add(p+"/salt", "want 16 bytes in hex")
	}
	for i, h := range append([]string{e.ID}, e.Names...) {
		if b, err := hex.DecodeString(h); err != nil || len(b) != sha256.Size {
			f.add(p, "hash %d is no SHA-256 in hex", i)
		}
	}
	if e.Rows < 0 {
		f.add(p+"/rows", "%d: want a number of changes", e.Rows)
	}
}

// PlacesOfPeople returns the JSON fields that may name a person: the document's own, and the lists whose elements name
// one in "by". An engine that can't call Redact rewrites these.
func PlacesOfPeople() (own, lists []string) {
	return []string{"created_by", "updated_by", "reported_by", "resolved_by", "owner"},
		[]string{"reviews", "exemptions"}
}

// A namer has fields besides the stamps that name people. PlacesOfPeople lists them.
type namer interface{ named() []*string }

// Redact replaces a person by a pseudonym in every field that names people. The person's own principal keeps only its
// role. It reports whether anything changed. Free texts stay unchanged.
func (e *Erasure) Redact(d Document, pseudonym string) (changed bool) {
	set := func(field *string) {
		if e.Is(*field) {
			*field, changed = pseudonym, true
		}
	}
	s := d.Stamps()
	set(&s.CreatedBy)
	set(&s.UpdatedBy)
	if n, ok := d.(namer); ok {
		for _, field := range n.named() {
			set(field)
		}
	}
	if p, ok := d.(*Principal); ok && e.IsID(p.PrincipalID) {
		p.PrincipalID, p.Name, p.TokenHash, p.TokenPrefix = pseudonym, pseudonym, noToken, ""
		changed = true
	}
	return changed
}

// RedactWords replaces the person's id by a pseudonym in a text written by the program, where it is a whole word. It
// does not find names of several words.
func (e *Erasure) RedactWords(text, pseudonym string) string {
	part := func(r rune) bool {
		return r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	var b strings.Builder
	for len(text) > 0 {
		end := strings.IndexFunc(text, func(r rune) bool { return !part(r) })
		if end == 0 {
			_, size := utf8.DecodeRuneInString(text)
			b.WriteString(text[:size])
			text = text[size:]
			continue
		}
		if end < 0 {
			end = len(text)
		}
		word := text[:end]
		trimmed := strings.TrimRight(word, ".-_") // the end of a sentence
		switch {
		case e.IsID(word):
			b.WriteString(pseudonym)
		case e.IsID(trimmed):
			b.WriteString(pseudonym + word[len(trimmed):])
		default:
			b.WriteString(word)
		}
		text = text[end:]
	}
	return b.String()
}

// noToken is a token hash that no token has.
const noToken = "0000000000000000000000000000000000000000000000000000000000000000"

// ErasedPrincipal returns the principal that replaces an erased person, made from the previous one; nil if there was
// none. No token matches it.
func ErasedPrincipal(was *Principal, pseudonym string, e *Erasure) *Principal {
	next := &Principal{Role: RoleViewer}
	if was != nil {
		copied := *was
		next = &copied
	}
	next.PrincipalID, next.Name, next.TokenHash, next.TokenPrefix = pseudonym, pseudonym, noToken, ""
	next.Disabled, next.Erasure = true, e
	return next
}

// Follows reports whether the chain value of a change follows from the previous one. If a field of the change that the
// chain covers named an erased person, this can't be recomputed; then only the erasure, which the database checks,
// proves the change.
func (c *Change) Follows(before [32]byte) bool {
	return NextChain(before, c) == c.Chain || c.Unlinked()
}

// Erasure returns the erasure that a change records, nil for none.
func (c *Change) Erasure() (*Erasure, error) {
	if c.Key.Kind != KindPrincipal || c.Record == nil {
		return nil, nil // most changes record none
	}
	d, err := c.Record.Document()
	if err != nil {
		return nil, err
	}
	if p, ok := d.(*Principal); ok {
		return p.Erasure, nil
	}
	return nil, nil // there is none
}

// Unlinked reports whether the chain value of an erased change covered erased texts.
func (c *Change) Unlinked() bool {
	return c.Erased != "" && (c.Entered() || c.Key.Kind == KindPrincipal)
}

// ErasedDigest returns the digest of an erased change: of all its columns and its document's new hash. A change without
// a document has the hash of nothing.
func ErasedDigest(c *Change, document [32]byte) [32]byte {
	b := append([]byte("erased\n"), strconv.FormatInt(int64(c.Seq), 10)...)
	line := func(text string) { b = append(append(b, '\n'), text...) }
	line(string(c.Key.Kind))
	line(c.Key.ID)
	line(strconv.FormatInt(c.Version, 10))
	line(string(c.Verb))
	line(c.Batch.String())
	line(c.Actor)
	line(strconv.FormatInt(c.At.UnixMicro(), 10))
	line(c.EnteredBy)
	if c.Entered() {
		line(strconv.FormatInt(c.EnteredAt.UnixMicro(), 10))
	} else {
		line("")
	}
	b = append(append(append(append(b, '\n'), c.Chain[:]...), c.Hash[:]...), document[:]...)
	return sha256.Sum256(b)
}

// An ErasedRoot sums the erased changes of an erasure, in the order of the log.
type ErasedRoot struct {
	Rows int64
	sum  hash.Hash
}

// Add adds a change: its number, the new hash of its document, and its digest.
func (r *ErasedRoot) Add(seq Seq, document, digest []byte) {
	if r.sum == nil {
		r.sum = sha256.New()
	}
	r.Rows++
	r.sum.Write(append(append(strconv.AppendInt(nil, int64(seq), 10), '\n'),
		append(slices.Clone(document), digest...)...))
}

// Text returns the root in hex.
func (r *ErasedRoot) Text() string {
	if r.sum == nil {
		r.sum = sha256.New()
	}
	return hex.EncodeToString(r.sum.Sum(nil))
}
