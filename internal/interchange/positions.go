package interchange

import (
	"fmt"
	"slices"

	"tenet/internal/knowledge"
)

// positions brings the positions that the labels of an export name to those of the store: a store counts its changes
// itself, and has others where the export has gaps, such as after a purge.
type positions struct {
	of     func(knowledge.Key, int64) (knowledge.Seq, error)
	wanted []knowledge.Seq // that labels name, ascending
	marks  map[knowledge.Seq]mark
	last   mark
}

// A mark is a version of a document as the store has it.
type mark struct {
	key     knowledge.Key
	version int64
}

// want notes the position that a label names.
func (p *positions) want(c *knowledge.Change) error {
	if c.Key.Kind != knowledge.KindLabel || c.Record == nil {
		return nil
	}
	d, err := c.Record.Document()
	if l, ok := d.(*knowledge.Label); ok {
		if i, found := slices.BinarySearch(p.wanted, l.Seq); !found {
			p.wanted = slices.Insert(p.wanted, i, l.Seq)
		}
	}
	return err
}

// begin starts a pass over the export.
func (p *positions) begin() { p.marks, p.last = map[knowledge.Seq]mark{}, mark{} }

// reach tells that the changes before a seq were passed.
func (p *positions) reach(seq knowledge.Seq) {
	for _, w := range p.wanted[len(p.marks):] {
		if w >= seq {
			return
		}
		p.marks[w] = p.last
	}
}

// pass tells that a change of the export is the store's version of a document.
func (p *positions) pass(key knowledge.Key, version int64) {
	if version > 0 {
		p.last = mark{key, version}
	}
}

// bring gives a label the store's position. What the label names was written before: its batch is one of those before.
func (p *positions) bring(d knowledge.Document) error {
	l, ok := d.(*knowledge.Label)
	if !ok || p.of == nil {
		return nil
	}
	m, ok := p.marks[l.Seq]
	if !ok {
		return fmt.Errorf("%s names the position %d, which is not before it", l.Key(), l.Seq)
	}
	if m.version == 0 { // nothing of what was before it is in the export
		l.Seq = 0
		return nil
	}
	seq, err := p.of(m.key, m.version)
	if err != nil {
		return fmt.Errorf("find the position of %s, which is version %d of %s: %w", l.Key(), m.version, m.key, err)
	}
	l.Seq = seq
	return nil
}

// unplaced returns a document as it is compared: without the position of a label, which each store counts itself.
func unplaced(d knowledge.Document) (knowledge.Document, error) {
	l, ok := d.(*knowledge.Label)
	if !ok {
		return d, nil
	}
	bare, err := knowledge.Clone(l)
	if l, ok := bare.(*knowledge.Label); ok {
		l.Seq = 0
	}
	return bare, err
}
