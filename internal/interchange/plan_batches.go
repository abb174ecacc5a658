package interchange

import (
	"cmp"
	"iter"
	"slices"

	"tenet/internal/knowledge"
)

// Steps returns what the import does, in the order of sources and paths. The caller must not change them.
func (p *Plan) Steps() []Step { return p.steps }

// Count returns the number of steps of each outcome.
func (p *Plan) Count() map[Outcome]int {
	n := map[Outcome]int{}
	for i := range p.steps {
		n[p.steps[i].Outcome]++
	}
	return n
}

// Doubts returns what the exports with history can't prove of themselves.
func (p *Plan) Doubts() []string {
	var list []string
	for _, h := range p.histories {
		list = append(list, h.export.Doubts()...)
	}
	return list
}

// Blocked reports whether something is refused and the plan is not to keep going.
func (p *Plan) Blocked() bool { return !p.o.KeepGoing && p.Count()[Refused] > 0 }

// maxBatchBytes bounds a batch's documents: a batch travels as one request and stands whole in memory on its way.
const maxBatchBytes = 4 << 20

// Batches returns the writes, each of at most maxOps ops ([knowledge.MaxBatchOps] when 0): first histories as they
// were, then documents, kinds in the order in which they refer to each other. Every op names the version that it was
// compared with, so that a document which was written meanwhile is a conflict and is not overwritten. A blocked plan
// gives [ErrRefused]. To retry a batch, keep it: its id is new in every run, since an id made of the content would make
// the store take an import after a purge for one that was done.
func (p *Plan) Batches(actor string, maxOps int) iter.Seq2[knowledge.Batch, error] {
	if maxOps <= 0 || maxOps > knowledge.MaxBatchOps {
		maxOps = knowledge.MaxBatchOps
	}
	return func(yield func(knowledge.Batch, error) bool) {
		if p.Blocked() {
			yield(knowledge.Batch{}, ErrRefused)
			return
		}
		for _, h := range p.histories {
			for b, err := range h.batches(maxOps) {
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
		var ops []knowledge.Op
		size := 0
		for _, st := range p.writes() {
			if len(ops) > 0 && (len(ops) == maxOps || size+st.size > maxBatchBytes) {
				if !yield(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: ops}, nil) {
					return
				}
				ops, size = nil, 0
			}
			version := st.Version
			if version == 0 {
				version = knowledge.NoVersion
			}
			ops, size = append(ops, knowledge.Put(st.doc, version)), size+st.size
		}
		if len(ops) > 0 {
			yield(knowledge.Batch{ID: knowledge.NewBatchID(), Actor: actor, Ops: ops}, nil)
		}
	}
}

// Writes returns the number of ops that the batches will hold, for a progress bar.
func (p *Plan) Writes() int {
	n := len(p.writes())
	for _, h := range p.histories {
		n += h.ops
	}
	return n
}

// writes returns the steps that write a document, parents first.
func (p *Plan) writes() []*Step {
	var out []*Step
	for i := range p.steps {
		if p.steps[i].doc != nil {
			out = append(out, &p.steps[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *Step) int {
		return cmp.Compare(slices.Index(knowledge.Kinds(), a.Key.Kind), slices.Index(knowledge.Kinds(), b.Key.Kind))
	})
	return out
}
