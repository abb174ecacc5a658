package storetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func batchLaws() []law {
	return []law{
		{name: "the same batch twice is one change and the same receipt", check: sameBatchTwice},
		{
			name:  "the same batch again is answered as before although the documents have moved on",
			check: sameBatchMuchLater,
		},
		{
			name:  "a batch that changed nothing is answered as before although the documents have moved on",
			check: nothingMuchLater, log: true, engine: true,
		},
		{
			name:  "a batch makes no version of what it leaves as it is, while that holds",
			check: partlyNothing, log: true, engine: true,
		},
		{name: "a batch's id with other content is ErrReused", check: reusedID},
		{name: "an id whose batch was refused may be used again", check: refusedIDIsFree},
		{name: "a batch is left as its writer made it", check: batchIsLeftAlone},
		{name: "a dry run is judged as a write and leaves nothing behind", check: dryRun},
		{name: "kinds may be mixed in one batch and a rule may come with its category", check: mixedKinds},
		{name: "a batch that fails in its last op has done nothing", check: lastOpFails},
		{name: "every fault of a batch is named at once with its place", check: everyFaultIsNamed},
		{name: "a key stands once in a batch", check: duplicateKey},
		{name: "a batch of very many ops happens whole", check: veryManyOps},
		{name: "a batch over the bound is refused", check: tooManyOps},
		{name: "a batch keeps its actor and its time", check: actorAndTime, actor: true},
		{
			name:  "what a writer says of a batch stands beside its changes until a purge",
			check: messageInTheLog, log: true,
		},
		{
			name: "who enters a batch for another stands beside it in the log", check: enteredForAnother, log: true,
			engine: true,
		},
	}
}

func (s *suite) sameReceipt(what string, a, b knowledge.Receipt) {
	s.Helper()
	if reflect.DeepEqual(a, b) { // which is far cheaper
		return
	}
	if diff := cmp.Diff(a, b, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Source" },
		cmp.Ignore())); diff != "" {
		s.Errorf("%s: the receipt differs (-first +again):\n%s", what, diff)
	}
}

func sameBatchTwice(s *suite) {
	docs := s.oneOfEach()
	ops := make([]knowledge.Op, len(docs))
	for i, d := range docs {
		ops[i] = knowledge.Put(d, knowledge.NoVersion)
	}
	b := Batch(ops...)
	first := s.applyBatch(b)
	for range 3 {
		s.sameReceipt("the same batch", first, s.applyBatch(b))
	}
	// A batch that a caller sends again was decoded again.
	again := b
	again.Ops = make([]knowledge.Op, len(ops))
	for i, op := range ops {
		data, err := json.Marshal(op)
		if err != nil {
			s.Fatal(err)
		}
		if again.Ops[i], err = knowledge.DecodeOp(data); err != nil {
			s.Fatal(err)
		}
	}
	s.sameReceipt("the same batch, decoded again", first, s.applyBatch(again))
	for _, rec := range first.Records {
		s.unchanged(rec)
	}
	if !s.o.Queued && !s.o.NoLog {
		got := s.changes(knowledge.ChangeQuery{Batch: b.ID})
		if len(got) != len(ops) {
			s.Errorf("the log has %d changes of the batch, want %d", len(got), len(ops))
		}
	}
}

