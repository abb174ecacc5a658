package storetest

import (
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func conditionLaws() []law {
	return []law{
		{name: "a stale version is ErrConflict with the details", check: staleVersion},
		{name: "a batch is a condition as a version is", check: batchCondition},
		{name: "a purge of what a batch has left", check: purgeByBatch},
		{name: "a version that no document reaches is refused", check: neverVersion},
		{name: "a document that is there can't be created", check: createTwice},
		{name: "an op on a missing document is ErrNotFound", check: opOnMissing},
		{name: "versions grow by one with each change", check: versionsGrow},
	}
}

// conflict checks that err is a conflict with these details.
func (s *suite) conflict(what string, err error, want store.ConflictError) {
	s.Helper()
	var got *store.ConflictError
	if !errors.Is(err, store.ErrConflict) || !errors.As(err, &got) {
		s.Errorf("%s: %T (%v), want a ConflictError", what, err, err)
		return
	}
	if *got != want {
		s.Errorf("%s: conflict %+v, want %+v", what, *got, want)
	}
}

func staleVersion(s *suite) {
	for _, d := range s.oneOfEach() {
		s.put(d)
		k := d.Key()
		second := s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: k}).Records[0]
		for _, op := range []knowledge.Op{
			knowledge.Put(d, 1),
			{Verb: knowledge.VerbPatch, Key: k, Patch: []byte(`{}`), IfVersion: 1},
			{Verb: knowledge.VerbRetire, Key: k, IfVersion: 1},
			{Verb: knowledge.VerbRestore, Key: k, IfVersion: 1},
			{Verb: knowledge.VerbPurge, Key: k, IfVersion: 1},
		} {
			other := Category()
			err := s.refused(Batch(knowledge.Put(other, knowledge.NoVersion), op))
			s.conflict(string(op.Verb)+" of a stale "+string(k.Kind), err, store.ConflictError{
				Key: k, Op: 1, Want: 1,
				Got: 2,
			})
			s.unchanged(second)
			s.missing(other.Key())
		}
		err := s.refused(Batch(knowledge.Put(d, 3)))
		s.conflict("a version that is still to come", err, store.ConflictError{Key: k, Op: 0, Want: 3, Got: 2})
	}
}

func batchCondition(s *suite) {
	for _, d := range s.oneOfEach() {
		k := d.Key()
		first, second := Batch(knowledge.Put(d, knowledge.NoVersion)), Batch()
		s.applyBatch(first)
		on := func(op knowledge.Op, batch knowledge.BatchID) knowledge.Op {
			op.Key, op.IfBatch = k, batch
			return op
		}
		second.Ops = []knowledge.Op{on(knowledge.Put(d, 0), first.ID)}
		rec := s.applyBatch(second).Records[0]
		for _, op := range []knowledge.Op{
			knowledge.Put(d, 0), {Verb: knowledge.VerbPatch, Patch: []byte(`{}`)}, {Verb: knowledge.VerbRetire}, {Verb: knowledge.VerbRestore},
		} {
			other := Category()
			elsewhere := Batch(knowledge.Put(other, knowledge.NoVersion))
			s.applyBatch(elsewhere)
			for what, batch := range map[string]knowledge.BatchID{
				"an earlier batch": first.ID, "a batch that nobody knows": knowledge.NewBatchID(), "a batch of another document": elsewhere.ID,
			} {
				err := s.refused(Batch(knowledge.Put(Category(), knowledge.NoVersion), on(op, batch)))
				s.conflict(string(op.Verb)+" of what "+what+" left", err, store.ConflictError{Key: k, Op: 1, Got: 2, WantBatch: batch})
				s.unchanged(rec)
			}
		}
		last := second.ID
		for _, op := range []knowledge.Op{{Verb: knowledge.VerbRetire}, {Verb: knowledge.VerbRestore}, {Verb: knowledge.VerbPatch, Patch: []byte(`{}`)}} {
			b := Batch(on(op, last))
			s.applyBatch(b)
			last = b.ID
		}
		if again := s.applyBatch(second); again.Records[0] == nil || again.Records[0].Version != 2 {
			s.Errorf("a batch sent again after others were made on top of it: %+v, want the receipt of version 2", again)
		}
	}
	missing := Rule()
	err := s.refused(Batch(knowledge.Op{Verb: knowledge.VerbPut, Key: missing.Key(), Doc: missing, IfBatch: knowledge.NewBatchID()}))
	if conflict, ok := errors.AsType[*store.ConflictError](err); !ok || conflict.Got != 0 {
		s.Errorf("a put on top of a batch where there is nothing: %v, want a conflict that got none", err)
	}
	err = s.refused(Batch(knowledge.Op{Verb: knowledge.VerbRetire, Key: missing.Key(), IfBatch: knowledge.NewBatchID()}))
	if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
		s.Errorf("an op on top of a batch where there is nothing: %v, want ErrNotFound or ErrConflict", err)
	}
}

