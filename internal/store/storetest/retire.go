package storetest

import (
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func retireLaws() []law {
	return []law{
		{name: "retire takes a document out of use and restore brings it back", check: retireAndRestore},
		{name: "purge removes a document", check: purgeRemoves},
		{
			name: "purge empties the history and leaves a change without a document", check: purgeEmptiesHistory,
			log: true,
		},
		{name: "a document written anew after a purge continues its version numbers", check: recreateAfterPurge},
		{
			name:  "archive takes a retired document away and restore brings it back with its history",
			check: archiveAndRestore, log: true,
		},
		{
			name:  "what others refer to can't be archived, nor what refers to others brought back alone",
			check: archiveOfReferenced, log: true,
		},
		{name: "what others refer to can't be purged", check: purgeOfReferenced},
		{name: "a reference must name a document that is there", check: unknownReferences},
		{name: "a retired parent still holds its documents", check: retiredParent},
	}
}

func retireAndRestore(s *suite) {
	for _, d := range s.oneOfEach() {
		s.put(d)
		k := d.Key()
		rec := s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: k}).Records[0]
		if rec.Active || s.document(k).Active() {
			s.Errorf("%s is in use after its retirement", k)
		}
		if has(s.page(knowledge.Query{Kind: k.Kind}).Records, k) {
			s.Errorf("%s is retired and stands in the list of what is in use", k)
		}
		for _, a := range []knowledge.Activity{knowledge.RetiredOnly, knowledge.AnyActivity} {
			if !has(s.page(knowledge.Query{Kind: k.Kind, Activity: a}).Records, k) {
				s.Errorf("%s is retired and does not stand in the list with activity %q", k, a)
			}
		}
		rec = s.apply(knowledge.Op{Verb: knowledge.VerbRestore, Key: k, IfVersion: rec.Version}).Records[0]
		if !rec.Active || !has(s.page(knowledge.Query{Kind: k.Kind}).Records, k) {
			s.Errorf("%s is not in use after it was restored", k)
		}
		if has(s.page(knowledge.Query{Kind: k.Kind, Activity: knowledge.RetiredOnly}).Records, k) {
			s.Errorf("%s was restored and stands in the list of the retired", k)
		}
		s.same(rec, d)
	}
}

func has(list []*knowledge.Record, k knowledge.Key) bool {
	for _, rec := range list {
		if rec.Key == k {
			return true
		}
	}
	return false
}

func purgeOp(k knowledge.Key) knowledge.Op { return knowledge.Op{Verb: knowledge.VerbPurge, Key: k} }

func purgeRemoves(s *suite) {
	for _, d := range s.oneOfEach() {
		s.put(d)
		k := d.Key()
		s.apply(purgeOp(k))
		s.missing(k)
		if has(s.page(knowledge.Query{Kind: k.Kind, Activity: knowledge.AnyActivity}).Records, k) {
			s.Errorf("%s was purged and stands in a list", k)
		}
		if err := s.refused(Batch(purgeOp(k))); !errors.Is(err, store.ErrNotFound) {
			s.Errorf("purging %s again: %v, want ErrNotFound", k, err)
		}
	}
	r := Rule(func(r *knowledge.Rule) { r.Title = "Quixotic purgeable" })
	s.put(r)
	b := Batch(purgeOp(r.Key()))
	first := s.applyBatch(b)
	s.sameReceipt("a purge, sent again", first, s.applyBatch(b))
	s.found("quixotic")
}

func purgeEmptiesHistory(s *suite) {
	r := Rule(func(r *knowledge.Rule) { r.Description = "A name that must not stay: Zachariasdottir." })
	s.put(r)
	bystander := Rule()
	s.apply(patchOp(r.Key(), `{"priority":2}`), knowledge.Put(bystander, knowledge.NoVersion))
	purge := s.apply(purgeOp(r.Key()))
	list := s.changes(knowledge.ChangeQuery{Key: r.Key()})
	if len(list) != 3 {
		s.Fatalf("the purged rule has %d changes, want 3", len(list))
	}
	for i, c := range list {
		if c.Record != nil {
			s.Errorf("change %d of the purged rule still holds a document: %s", i, c.Record.JSON)
		}
		if c.Version != int64(i)+1 {
			s.Errorf("change %d of the purged rule has version %d", i, c.Version)
		}
	}
	last := list[2]
	if last.Verb != knowledge.VerbPurge || last.Batch != purge.Batch || last.Seq != purge.Seq ||
		last.Actor != Tester && !s.o.OwnActor {
		s.Errorf("the purge's change: %+v", last)
	}
	if c := s.changes(knowledge.ChangeQuery{Key: bystander.Key()}); len(c) != 1 || c[0].Record == nil {
		s.Errorf("the purge has emptied the history of another rule: %+v", c)
	}
	s.checkLog(s.log())
}