func sameBatchMuchLater(s *suite) {
	r := Rule()
	b := Batch(knowledge.Put(r, knowledge.AnyVersion))
	first := s.applyBatch(b)
	r2, err := knowledge.Clone(r)
	if err != nil {
		s.Fatal(err)
	}
	r2.(*knowledge.Rule).Title = "Moved on"
	moved := s.put(r2)
	s.sameReceipt("the first batch after a second one", first, s.applyBatch(b))
	s.unchanged(moved)
	// The same for a batch whose condition no longer holds.
	c := Batch(knowledge.Put(Rule(), knowledge.NoVersion))
	first = s.applyBatch(c)
	s.sameReceipt("a creation, sent again", first, s.applyBatch(c))
	p := Batch(knowledge.Op{
		Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{"priority":77}`),
		IfVersion: moved.Version,
	})
	first = s.applyBatch(p)
	s.sameReceipt("a patch, sent again", first, s.applyBatch(p))
}

// nothingMuchLater holds the ledger to its word where no change of the log knows the batch.
func nothingMuchLater(s *suite) {
	r, other := Rule(), Rule()
	made := s.apply(knowledge.Put(r, knowledge.NoVersion), knowledge.Put(other, knowledge.NoVersion))
	end := len(s.log())
	b := Batch(knowledge.Put(r, knowledge.AnyVersion), knowledge.Put(other, knowledge.AnyVersion))
	b.Found = []knowledge.Seq{made.Seq - 1, made.Seq}
	first := s.applyBatch(b)
	if !first.Unchanged || first.Batch != b.ID || first.Seq != made.Seq || len(first.Records) != 2 ||
		first.Records[0].Version != 1 || first.Records[1].Key != other.Key() {
		s.Errorf("a batch that changes nothing is answered with %+v", first)
	}
	if n := len(s.log()); n != end {
		s.Errorf("the log has %d changes after it, want %d", n, end)
	}
	moved, err := knowledge.Clone(r)
	if err != nil {
		s.Fatal(err)
	}
	moved.(*knowledge.Rule).Title = "Moved on"
	now := s.put(moved)
	s.sameReceipt("sent again as it was", first, s.applyBatch(b))
	b.Found = nil // nobody finds that it changes nothing any more
	s.sameReceipt("sent again when it would change something", first, s.applyBatch(b))
	s.unchanged(now)
	b.Ops = b.Ops[:1]
	if err := s.refused(b); !errors.Is(err, store.ErrReused) {
		s.Errorf("other content under its id: %v, want ErrReused", err)
	}
	taken := Batch(knowledge.Put(Rule(), knowledge.NoVersion))
	s.applyBatch(taken)
	taken.Ops, taken.Found = []knowledge.Op{knowledge.Put(other, knowledge.AnyVersion)}, []knowledge.Seq{made.Seq}
	if err := s.refused(taken); !errors.Is(err, store.ErrReused) {
		s.Errorf("what changes nothing under the id of another batch: %v, want ErrReused", err)
	}
}

// partlyNothing holds a batch to its word that leaves some of its documents as they are.
func partlyNothing(s *suite) {
	r, other := Rule(), Rule()
	there := s.apply(knowledge.Put(r, knowledge.NoVersion), knowledge.Put(other, knowledge.NoVersion))
	end := len(s.log())
	changed := retitled(s, other)
	// The last op does nothing.
	b := Batch(knowledge.Put(changed, 1), knowledge.Put(Rule(), knowledge.NoVersion), knowledge.Put(r, 1))
	b.Same = []*knowledge.Record{nil, nil, there.Records[0]}
	first := s.applyBatch(b)
	if first.Unchanged || first.Left(0) || first.Left(1) || !first.Left(2) || first.Records[0].Version != 2 ||
		first.Records[2] == nil || first.Records[2].Version != 1 {
		s.Errorf("a batch that changes some of its documents is answered with %+v", first)
	}
	log := s.log()
	if n := len(log) - end; n != 2 || !log[end].More || log[end+1].More {
		s.Errorf("the log has %d changes after it, want 2, of which the last ends the batch", n)
	}
	s.unchanged(there.Records[0])
	now := s.put(retitled(s, r))
	b.Same = nil // nobody finds that it changes nothing any more
	again := s.applyBatch(b)
	s.sameReceipt("sent again when it would change more", first, again)
	if !again.Left(2) {
		s.Errorf("sent again it says that it has changed what it left: %+v", again)
	}
	s.unchanged(now)

	late := Batch(knowledge.Put(r, 1), knowledge.Put(Rule(), knowledge.NoVersion))
	late.Same = []*knowledge.Record{there.Records[0], nil}
	if err := s.refused(late); !errors.Is(err, store.ErrConflict) {
		s.Errorf("an op that leaves what has changed since: %v, want ErrConflict", err)
	}
	s.missing(late.Ops[1].Key)
	late.Ops[0].IfVersion = knowledge.AnyVersion
	if got := s.applyBatch(late); got.Left(0) || got.Records[0].Version != now.Version+1 {
		s.Errorf("without a condition it is answered with %+v, want a version of its own", got)
	}
}

// retitled returns a document with another title.
func retitled(s *suite, r *knowledge.Rule) *knowledge.Rule {
	d, err := knowledge.Clone(r)
	if err != nil {
		s.Fatal(err)
	}
	d.(*knowledge.Rule).Title = "Moved on"
	return d.(*knowledge.Rule)
}

func reusedID(s *suite) {
	b := Batch(knowledge.Put(Rule(), knowledge.NoVersion))
	first := s.applyBatch(b)
	other := Rule()
	for what, ops := range map[string][]knowledge.Op{
		"another document":  {knowledge.Put(other, knowledge.NoVersion)},
		"one document more": {b.Ops[0], knowledge.Put(other, knowledge.NoVersion)},
		"another condition": {knowledge.Put(b.Ops[0].Doc, 1)},
		"another verb":      {{Verb: knowledge.VerbRetire, Key: b.Ops[0].Key}},
	} {
		err := s.refused(knowledge.Batch{ID: b.ID, Actor: b.Actor, Ops: ops})
		if !errors.Is(err, store.ErrReused) {
			s.Errorf("%s under the same id: %v, want ErrReused", what, err)
		}
	}
	s.missing(other.Key())
	s.unchanged(first.Records[0])
	s.sameReceipt("the batch itself", first, s.applyBatch(b))
}

func dryRun(s *suite) {
	r, there := Rule(), Rule()
	s.put(there)
	dry := func(ops ...knowledge.Op) knowledge.Batch {
		b := Batch(ops...)
		b.Dry = true
		return b
	}
	b := dry(knowledge.Put(r, knowledge.NoVersion), knowledge.Op{
		Verb: knowledge.VerbPatch, Key: there.Key(),
		Patch: []byte(`{"title":"Tried"}`),
	},
		knowledge.Op{Verb: knowledge.VerbPurge, Key: s.put(Rule()).Key})
	receipt, err := s.s.Apply(s.ctx, b)
	if s.o.Queued {
		if !errors.Is(err, store.ErrUnavailable) {
			s.Errorf("a dry run without a primary: %v, want ErrUnavailable: nobody else can tell", err)
		}
		return
	}
	if err != nil {
		s.Fatalf("a dry run: %v", err)
	}
	if !receipt.Dry || receipt.Queued || receipt.Seq != 0 || len(receipt.Records) != 3 {
		s.Fatalf("the receipt of a dry run is %+v, want it dry, without a seq and with a record for each op", receipt)
	}
	if rec := receipt.Records[0]; rec == nil || rec.Key != r.Key() || rec.Version != 1 {
		s.Errorf("a dry run of a creation leaves %v, want version 1 of %s", rec, r.Key())
	}
	if rec := receipt.Records[1]; rec == nil || rec.Version != 2 || !strings.Contains(string(rec.JSON), "Tried") {
		s.Errorf("a dry run of a patch leaves %v, want version 2", rec)
	}
	s.missing(r.Key())
	if d := s.document(there.Key()); d.Stamps().Version != 1 || d.Text().Title == "Tried" {
		s.Errorf("after a dry run %s is %+v", there.Key(), d.Stamps())
	}
	s.document(b.Ops[2].Key)
	if !s.o.NoLog {
		if c := s.changes(knowledge.ChangeQuery{Batch: b.ID}); len(c) > 0 {
			s.Errorf("the log tells of a dry run: %+v", c)
		}
	}
	if err := s.refused(dry(knowledge.Put(there, knowledge.NoVersion))); !errors.Is(err, store.ErrConflict) {
		s.Errorf("a dry run of creating what is there: %v, want ErrConflict", err)
	}
	if err := s.refused(dry(knowledge.Op{Verb: knowledge.VerbRetire, Key: Rule().Key()})); !errors.Is(err,
		store.ErrNotFound) {
		s.Errorf("a dry run of retiring what is not there: %v, want ErrNotFound", err)
	}
	orphan := Rule(func(r *knowledge.Rule) { r.Category = "nowhere" })
	s.invalidAt(s.refused(dry(knowledge.Put(orphan, knowledge.NoVersion))), "/ops/0/document/category")
	b.Dry = false
	if got := s.applyBatch(b); got.Dry || got.Records[0].Version != 1 {
		s.Errorf("the batch itself, after its dry run, left %+v", got)
	}
}

func refusedIDIsFree(s *suite) {
	r := Rule()
	s.put(r)
	b := Batch(knowledge.Put(r, knowledge.NoVersion))
	if err := s.refused(b); !errors.Is(err, store.ErrConflict) {
		s.Errorf("creating what is there: %v, want ErrConflict", err)
	}
	r.Title = "Corrected"
	b.Ops = []knowledge.Op{knowledge.Put(r, 1)}
	if rec := s.applyBatch(b).Records[0]; rec.Version != 2 {
		s.Errorf("the corrected batch left version %d, want 2", rec.Version)
	}
}

func batchIsLeftAlone(s *suite) {
	docs := s.oneOfEach()
	ops := make([]knowledge.Op, len(docs))
	for i, d := range docs {
		ops[i] = knowledge.Put(d, knowledge.NoVersion)
	}
	b := Batch(ops...)
	before, err := b.Fingerprint()
	if err != nil {
		s.Fatal(err)
	}
	r := s.applyBatch(b)
	after, err := b.Fingerprint()
	if err != nil {
		s.Fatal(err)
	}
	if before != after {
		s.Error("Apply has written on the documents of its caller")
	}
	// And what the caller does with its documents later is no business of the store.
	docs[2].(*knowledge.Rule).Tags[0] = "changed-by-the-caller"
	docs[2].(*knowledge.Rule).Examples[0].Code = "changed by the caller"
	docs[2].(*knowledge.Rule).Extra["owner"] = "changed by the caller"
	s.unchanged(r.Records[2])
	if got := string(s.get(docs[2].Key()).JSON); strings.Contains(got, "changed") {
		s.Errorf("the stored rule changed with the caller's: %s", got)
	}
}

func mixedKinds(s *suite) {
	c := Category()
	r := Rule(func(r *knowledge.Rule) { r.Category = c.ID })
	v := Violation(r.RuleID)
	docs := []knowledge.Document{
		c, Principal(), r, Practice(func(p *knowledge.Practice) { p.Category = c.ID }),
		Template(func(t *knowledge.Template) { t.Category = c.ID }), v,
	}
	ops := make([]knowledge.Op, len(docs))
	for i, d := range docs {
		ops[i] = knowledge.Put(d, knowledge.NoVersion)
	}
	receipt := s.apply(ops...)
	for i, d := range docs {
		s.unchanged(receipt.Records[i])
		s.same(receipt.Records[i], d)
	}
	// Everything an op can do, at once.
	receipt = s.apply(
		knowledge.Op{Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{"title":"Patched"}`), IfVersion: 1},
		knowledge.Op{Verb: knowledge.VerbRetire, Key: docs[3].Key(), IfVersion: 1},
		knowledge.Op{Verb: knowledge.VerbPurge, Key: v.Key()},
		knowledge.Put(Rule(), knowledge.NoVersion),
		knowledge.Op{Verb: knowledge.VerbRestore, Key: docs[4].Key()},
	)
	if got := receipt.Records[1]; got.Active {
		s.Errorf("%s is still in use after its retirement in a mixed batch", got.Key)
	}
	s.missing(v.Key())
	if got := s.document(r.Key()).(*knowledge.Rule).Title; got != "Patched" {
		s.Errorf("title after the patch: %q", got)
	}
}

