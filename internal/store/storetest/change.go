package storetest

import (
	"fmt"
	"math"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func changeLaws() []law {
	return []law{
		{name: "the log tells every change once in order and its chain verifies", check: logIsWhole, log: true},
		{name: "an answer of the log never ends within a transaction", check: transactionsStayWhole, log: true},
		{name: "a transaction longer than a page of the log comes whole", check: longTransaction, log: true},
		{name: "a change says what happened whatever op it was", check: changeSaysWhatHappened, log: true},
		{name: "the log is read from any place", check: logFromAnyPlace, log: true},
		{name: "the log is narrowed by key, version, batch and kind", check: logFilters, log: true},
		{name: "the newest changes come first when asked for", check: newestFirst, log: true},
		{name: "a bad question to the log names every fault", check: badChangeQueries},
		{name: "Wait returns when there are changes and Follow sees them", check: waitWakes, log: true},
	}
}

// checkLog checks what holds for every whole log: no gaps, a chain that verifies, contiguous versions, transactions
// that end.
func (s *suite) checkLog(list []knowledge.Change) {
	s.Helper()
	var chain [32]byte
	versions := map[knowledge.Key]int64{}
	for i := range list {
		c := &list[i]
		if c.Seq != knowledge.Seq(i)+1 {
			s.Fatalf("change %d of the log has seq %d: the log has a gap or begins late", i+1, c.Seq)
		}
		if want := knowledge.NextChain(chain, c); c.Chain != want {
			s.Errorf("the chain breaks at change %d (%s %s): %x, want %x", c.Seq, c.Verb, c.Key, c.Chain, want)
		}
		chain = c.Chain
		if c.Version != versions[c.Key]+1 {
			s.Errorf("change %d: version %d of %s follows version %d", c.Seq, c.Version, c.Key, versions[c.Key])
		}
		versions[c.Key] = c.Version
		if c.At.IsZero() || c.Actor == "" {
			s.Errorf("change %d says neither when nor who: %v, %q", c.Seq, c.At, c.Actor)
		}
		if i > 0 && list[i-1].More && list[i-1].Batch != c.Batch {
			s.Errorf("change %d says that more of its transaction follows, and change %d is another batch",
				list[i-1].Seq, c.Seq)
		}
		s.checkChangeRecord(c)
	}
	if len(list) > 0 && list[len(list)-1].More {
		s.Error("the last change of the log says that more of its transaction follows")
	}
}

func (s *suite) checkChangeRecord(c *knowledge.Change) {
	s.Helper()
	switch c.Verb {
	case knowledge.VerbPut, knowledge.VerbRetire, knowledge.VerbRestore:
	case knowledge.VerbArchive, knowledge.VerbPurge:
		if c.Record != nil {
			s.Errorf("change %d has the verb %s and holds a document", c.Seq, c.Verb)
		}
		if c.Hash != knowledge.RemovalHash(c.Verb, c.Actor, c.At) {
			s.Errorf("change %d has the verb %s, and its hash is not that of its actor and time", c.Seq, c.Verb)
		}
	default:
		s.Errorf("change %d has the verb %q", c.Seq, c.Verb)
	}
	if c.Record == nil {
		return
	}
	if c.Record.Key != c.Key || c.Record.Version != c.Version {
		s.Errorf("change %d is version %d of %s and holds version %d of %s", c.Seq, c.Version, c.Key, c.Record.Version,
			c.Record.Key)
	}
	if !c.Record.Updated.Equal(c.At.Time) {
		s.Errorf("change %d was made at %v and its document updated at %v", c.Seq, c.At, c.Record.Updated)
	}
	s.checkRecord(c.Record)
}

func logIsWhole(s *suite) {
	records := map[knowledge.BatchID][]*knowledge.Record{}
	seqs := map[knowledge.BatchID]knowledge.Seq{}
	n := s.fresh + 1 // the category
	note := func(r knowledge.Receipt) {
		records[r.Batch] = r.Records
		seqs[r.Batch] = r.Seq
		n += len(r.Records)
	}
	docs := s.oneOfEach()
	n++ // the rule that the violation names
	for _, d := range docs {
		note(s.apply(knowledge.Put(d, knowledge.NoVersion)))
		note(s.apply(knowledge.Op{Verb: knowledge.VerbRetire, Key: d.Key()}))
		note(s.apply(knowledge.Op{Verb: knowledge.VerbRestore, Key: d.Key()}))
	}
	var ops []knowledge.Op
	for _, d := range docs {
		ops = append(ops, knowledge.Op{Verb: knowledge.VerbRetire, Key: d.Key(), IfVersion: 3})
	}
	note(s.apply(ops...))
	purge := s.apply(purgeOp(docs[3].Key()))
	n++
	list := s.log()
	s.checkLog(list)
	if len(list) != n {
		s.Errorf("the log holds %d changes, want %d", len(list), n)
	}
	byBatch := map[knowledge.BatchID][]knowledge.Change{}
	for _, c := range list {
		byBatch[c.Batch] = append(byBatch[c.Batch], c)
	}
	for id, recs := range records {
		changes := byBatch[id]
		if len(changes) != len(recs) {
			s.Errorf("batch %s of %d ops has %d changes", id, len(recs), len(changes))
			continue
		}
		if last := changes[len(changes)-1]; last.Seq != seqs[id] || last.More {
			s.Errorf("batch %s: its last change is %d (more: %v), and its receipt said %d", id, last.Seq, last.More,
				seqs[id])
		}
		for i, c := range changes {
			if i < len(changes)-1 && !c.More {
				s.Errorf("batch %s: change %d of %d does not say that more follows", id, i+1, len(changes))
			}
			for _, rec := range recs {
				if rec.Key == c.Key && c.Record != nil && string(c.Record.JSON) != string(rec.JSON) {
					s.Errorf("%s: the log and the receipt differ (-receipt +log):\n%s", c.Key,
						difference(string(rec.JSON), string(c.Record.JSON)))
				}
			}
		}
	}
	if c := byBatch[purge.Batch]; len(c) != 1 || c[0].Verb != knowledge.VerbPurge {
		s.Errorf("the purge's changes: %+v", c)
	}
	s.verbsOf(docs[0].Key(), knowledge.VerbPut, knowledge.VerbRetire, knowledge.VerbRestore, knowledge.VerbRetire)
}

// verbsOf checks the verbs of a document's history, oldest first.
func (s *suite) verbsOf(k knowledge.Key, want ...knowledge.Verb) {
	s.Helper()
	var got, wanted []string
	for _, c := range s.changes(knowledge.ChangeQuery{Key: k}) {
		got = append(got, string(c.Verb))
	}
	for _, v := range want {
		wanted = append(wanted, string(v))
	}
	s.equal("the verbs of "+k.String(), wanted, got)
}

func transactionsStayWhole(s *suite) {
	sizes := []int{1, 7, 1, 30, 2, 2, 1, 12}
	for _, n := range sizes {
		ops := make([]knowledge.Op, n)
		for i := range ops {
			ops[i] = knowledge.Put(Category(), knowledge.NoVersion)
		}
		s.apply(ops...)
	}
	total := len(s.log())
	for _, limit := range []int{1, 2, 5, 10, 29, 31, knowledge.MaxChanges} {
		var after knowledge.Seq
		n := 0
		for {
			part := s.changes(knowledge.ChangeQuery{After: after, Limit: limit})
			if len(part) == 0 {
				break
			}
			n += len(part)
			last := part[len(part)-1]
			if last.More {
				s.Errorf("with limit %d an answer ends at change %d, within its transaction", limit, last.Seq)
			}
			if len(part) > limit && len(part) > limit+30 {
				s.Errorf("with limit %d an answer has %d changes", limit, len(part))
			}
			if len(part) > limit {
				// Longer than asked only as far as the transaction goes that the limit would cut.
				for _, c := range part[limit-1 : len(part)-1] {
					if !c.More {
						s.Errorf("with limit %d an answer goes on after change %d, where a transaction ends", limit,
							c.Seq)
					}
				}
			}
			after = last.Seq
		}
		if n != total {
			s.Errorf("with limit %d the log has %d changes, want %d", limit, n, total)
		}
	}
}

func longTransaction(s *suite) {
	before := s.tail()
	ops := make([]knowledge.Op, knowledge.DefaultChanges+100)
	for i := range ops {
		ops[i] = knowledge.Put(Category(), knowledge.NoVersion)
	}
	s.apply(ops...)
	s.put(Rule())
	part := s.changes(knowledge.ChangeQuery{After: before})
	if len(part) != len(ops) {
		s.Errorf("a transaction of %d changes came in an answer of %d", len(ops), len(part))
	}
	if rest := s.changes(knowledge.ChangeQuery{After: before + knowledge.Seq(len(ops))}); len(rest) != 1 {
		s.Errorf("after it there are %d changes, want 1", len(rest))
	}
}

func changeSaysWhatHappened(s *suite) {
	r, priority := Rule(), int64(0)
	with := func(active bool) knowledge.Op {
		priority++ // what changes nothing may be no change
		return knowledge.Put(Rule(func(d *knowledge.Rule) {
			d.RuleID, d.IsActive, d.Priority = r.RuleID, active,
				priority
		}),
			knowledge.AnyVersion)
	}
	s.apply(with(true))
	s.apply(with(false))
	s.apply(with(false))
	s.apply(patchOp(r.Key(), `{"active":true}`))
	s.apply(with(true))
	s.verbsOf(r.Key(), knowledge.VerbPut, knowledge.VerbRetire, knowledge.VerbPut, knowledge.VerbRestore,
		knowledge.VerbPut)
	born := Practice(func(p *knowledge.Practice) { p.IsActive = false })
	s.put(born)
	s.verbsOf(born.Key(), knowledge.VerbPut)
}

func logFromAnyPlace(s *suite) {
	for range 5 {
		s.put(Rule())
	}
	all := s.log()
	for i := range all {
		part := s.changes(knowledge.ChangeQuery{After: knowledge.Seq(i)})
		if len(part) != len(all)-i || part[0].Seq != knowledge.Seq(i)+1 {
			s.Errorf("after %d there are %d changes, want %d from %d on", i, len(part), len(all)-i, i+1)
		}
	}
	for _, after := range []knowledge.Seq{
		knowledge.Seq(len(all)), knowledge.Seq(len(all)) + 1, 1 << 40,
		math.MaxInt64,
	} {
		if part := s.changes(knowledge.ChangeQuery{After: after}); len(part) != 0 {
			s.Errorf("after %d, beyond the end, there are %d changes", after, len(part))
		}
	}
	if got := s.tail(); got != knowledge.Seq(len(all)) {
		s.Errorf("Tail is %d, want %d", got, len(all))
	}
}

func seqsOf(list []knowledge.Change) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = fmt.Sprint(c.Seq)
	}
	return out
}

