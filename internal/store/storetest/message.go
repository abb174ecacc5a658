package storetest

import (
	"errors"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

func messageInTheLog(s *suite) {
	said := func(what string, b knowledge.Batch, want ...string) {
		s.Helper()
		var got []string
		for _, c := range s.changes(knowledge.ChangeQuery{Batch: b.ID}) {
			got = append(got, c.Message)
		}
		if !slices.Equal(got, want) {
			s.Errorf("%s: the changes say %q, want %q", what, got, want)
		}
	}
	const why = `Seen twice, in "Δ" and \ <b>`
	r, other := Rule(), Rule()
	b := Batch(knowledge.Put(r, knowledge.NoVersion), knowledge.Put(other, knowledge.NoVersion))
	b.Message = why
	first := s.applyBatch(b)
	said("a batch of two", b, why, why)
	again := b
	again.Message = "another word for the same"
	s.sameReceipt("the same batch with another message", first, s.applyBatch(again))
	said("a batch that came twice", b, why, why)
	silent := Batch(knowledge.Op{Verb: knowledge.VerbRetire, Key: r.Key()})
	s.applyBatch(silent)
	said("a batch of which nothing was said", silent, "")
	purge := Batch(purgeOp(r.Key()))
	purge.Message = "It named a customer"
	s.applyBatch(purge)
	said("a purge", purge, purge.Message)
	said("a batch of which one document was purged", b, "", why)
	for _, bad := range []string{
		"two\nlines", strings.Repeat("a", knowledge.MaxMessage+1), "hid\u202eden", "key AKIAIOSFODNN7ABCDEFG",
	} {
		refused := Batch(knowledge.Put(Rule(), knowledge.NoVersion))
		refused.Message = bad
		invalid, ok := errors.AsType[*knowledge.InvalidError](s.refused(refused))
		if !ok || len(invalid.Faults) != 1 || invalid.Faults[0].Pointer != "/message" {
			s.Errorf("a batch with the message %.20q: %v, want a fault at /message", bad, invalid)
		}
	}
}