func lastOpFails(s *suite) {
	there := Rule()
	kept := s.put(there)
	var log int
	if !s.o.NoLog && !s.o.Queued {
		log = len(s.log())
	}
	changed, err := knowledge.Clone(there)
	if err != nil {
		s.Fatal(err)
	}
	changed.(*knowledge.Rule).Title = "Half done"
	created, category := Practice(), Category()
	good := []knowledge.Op{
		knowledge.Put(changed, 1), knowledge.Put(created, knowledge.NoVersion), knowledge.Put(category, knowledge.NoVersion),
	}
	for what, last := range map[string]knowledge.Op{
		"a stale version":          {Verb: knowledge.VerbRetire, Key: knowledge.Key{Kind: knowledge.KindCategory, ID: GeneralCategory}, IfVersion: 7},
		"a document that is there": knowledge.Put(Category(func(c *knowledge.Category) { c.ID = GeneralCategory }), knowledge.NoVersion),
		"a missing document":       {Verb: knowledge.VerbPatch, Key: Rule().Key(), Patch: []byte(`{"title":"x"}`)},
		"a missing retiree":        {Verb: knowledge.VerbRetire, Key: Template().Key()},
		"a missing purge":          {Verb: knowledge.VerbPurge, Key: Rule().Key()},
		"an unknown category":      knowledge.Put(Rule(func(r *knowledge.Rule) { r.Category = "nowhere" }), knowledge.NoVersion),
		"an unknown rule":          knowledge.Put(Violation("no-such-rule"), knowledge.NoVersion),
		"an invalid document":      knowledge.Put(Rule(func(r *knowledge.Rule) { r.Title = "" }), knowledge.NoVersion),
		"an invalid patch":         {Verb: knowledge.VerbPatch, Key: knowledge.Key{Kind: knowledge.KindCategory, ID: GeneralCategory}, Patch: []byte(`{"name":7}`)},
		"a category still used":    {Verb: knowledge.VerbPurge, Key: knowledge.Key{Kind: knowledge.KindCategory, ID: GeneralCategory}},
	} {
		b := Batch(append(slices.Clip(good), last)...)
		r, err := s.s.Apply(s.ctx, b)
		if err == nil {
			s.Fatalf("a batch that ends with %s succeeded: %+v", what, r)
		}
		s.checkError(err)
		if len(r.Records) != 0 || r.Seq != 0 {
			s.Errorf("a batch that ends with %s failed and has a receipt: %+v", what, r)
		}
		s.unchanged(kept)
		s.missing(created.Key())
		s.missing(category.Key())
		if page := s.page(knowledge.Query{Kind: knowledge.KindPractice, Activity: knowledge.AnyActivity}); len(page.Records) != 0 {
			s.Errorf("%s: a list holds what was not done", what)
		}
		if !s.o.NoLog && !s.o.Queued {
			if got := len(s.log()); got != log {
				s.Errorf("%s: the log has grown from %d to %d", what, log, got)
			}
		}
	}
	s.apply(good...) // nothing stands in the way of the good part
}

