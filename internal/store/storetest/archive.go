package storetest

import (
	"errors"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func archiveOp(k knowledge.Key) knowledge.Op {
	return knowledge.Op{Verb: knowledge.VerbArchive, Key: k}
}

func archiveAndRestore(s *suite) {
	for _, d := range s.oneOfEach() {
		s.put(d)
		k := d.Key()
		if knowledge.Describe(k.Kind).Stays {
			s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: k})
			s.invalidAt(s.refused(Batch(archiveOp(k))), "/ops/0/verb")
			continue
		}
		s.invalidAt(s.refused(Batch(archiveOp(k))), "/ops/0/verb")
		before := s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: k}).Records[0]
		b := Batch(knowledge.Op{Verb: knowledge.VerbArchive, Key: k, IfVersion: before.Version})
		first := s.applyBatch(b)
		s.sameReceipt("an archive, sent again", first, s.applyBatch(b))
		s.missing(k)
		for _, a := range []knowledge.Activity{knowledge.RetiredOnly, knowledge.AnyActivity} {
			if has(s.page(knowledge.Query{Kind: k.Kind, Activity: a}).Records, k) {
				s.Errorf("%s is archived and stands in the list with activity %q", k, a)
			}
		}
		for _, verb := range []knowledge.Verb{knowledge.VerbArchive, knowledge.VerbRetire} {
			if err := s.refused(Batch(knowledge.Op{Verb: verb, Key: k})); !errors.Is(err, store.ErrNotFound) {
				s.Errorf("%s of the archived %s: %v, want ErrNotFound", verb, k, err)
			}
		}
		back := Batch(knowledge.Op{Verb: knowledge.VerbRestore, Key: k, IfVersion: before.Version})
		if err := s.refused(back); !errors.Is(err, store.ErrConflict) {
			s.Errorf("restoring %s at the version before its archive: %v, want ErrConflict", k, err)
		}
		back = Batch(knowledge.Op{Verb: knowledge.VerbRestore, Key: k, IfVersion: before.Version + 1})
		second := s.applyBatch(back)
		s.sameReceipt("a restore from the archive, sent again", second, s.applyBatch(back))
		s.broughtBack(d, before, second.Records[0])
	}
	s.checkLog(s.log())
	s.takenUp()
}

// broughtBack checks a document that was restored from the archive.
func (s *suite) broughtBack(d knowledge.Document, before, rec *knowledge.Record) {
	s.Helper()
	k := d.Key()
	if rec.Version != before.Version+2 || !rec.Active || !has(s.page(knowledge.Query{Kind: k.Kind}).Records, k) {
		s.Errorf("%s came back as version %d, active: %v; want version %d, in the list", k, rec.Version, rec.Active,
			before.Version+2)
	}
	s.same(rec, d)
	was, err := before.Document()
	if err != nil {
		s.Fatal(err)
	}
	if is := s.document(k).Stamps(); is.CreatedBy != was.Stamps().CreatedBy ||
		!is.CreatedAt.Equal(was.Stamps().CreatedAt.Time) {
		s.Errorf("%s came back as created by %s at %v, want %s at %v", k, is.CreatedBy, is.CreatedAt,
			was.Stamps().CreatedBy, was.Stamps().CreatedAt)
	}
	var verbs strings.Builder
	for _, c := range s.changes(knowledge.ChangeQuery{Key: k}) {
		verbs.WriteString(string(c.Verb) + " ")
		if (c.Record == nil) != (c.Verb == knowledge.VerbArchive) {
			s.Errorf("the history of %s: change %d with the verb %s has a document: %v", k, c.Seq, c.Verb,
				c.Record != nil)
		}
	}
	if verbs.String() != "put retire archive restore " {
		s.Errorf("the history of %s is %s", k, verbs.String())
	}
}

// takenUp writes another document with the id of one in the archive.
func (s *suite) takenUp() {
	s.Helper()
	r := Rule(func(r *knowledge.Rule) { r.IsActive, r.Title = false, "Quixotic archivable" })
	s.put(r)
	s.apply(archiveOp(r.Key()))
	next := Rule(func(n *knowledge.Rule) { n.RuleID, n.Title = r.RuleID, "Quixotic successor" })
	// the put, the archive, and this
	if rec := s.apply(knowledge.Put(next, knowledge.NoVersion)).Records[0]; rec.Version != 3 {
		s.Errorf("a rule with the id of an archived one has version %d, want 3", rec.Version)
	}
	if list := s.changes(knowledge.ChangeQuery{Key: r.Key()}); list[len(list)-1].Verb != knowledge.VerbPut ||
		list[0].Record == nil {
		s.Errorf("the last change of %s is a %s, want a put; its first has its text: %v", r.Key(),
			list[len(list)-1].Verb, list[0].Record != nil)
	}
	s.found("quixotic", r.Key())
	s.apply(purgeOp(r.Key()))
	if err := s.refused(Batch(knowledge.Op{Verb: knowledge.VerbRestore, Key: r.Key()})); !errors.Is(err,
		store.ErrNotFound) {
		s.Errorf("restoring what was purged: %v, want ErrNotFound", err)
	}
}

func archiveOfReferenced(s *suite) {
	r := Rule(func(r *knowledge.Rule) { r.IsActive = false })
	v := Violation(r.RuleID, func(v *knowledge.Violation) { v.IsActive = false })
	s.put(r, v)
	s.invalidAt(s.refused(Batch(archiveOp(r.Key()))), "/ops/0")
	s.apply(archiveOp(v.Key()), archiveOp(r.Key())) // children first
	s.missing(r.Key())
	s.invalidAt(s.refused(Batch(knowledge.Op{Verb: knowledge.VerbRestore, Key: v.Key()})), "/ops/0/document/rule_id")
	s.apply(knowledge.Op{Verb: knowledge.VerbRestore, Key: r.Key()}, knowledge.Op{
		Verb: knowledge.VerbRestore,
		Key:  v.Key(),
	})
	s.get(v.Key())
}