func purgeByBatch(s *suite) {
	for _, d := range s.oneOfEach() {
		first := Batch(knowledge.Put(d, knowledge.NoVersion))
		s.applyBatch(first)
		purge := knowledge.Op{Verb: knowledge.VerbPurge, Key: d.Key(), IfBatch: knowledge.NewBatchID()}
		err := s.refused(Batch(purge))
		s.conflict("a purge of what another batch left", err, store.ConflictError{
			Key: d.Key(), Got: 1,
			WantBatch: purge.IfBatch,
		})
		purge.IfBatch = first.ID
		s.apply(purge)
		s.missing(d.Key())
	}
}

func neverVersion(s *suite) {
	d := Rule()
	b := Batch(knowledge.Put(d, knowledge.NoVersion))
	s.applyBatch(b)
	err := s.refused(Batch(knowledge.Put(d, knowledge.NeverVersion)))
	s.conflict("a version that no document reaches", err, store.ConflictError{
		Key:  d.Key(),
		Want: knowledge.NeverVersion, Got: 1,
	})
}

func createTwice(s *suite) {
	for _, d := range s.oneOfEach() {
		rec := s.apply(knowledge.Put(d, knowledge.NoVersion)).Records[0]
		err := s.refused(Batch(knowledge.Put(d, knowledge.NoVersion)))
		s.conflict("creating a "+string(d.Key().Kind)+" twice", err, store.ConflictError{
			Key: d.Key(), Op: 0,
			Want: knowledge.NoVersion, Got: 1,
		})
		s.unchanged(rec)
		s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: d.Key()})
		err = s.refused(Batch(knowledge.Put(d, knowledge.NoVersion)))
		s.conflict("creating a retired one", err, store.ConflictError{
			Key: d.Key(), Op: 0, Want: knowledge.NoVersion,
			Got: 2,
		})
	}
}

func opOnMissing(s *suite) {
	for _, d := range s.oneOfEach() {
		k := d.Key()
		for _, op := range []knowledge.Op{
			{Verb: knowledge.VerbPatch, Key: k, Patch: []byte(`{}`)},
			{Verb: knowledge.VerbRetire, Key: k},
			{Verb: knowledge.VerbRestore, Key: k},
			{Verb: knowledge.VerbPurge, Key: k},
		} {
			if err := s.refused(Batch(op)); !errors.Is(err, store.ErrNotFound) {
				s.Errorf("%s of a missing %s: %v, want ErrNotFound", op.Verb, k.Kind, err)
			}
			op.IfVersion = 4
			if err := s.refused(Batch(op)); !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
				s.Errorf("%s of version 4 of a missing %s: %v, want ErrNotFound or ErrConflict", op.Verb, k.Kind, err)
			}
		}
		err := s.refused(Batch(knowledge.Put(d, 4)))
		s.conflict("writing version 5 of a missing "+string(k.Kind), err, store.ConflictError{
			Key: k, Op: 0, Want: 4,
			Got: 0,
		})
	}
}

func versionsGrow(s *suite) {
	r := Rule()
	k := r.Key()
	put := func(priority, ifVersion int64) knowledge.Op {
		return knowledge.Put(Rule(func(d *knowledge.Rule) { d.RuleID, d.Priority = r.RuleID, priority }), ifVersion)
	}
	for want, op := range []knowledge.Op{
		put(10, knowledge.NoVersion),
		put(11, 1),
		put(12, knowledge.AnyVersion),
		{Verb: knowledge.VerbPatch, Key: k, Patch: []byte(`{"priority":3}`), IfVersion: 3},
		{Verb: knowledge.VerbPatch, Key: k, Patch: []byte(`{"priority":4}`)},
		{Verb: knowledge.VerbRetire, Key: k, IfVersion: 5},
		{Verb: knowledge.VerbPatch, Key: k, Patch: []byte(`{"priority":5}`)},
		{Verb: knowledge.VerbRestore, Key: k, IfVersion: 7},
	} {
		if rec := s.apply(op).Records[0]; rec.Version != int64(want)+1 {
			s.Fatalf("version %d after %s, want %d", rec.Version, op.Verb, want+1)
		}
	}
}
