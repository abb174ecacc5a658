package storetest

import (
	"time"

	"tenet/internal/knowledge"
)

func actorAndTime(s *suite) {
	at := knowledge.At(time.Date(2020, 2, 29, 12, 0, 0, 987_654_000, time.UTC))
	r := Rule()
	b := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "Ünal O'Neill <u@example.com>", At: at,
		Ops: []knowledge.Op{knowledge.Put(r, knowledge.NoVersion)},
	}
	s.applyBatch(b)
	st := s.document(r.Key()).Stamps()
	if st.CreatedBy != b.Actor || st.UpdatedBy != b.Actor || !st.CreatedAt.Equal(at.Time) ||
		!st.UpdatedAt.Equal(at.Time) {
		s.Errorf("stamps %+v, want actor %q at %v", *st, b.Actor, at)
	}
	later := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "second",
		Ops: []knowledge.Op{{Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{"priority":1}`)}},
	}
	s.applyBatch(later)
	st = s.document(r.Key()).Stamps()
	if st.CreatedBy != b.Actor || st.UpdatedBy != "second" || !st.CreatedAt.Equal(at.Time) ||
		!st.UpdatedAt.After(at.Time) {
		s.Errorf("stamps after a second writer: %+v", *st)
	}
	if s.o.NoLog || s.o.Queued {
		return
	}
	c := s.changes(knowledge.ChangeQuery{Batch: b.ID})
	if len(c) != 1 || c[0].Actor != b.Actor || !c[0].At.Equal(at.Time) || c[0].Entered() {
		s.Errorf("the change says %+v, want actor %q at %v", c, b.Actor, at)
	}
}

func enteredForAnother(s *suite) {
	at := knowledge.At(time.Date(2020, 2, 29, 12, 0, 0, 987_654_000, time.UTC))
	r := Rule()
	s.apply(knowledge.Put(r, knowledge.NoVersion))
	entered := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "third", EnteredBy: "clerk", Ops: []knowledge.Op{
		{Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{"priority":2}`)},
	}}
	s.applyBatch(entered)
	c := s.changes(knowledge.ChangeQuery{Batch: entered.ID})
	if len(c) != 1 || c[0].Actor != "third" || c[0].EnteredBy != "clerk" || !c[0].EnteredAt.Equal(c[0].At.Time) {
		s.Errorf("the change that a clerk has entered says %+v", c)
	}
	purge := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "third", EnteredBy: "clerk",
		Ops: []knowledge.Op{{Verb: knowledge.VerbPurge, Key: r.Key()}},
	}
	s.applyBatch(purge)
	if c = s.changes(knowledge.ChangeQuery{Batch: purge.ID}); len(c) != 1 || c[0].EnteredBy != "clerk" {
		s.Errorf("the purge that a clerk has entered says %+v", c)
	}
	old := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "third", At: at, EnteredBy: "clerk",
		Ops: []knowledge.Op{knowledge.Put(Rule(), 0)},
	}
	s.applyBatch(old)
	if c = s.changes(knowledge.ChangeQuery{Batch: old.ID}); len(c) != 1 || !c[0].At.Equal(at.Time) ||
		!c[0].EnteredAt.After(at.Time) {
		s.Errorf("the change of another time that a clerk has entered says %+v", c)
	}
	var chain [32]byte
	for _, c := range s.log() {
		if chain = knowledge.NextChain(chain, &c); chain != c.Chain {
			s.Fatalf("the chain breaks at %+v", c)
		}
	}
}