func logFilters(s *suite) {
	a, b := Rule(), Practice()
	s.put(a, b)
	mixed := s.apply(knowledge.Put(a, 1), knowledge.Put(b, 1), knowledge.Put(Rule(), knowledge.NoVersion))
	s.apply(purgeOp(b.Key()))
	s.put(a)
	all := s.log()
	for what, q := range map[string]knowledge.ChangeQuery{
		"a key":                 {Key: a.Key()},
		"a purged key":          {Key: b.Key()},
		"a key nobody has":      {Key: knowledge.Key{Kind: knowledge.KindRule, ID: "nobody"}},
		"a version":             {Key: a.Key(), Version: 2},
		"a version to come":     {Key: a.Key(), Version: 9},
		"a batch":               {Batch: mixed.Batch},
		"a batch nobody made":   {Batch: knowledge.NewBatchID()},
		"a kind":                {Kind: knowledge.KindRule},
		"a kind without any":    {Kind: knowledge.KindTemplate},
		"a kind after a seq":    {Kind: knowledge.KindRule, After: 3},
		"a key and a batch":     {Key: a.Key(), Batch: mixed.Batch},
		"a key, one change":     {Key: a.Key(), Limit: 1},
		"a batch, two changes":  {Batch: mixed.Batch, Limit: 2},
		"a kind, newest first":  {Kind: knowledge.KindRule, Newest: true},
		"a key, newest first":   {Key: a.Key(), Newest: true, Limit: 2},
		"a key, newest before":  {Key: a.Key(), Newest: true, After: mixed.Seq},
		"a batch, newest first": {Batch: mixed.Batch, Newest: true},
	} {
		s.equal("changes of "+what, seqsOf(expectedChanges(all, q)), seqsOf(s.changes(q)))
	}
}

