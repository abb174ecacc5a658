package interchange

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"tenet/internal/knowledge"
)

// sumOf returns the sum of a change as an export holds it beside the change's own JSON.
func sumOf(change []byte) string {
	sum := sha256.Sum256(change)
	return hex.EncodeToString(sum[:])
}

// A proof checks the lines of an export with history, in their order: that each is as it was written, follows from the
// one before it, and holds the document that its hash is of.
type proof struct {
	begun            bool
	summed, unsummed bool
	prev             struct {
		seq   knowledge.Seq
		chain [32]byte
	}
	first   knowledge.Seq
	whole   bool  // the last line has a sum of the others
	gap     int64 // the first line before which changes are missing; 0 for none
	hashed  bool  // a document was met whose hash is of its JSON: so are all of that log
	unlike  int64 // the first line whose document is not
	unlikeC *knowledge.Change
}

// check takes the next line.
func (p *proof) check(l *line, raw *rawChange, c *knowledge.Change) error {
	p.summed, p.unsummed = p.summed || raw.Sum != "", p.unsummed || raw.Sum == ""
	switch {
	case p.summed && p.unsummed:
		return fmt.Errorf("line %d: it has no sum, or those before it have none: lines were put in or changed", l.n)
	case raw.Sum != "" && raw.Sum != sumOf(raw.Change):
		return fmt.Errorf("line %d: the change %d of %s is another one than was exported: its sum does not fit", l.n,
			c.Seq, c.Key)
	case p.begun && c.Seq <= p.prev.seq:
		return fmt.Errorf("line %d: change %d after change %d: the lines are out of order", l.n, c.Seq, p.prev.seq)
	}
	follows := c.Seq == 1 || p.begun && c.Seq == p.prev.seq+1
	if p.begun && !follows && p.gap == 0 {
		p.gap = l.n
	}
	if follows && !c.Follows(p.prev.chain) {
		return fmt.Errorf("line %d: the change %d of %s is not what its chain value was made of", l.n, c.Seq, c.Key)
	}
	if !p.begun {
		p.first = c.Seq
	}
	p.begun, p.prev.seq, p.prev.chain = true, c.Seq, c.Chain
	if _, ok := c.Attested(); !ok {
		return fmt.Errorf("line %d: the end of %s is by somebody else, or at another time, than was written", l.n,
			c.Key)
	}
	if c.Record == nil {
		return nil
	}
	return p.document(l, c)
}

// document checks what a change says of its document. The hash of one from an embedded database is of its JSON; a
// PostgreSQL hashes its own text, which the export does not hold.
func (p *proof) document(l *line, c *knowledge.Change) error {
	d, err := c.Record.Document()
	if err != nil {
		return fmt.Errorf("line %d: %w", l.n, err)
	}
	if s := d.Stamps(); s.UpdatedBy != c.Actor || !s.UpdatedAt.Equal(c.At.Time) || s.Version != c.Version {
		return fmt.Errorf("line %d: the change %d of %s says version %d by %s at %s, and its document version %d by "+
			"%s at %s", l.n, c.Seq, c.Key,
			c.Version, c.Actor, c.At.Format(knowledge.TimeLayout), s.Version, s.UpdatedBy,
			s.UpdatedAt.Format(knowledge.TimeLayout))
	}
	if c.Erased != "" {
		return nil // its hash is of the document before a person was erased from it
	}
	if sha256.Sum256(c.Record.JSON) == c.Hash || sha256.Sum256(plainText(c.Record.JSON)) == c.Hash {
		p.hashed = true
	} else if p.unlike == 0 {
		p.unlike, p.unlikeC = l.n, c
	}
	if p.hashed && p.unlike != 0 {
		return fmt.Errorf("line %d: the document of change %d of %s is another one than its hash is of", p.unlike,
			p.unlikeC.Seq, p.unlikeC.Key)
	}
	return nil
}

// end takes the last line.
func (p *proof) end(t *trailer) error {
	p.whole = t.Sum != ""
	if p.gap != 0 && !t.Gaps {
		return fmt.Errorf("line %d: changes before it are missing", p.gap)
	}
	return nil
}

// Doubts returns what an export can't prove of itself: that nothing was removed from its beginning, that gaps were
// left by the exporter, and, where an older program wrote it, that nothing was changed.
func (e *Export) Doubts() []string {
	var list []string
	if e.seen.first > 1 {
		list = append(list, fmt.Sprintf("the export begins with change %d: that the ones before were no longer kept, and "+
			"were not removed from the file, can't be verified", e.seen.first))
	}
	if e.seen.gap != 0 {
		list = append(list, fmt.Sprintf("the export says that changes are left out, which its maker might not see; the "+
			"first ones before line %d", e.seen.gap))
	}
	if !e.seen.whole {
		list = append(list, "the last line of the export has no sum of the others: an older program wrote it, or somebody "+
			"has changed it")
	}
	return list
}

// plainText returns JSON without the escapes of characters that mean something in HTML, which older exports have.
func plainText(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u00`)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		rest := text[i:]
		switch {
		case bytes.HasPrefix(rest, []byte(`\u003c`)):
			out, i = append(out, '<'), i+5
		case bytes.HasPrefix(rest, []byte(`\u003e`)):
			out, i = append(out, '>'), i+5
		case bytes.HasPrefix(rest, []byte(`\u0026`)):
			out, i = append(out, '&'), i+5
		default:
			out, i = append(out, text[i], text[i+1]), i+1
		}
	}
	return out
}

// A rawChange is a line of an export with history as it stands there.
type rawChange struct {
	Change json.RawMessage `json:"change"`
	Sum    string          `json:"sum,omitempty"`
}