func everyFaultIsNamed(s *suite) {
	err := s.refused(Batch(
		knowledge.Put(Rule(func(r *knowledge.Rule) { r.Title, r.Severity = "", "LOUD" }), knowledge.AnyVersion),
		knowledge.Put(Rule(), -5),
		knowledge.Op{Verb: "shred", Key: Rule().Key()},
		knowledge.Op{Verb: knowledge.VerbPatch, Key: Rule().Key(), Patch: []byte(`{"title":`)},
		knowledge.Op{Verb: knowledge.VerbPut, Key: Rule().Key()},
	))
	s.invalidAt(err, "/ops/0/document/title", "/ops/0/document/severity", "/ops/1/if_version", "/ops/2/verb",
		"/ops/3/patch", "/ops/4/document")

	other := Rule()
	err = s.refused(Batch(knowledge.Op{Verb: knowledge.VerbPut, Key: other.Key(), Doc: Category()}))
	s.invalidAt(err, "/ops/0/id") // a document under another's key
	err = s.refused(knowledge.Batch{Actor: Tester, Ops: []knowledge.Op{knowledge.Put(Rule(), 0)}})
	s.invalidAt(err, "/id")
	err = s.refused(Batch())
	s.invalidAt(err, "/ops")
	b := Batch(knowledge.Put(other, 0))
	b.Actor = ""
	if _, err := s.s.Apply(s.ctx, b); err != nil { // unless the store knows who writes
		s.invalidAt(err, "/actor")
	} else if s.document(other.Key()).Stamps().CreatedBy == "" {
		s.Error("a batch without an actor was done, and nobody did it")
	}
}