// expectedChanges is the model of a filtered read of the log.
func expectedChanges(all []knowledge.Change, q knowledge.ChangeQuery) []knowledge.Change {
	var out []knowledge.Change
	for i := range all {
		c := all[i]
		if q.Newest {
			c = all[len(all)-1-i]
		}
		if q.Newest && q.After != 0 && c.Seq >= q.After || !q.Newest && c.Seq <= q.After {
			continue
		}
		if q.Key != (knowledge.Key{}) && c.Key != q.Key || q.Version != 0 && c.Version != q.Version ||
			q.Batch != (knowledge.BatchID{}) && c.Batch != q.Batch || q.Kind != "" && c.Key.Kind != q.Kind {
			continue
		}
		if out = append(out, c); len(out) == q.Limit {
			break
		}
	}
	return out
}

func newestFirst(s *suite) {
	if seq, err := store.Tail(s.ctx, s.s); err != nil || seq != knowledge.Seq(s.fresh)+1 {
		s.Errorf("Tail of a log with %d changes is %d, %v", s.fresh+1, seq, err)
	}
	for range 3 {
		s.apply(knowledge.Put(Rule(), 0), knowledge.Put(Rule(), 0), knowledge.Put(Rule(), 0))
	}
	all := s.log()
	for _, q := range []knowledge.ChangeQuery{
		{Newest: true},
		{Newest: true, Limit: 1},
		{Newest: true, Limit: 5},
		{Newest: true, After: 6},
		{Newest: true, After: 1},
		{Newest: true, After: 99},
		{Newest: true, After: 8, Limit: 2},
	} {
		s.equal(fmt.Sprintf("Changes(%+v)", q), seqsOf(expectedChanges(all, q)), seqsOf(s.changes(q)))
	}
}