func recreateAfterPurge(s *suite) {
	r := Rule()
	s.put(r)
	r.Title = "Written again"
	s.put(r)
	s.apply(purgeOp(r.Key()))
	rec := s.apply(knowledge.Put(r, knowledge.NoVersion)).Records[0]
	if rec.Version != 4 { // two puts, the purge, and this
		s.Errorf("the rule has version %d after two writes, a purge and another write; want 4", rec.Version)
	}
	if err := s.refused(Batch(knowledge.Put(r, 1))); !errors.Is(err, store.ErrConflict) {
		s.Errorf("writing over version 1 of before the purge: %v, want ErrConflict", err)
	}
	s.unchanged(rec)
	// All in one batch of two: what is purged and what comes anew have different keys; the same key is a fault.
	s.invalidAt(s.refused(Batch(purgeOp(r.Key()), knowledge.Put(r, knowledge.NoVersion))), "/ops/1")
}

func purgeOfReferenced(s *suite) {
	for _, child := range []knowledge.Document{Rule(), Practice(), Template()} {
		c := Category()
		var op knowledge.Op
		switch d := child.(type) {
		case *knowledge.Rule:
			d.Category = c.ID
			op = knowledge.Put(d, 0)
		case *knowledge.Practice:
			d.Category = c.ID
			op = knowledge.Put(d, 0)
		case *knowledge.Template:
			d.Category = c.ID
			op = knowledge.Put(d, 0)
		}
		s.put(c)
		s.apply(op)
		s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: child.Key()}) // a retired child is a child
		other := Category()
		s.invalidAt(s.refused(Batch(knowledge.Put(other, 0), purgeOp(c.Key()))), "/ops/1/")
		s.missing(other.Key())
		s.get(c.Key())
		s.apply(purgeOp(child.Key()))
		s.apply(purgeOp(c.Key()))
		s.missing(c.Key())
	}
	r := Rule()
	v := Violation(r.RuleID)
	s.put(r, v)
	s.invalidAt(s.refused(Batch(purgeOp(r.Key()))), "/ops/0/")
	s.get(r.Key())
	s.apply(purgeOp(v.Key()), purgeOp(r.Key())) // children first
	s.missing(r.Key())
}

func unknownReferences(s *suite) {
	for _, d := range []knowledge.Document{
		Rule(func(r *knowledge.Rule) { r.Category = "nowhere" }),
		Practice(func(p *knowledge.Practice) { p.Category = "nowhere" }),
		Template(func(t *knowledge.Template) { t.Category = "nowhere" }),
	} {
		s.invalidAt(s.refused(Batch(knowledge.Put(Category(), 0), knowledge.Put(d, 0))), "/ops/1/document/category")
		s.missing(d.Key())
	}
	v := Violation("no-such-rule")
	s.invalidAt(s.refused(Batch(knowledge.Put(v, 0))), "/ops/0/document/rule_id")
	s.missing(v.Key())
	// The place is that of the op, also among many of the kind.
	ops := make([]knowledge.Op, 20)
	for i := range ops {
		ops[i] = knowledge.Put(Rule(), 0)
	}
	ops[13] = knowledge.Put(Rule(func(r *knowledge.Rule) { r.Category = "nowhere" }), 0)
	s.invalidAt(s.refused(Batch(ops...)), "/ops/13/document/category")
	c := Category()
	s.put(c)
	s.apply(purgeOp(c.Key()))
	s.invalidAt(s.refused(Batch(knowledge.Put(Rule(func(r *knowledge.Rule) { r.Category = c.ID }), 0))),
		"/ops/0/document/category")
}

func retiredParent(s *suite) {
	c := Category()
	r := Rule(func(r *knowledge.Rule) { r.Category = c.ID })
	s.put(c, r)
	s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: c.Key()}, knowledge.Op{
		Verb: knowledge.VerbRetire,
		Key:  r.Key(),
	})
	s.apply(knowledge.Op{Verb: knowledge.VerbRestore, Key: r.Key()})
	s.put(Violation(r.RuleID))
	if !has(s.page(knowledge.Query{Kind: knowledge.KindRule, Category: c.ID}).Records, r.Key()) {
		s.Error("a rule is not in the list of its retired category")
	}
}