func duplicateKey(s *suite) {
	r := Rule()
	err := s.refused(Batch(knowledge.Put(r, knowledge.AnyVersion), knowledge.Put(Rule(), knowledge.AnyVersion),
		knowledge.Op{Verb: knowledge.VerbRetire, Key: r.Key()}))
	s.invalidAt(err, "/ops/2")
	s.missing(r.Key())
}

func veryManyOps(s *suite) {
	n := 100
	if s.o.Engine {
		n = 1000
	}
	ops := make([]knowledge.Op, n)
	for i := range ops {
		switch i % 4 {
		case 0:
			ops[i] = knowledge.Put(Rule(), knowledge.NoVersion)
		case 1:
			ops[i] = knowledge.Put(Practice(), knowledge.NoVersion)
		case 2:
			ops[i] = knowledge.Put(Template(), knowledge.AnyVersion)
		default:
			ops[i] = knowledge.Put(Category(), knowledge.NoVersion)
		}
	}
	b := Batch(ops...)
	r := s.applyBatch(b)
	for i := 0; i < n; i += 97 {
		s.unchanged(r.Records[i])
	}
	s.sameReceipt("very many ops again", r, s.applyBatch(b))
	// Each of them again, with its version; the last one stale: nothing happens.
	for i := range ops {
		ops[i] = knowledge.Op{Verb: knowledge.VerbRetire, Key: ops[i].Key, IfVersion: 1}
	}
	ops[n-1].IfVersion = 3
	if err := s.refused(Batch(ops...)); !errors.Is(err, store.ErrConflict) {
		s.Errorf("very many ops with a stale one: %v, want ErrConflict", err)
	}
	s.unchanged(r.Records[0])
	ops[n-1].IfVersion = 1
	s.apply(ops...)
	if rec := s.get(ops[0].Key); rec.Active || rec.Version != 2 {
		s.Errorf("%s after the second batch: active %v, version %d", rec.Key, rec.Active, rec.Version)
	}
}

func tooManyOps(s *suite) {
	ops := make([]knowledge.Op, knowledge.MaxBatchOps+1)
	for i := range ops {
		ops[i] = knowledge.Put(Category(), knowledge.NoVersion)
	}
	s.invalidAt(s.refused(Batch(ops...)), "/ops")
	s.missing(ops[0].Key)
}