func badChangeQueries(s *suite) {
	for pointer, q := range map[string]knowledge.ChangeQuery{
		"/limit":   {Limit: knowledge.MaxChanges + 1},
		"/after":   {After: -1},
		"/kind":    {Kind: "nonsense"},
		"/id":      {Key: knowledge.Key{Kind: knowledge.KindRule, ID: "a b"}},
		"/version": {Key: knowledge.Key{Kind: knowledge.KindRule, ID: "a"}, Version: -1},
	} {
		_, err := s.s.Changes(s.ctx, q)
		s.badQuery(fmt.Sprintf("Changes(%+v)", q), err, pointer)
	}
	_, err := s.s.Changes(s.ctx, knowledge.ChangeQuery{Limit: -1, After: -1})
	s.badQuery("two faults at once", err, "/limit")
	s.badQuery("two faults at once", err, "/after")
}

func waitWakes(s *suite) {
	if err := s.s.Wait(s.ctx, 0); err != nil { // there is a change already
		s.Errorf("Wait with changes there: %v", err)
	}
	after := s.tail()
	for range 3 {
		done := make(chan error, 1)
		go func() {
			for { // Wait may return for nothing
				if err := s.s.Wait(s.ctx, after); err != nil {
					done <- err
					return
				}
				list, err := s.s.Changes(s.ctx, knowledge.ChangeQuery{After: after})
				if err != nil || len(list) > 0 {
					done <- err
					return
				}
			}
		}()
		r := s.apply(knowledge.Put(Rule(), knowledge.NoVersion))
		if err := <-done; err != nil {
			s.Fatalf("waiting for a change: %v", err)
		}
		after = r.Seq
	}
}
