package storetest

import (
	"fmt"

	"tenet/internal/knowledge"
)

func historyLaws() []law {
	return []law{
		{name: "the history of a document is its changes, newest first", check: historyNewestFirst, log: true},
		{name: "one version of a document is found and is as it was", check: oneVersion, log: true},
		{name: "a record that was handed out never changes", check: recordsNeverChange},
	}
}

func historyNewestFirst(s *suite) {
	r := Rule()
	bystander := Rule()
	s.put(bystander)
	var want []string
	for i := range 9 {
		title := fmt.Sprintf("Title %d", i)
		s.apply(knowledge.Put(Rule(func(d *knowledge.Rule) { d.RuleID, d.Title = r.RuleID, title }),
			knowledge.AnyVersion), knowledge.Put(bystander, 0))
		want = append([]string{title}, want...)
	}
	var got []string
	q := knowledge.ChangeQuery{Key: r.Key(), Newest: true, Limit: 4}
	for {
		part := s.changes(q)
		for _, c := range part {
			d, err := c.Record.Document()
			if err != nil {
				s.Fatal(err)
			}
			got = append(got, d.(*knowledge.Rule).Title)
		}
		if len(part) < 4 {
			break
		}
		q.After = part[len(part)-1].Seq
	}
	s.equal("the titles, newest first", want, got)
}

func oneVersion(s *suite) {
	for _, d := range s.oneOfEach() {
		first := s.put(d)
		second := s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: d.Key()}).Records[0]
		third := s.apply(knowledge.Put(d, 2)).Records[0]
		for _, want := range []*knowledge.Record{first, second, third} {
			list := s.changes(knowledge.ChangeQuery{Key: d.Key(), Version: want.Version})
			if len(list) != 1 || list[0].Record == nil {
				s.Fatalf("version %d of %s: %+v", want.Version, d.Key(), list)
			}
			if string(list[0].Record.JSON) != string(want.JSON) {
				s.Errorf("version %d of %s is no longer as it was:\n%s", want.Version, d.Key(),
					difference(string(want.JSON), string(list[0].Record.JSON)))
			}
		}
	}
}

func recordsNeverChange(s *suite) {
	r := Rule()
	type kept struct {
		rec  *knowledge.Record
		copy knowledge.Record
		json string
	}
	var all []kept
	keep := func(recs ...*knowledge.Record) {
		for _, rec := range recs {
			all = append(all, kept{rec, *rec, string(rec.JSON)})
		}
	}
	keep(s.put(r))
	for i := range 5 {
		keep(s.get(r.Key()))
		keep(s.page(knowledge.Query{Kind: knowledge.KindRule}).Records...)
		for _, h := range s.search(knowledge.SearchQuery{Text: "close"}).Hits {
			keep(h.Record)
		}
		if !s.o.NoLog && !s.o.Queued {
			for _, c := range s.changes(knowledge.ChangeQuery{Key: r.Key()}) {
				keep(c.Record)
			}
		}
		// Even who decodes a record and writes on the document must not reach it.
		d := s.document(r.Key()).(*knowledge.Rule)
		d.Title, d.Tags = fmt.Sprintf("Close number %d", i), []string{"io"}
		keep(s.put(d))
		keep(s.apply(patchOp(r.Key(), fmt.Sprintf(`{"priority":%d}`, i))).Records...)
	}
	s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: r.Key()})
	for _, k := range all {
		if string(k.rec.JSON) != k.json || k.rec.Version != k.copy.Version || k.rec.Active != k.copy.Active ||
			k.rec.Updated != k.copy.Updated {
			s.Errorf("a record of %s version %d changed after it was handed out:\n%s", k.copy.Key, k.copy.Version,
				difference(k.json, string(k.rec.JSON)))
		}
	}
}
