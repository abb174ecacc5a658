package knowledge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestBatchesNameEveryFault(t *testing.T) {
	rule := valid()[0]
	good := func() Batch { return Batch{ID: NewBatchID(), Actor: "me", Ops: []Op{Put(rule, 0)}} }
	key := rule.Key()
	for what, c := range map[string]struct {
		change func(*Batch)
		want   []string
	}{
		"nothing":         {func(*Batch) {}, nil},
		"no id":           {func(b *Batch) { b.ID = BatchID{} }, []string{"/id"}},
		"no ops":          {func(b *Batch) { b.Ops = nil }, []string{"/ops"}},
		"too many ops":    {func(b *Batch) { b.Ops = make([]Op, MaxBatchOps+1) }, []string{"/ops"}},
		"no actor":        {func(b *Batch) { b.Actor = "" }, []string{"/actor"}},
		"a long actor":    {func(b *Batch) { b.Actor = strings.Repeat("x", MaxTitle+1) }, []string{"/actor"}},
		"a strange actor": {func(b *Batch) { b.Actor = "\x00" }, []string{"/actor"}},
		"a far time": {
			func(b *Batch) { b.At = Time{time.Date(12_000, 1, 1, 0, 0, 0, 0, time.UTC)} },
			[]string{"/at"},
		},
		"a key twice": {
			func(b *Batch) { b.Ops = append(b.Ops, Op{Verb: VerbRetire, Key: key}) },
			[]string{"/ops/1"},
		},
		"a kind":        {func(b *Batch) { b.Ops[0].Key.Kind = "x" }, []string{"/ops/0/kind"}},
		"a verb":        {func(b *Batch) { b.Ops[0].Verb = "x" }, []string{"/ops/0/verb"}},
		"a condition":   {func(b *Batch) { b.Ops[0].IfVersion = -2 }, []string{"/ops/0/if_version"}},
		"no document":   {func(b *Batch) { b.Ops[0].Doc = nil }, []string{"/ops/0/document"}},
		"another's key": {func(b *Batch) { b.Ops[0].Key.ID = "x" }, []string{"/ops/0/id"}},
		"a bad document": {
			func(b *Batch) { b.Ops[0] = Put(&Rule{RuleID: "x"}, 0) },
			[]string{
				"/ops/0/document/category", "/ops/0/document/title", "/ops/0/document/description",
				"/ops/0/document/severity", "/ops/0/document/enforcement", "/ops/0/document/status",
				"/ops/0/document/scope/activation",
			},
		},
		"a patch of none": {func(b *Batch) {
			b.Ops[0] = Op{Verb: VerbPatch, Key: key, Patch: []byte(`{`), IfVersion: NoVersion}
		}, []string{"/ops/0/patch", "/ops/0/if_version"}},
		"a retired none": {
			func(b *Batch) { b.Ops[0] = Op{Verb: VerbRetire, Key: key, IfVersion: NoVersion} },
			[]string{"/ops/0/if_version"},
		},
		"a purge of no id": {
			func(b *Batch) { b.Ops[0] = Op{Verb: VerbPurge, Key: Key{KindRule, "a b"}} },
			[]string{"/ops/0/id"},
		},
		"a patch of no id": {func(b *Batch) {
			b.Ops[0] = Op{Verb: VerbPatch, Key: Key{KindRule, ""}, Patch: []byte(`{}`)}
		}, []string{"/ops/0/id"}},
		"two bad ops": {func(b *Batch) {
			b.Ops = []Op{{Verb: "x", Key: key}, {Verb: VerbPut, Key: Key{KindRule, "y"}}}
		}, []string{"/ops/0/verb", "/ops/1/document"}},
		"the largest batch": {func(b *Batch) { b.Ops = many(MaxBatchOps) }, nil},
	} {
		b := good()
		c.change(&b)
		wantFaults(t, what, b.Validate(), c.want...)
	}
}

func many(n int) []Op {
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = Op{Verb: VerbRetire, Key: Key{KindRule, NewBatchID().String()}}
	}
	return ops
}

func TestOpsAreDecodedStrictly(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string
	}{
		{`{"verb":"put","kind":"rule","id":"SEC-001","document":{"rule_id":"SEC-001"}}`, nil},
		{`{"verb":"put","kind":"rules","document":{"rule_id":"SEC-001"},"if_version":-1}`, nil},
		{`{"verb":"patch","kind":"rule","id":"SEC-001","patch":{"title":null},"if_version":3}`, nil},
		{
			`{"verb":"put","kind":"rule","document":{"category":"c","title":"t","description":"d","tittle":1,"tags":2}}`,
			[]string{"/document/tittle", "/document/tags"},
		},
		{`{"verb":"put","kind":"rule","ifversion":3,"document":{"rule_id":"x"}}`, []string{"/ifversion"}},
		{`{"verb":"put","kind":"rule","if_version":"3","document":7}`, []string{"/if_version", "/document"}},
		{`{"verb":"put","kind":"nonsense"}`, []string{"/kind"}},
		{`{"verb":"put"}`, []string{"/kind"}},
		{`{"verb":1,"kind":2,"id":3}`, []string{"/verb", "/kind", "/id"}},
		{`[]`, []string{""}},
		{`{`, []string{""}},
		{``, []string{""}},
	} {
		op, err := DecodeOp([]byte(c.data))
		wantFaults(t, c.data, err, c.want...)
		if err == nil && op.Key != (Key{KindRule, "SEC-001"}) {
			t.Errorf("%s is about %s", c.data, op.Key)
		}
	}
	for _, op := range []Op{
		Put(valid()[0], 7),
		{Verb: VerbPatch, Key: Key{KindRule, "SEC-001"}, Patch: []byte(`{"a":[1,null]}`)},
		{Verb: VerbPurge, Key: Key{KindCategory, "x"}, IfVersion: 3},
	} {
		data, err := json.Marshal(op)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeOp(data)
		if err != nil || !cmp.Equal(op, again) {
			t.Errorf("%s comes back otherwise: %v\n%s", data, err, cmp.Diff(op, again))
		}
	}
}

func TestFingerprintsTellBatchesApart(t *testing.T) {
	rule := func() Document { return valid()[0] }
	base := Batch{ID: NewBatchID(), Actor: "me", Ops: []Op{Put(rule(), 1)}}
	sum := func(b Batch) [32]byte {
		f, err := b.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	want := sum(base)
	same := base
	same.ID, same.At, same.Ops = NewBatchID(), At(time.Now()), []Op{Put(rule(), 1)}
	if sum(same) != want {
		t.Error("another id or time gives another fingerprint")
	}
	patch := func(p string) Batch {
		return Batch{Actor: "me", Ops: []Op{{Verb: VerbPatch, Key: rule().Key(), Patch: []byte(p)}}}
	}
	if sum(patch(`{"a": 1}`)) != sum(patch(`{"a":1}`)) {
		t.Error("spaces in a patch give another fingerprint")
	}
	for what, b := range map[string]Batch{
		"actor":     {Actor: "you", Ops: base.Ops},
		"condition": {Actor: "me", Ops: []Op{Put(rule(), 2)}},
		"document":  {Actor: "me", Ops: []Op{Put(valid()[1], 1)}},
		"verb":      {Actor: "me", Ops: []Op{{Verb: VerbRetire, Key: rule().Key(), IfVersion: 1}}},
		"more":      {Actor: "me", Ops: append([]Op{Put(rule(), 1)}, Put(valid()[1], 1))},
	} {
		if sum(b) == want {
			t.Errorf("another %s gives the same fingerprint", what)
		}
	}
	replay := Batch{Actor: "me", Ops: []Op{Put(rule(), 9)}, Origin: want}
	if sum(replay) != want {
		t.Error("a replay has not its writer's fingerprint")
	}
	bad := patch(`{`)
	if _, err := bad.Fingerprint(); err == nil {
		t.Error("a patch that is no JSON has a fingerprint")
	}
}

func TestNextSaysWhatAnOpLeavesBehind(t *testing.T) {
	rule := valid()[0].(*Rule)
	before := canonical(t, rule)
	op := func(verb Verb, patch string) Op { return Op{Verb: verb, Key: rule.Key(), Patch: []byte(patch)} }
	o := op(VerbPatch, `{"title":"New","tags":["b"],"extra":{"k":null,"n":1.0},"version":99}`)
	next, err := o.Next(rule)
	if err != nil {
		t.Fatal(err)
	}
	got := next.(*Rule)
	if got.Title != "New" || !cmp.Equal(got.Tags, []string{"b"}) || len(got.Extra) != 1 ||
		got.Extra["n"] != json.Number("1") || got.Description != rule.Description {
		t.Errorf("patched: %+v", got)
	}
	if canonical(t, rule) != before {
		t.Error("a patch has written on the document before it")
	}
	for verb, active := range map[Verb]bool{VerbRetire: false, VerbRestore: true} {
		o := op(verb, "")
		next, err := o.Next(rule)
		if err != nil || next.Active() != active || next == Document(rule) {
			t.Errorf("%s: %v, %v", verb, next, err)
		}
	}
	if !rule.IsActive || canonical(t, rule) != before {
		t.Error("retiring has written on the document before it")
	}
	o = op(VerbPurge, "")
	if next, err := o.Next(rule); next != nil || err != nil {
		t.Errorf("a purge leaves %v, %v", next, err)
	}
	put := Put(valid()[0], 0)
	if next, err := put.Next(nil); err != nil || next != put.Doc {
		t.Errorf("a put leaves %v, %v", next, err)
	}
	for patch, want := range map[string]string{
		`{"rule_id":"other"}`: "/rule_id", `{"rule_id":null}`: "/rule_id", `{"title":null}`: "/title",
		`{"severity":"x"}`: "/severity", `{"nope":1}`: "/nope", `[]`: "",
	} {
		o := op(VerbPatch, patch)
		_, err := o.Next(rule)
		wantFaults(t, patch, err, want)
	}
	o = op("shred", "")
	_, err = o.Next(rule)
	wantFaults(t, "shred", err, "/verb")
}

// A document as large as allowed can still be sent back, alone and in a batch, and patched.
func TestTheLargestDocumentCanBeSentBackAndPatched(t *testing.T) {
	rule := valid()[0].(*Rule)
	quotes := strings.Repeat("\"\n\u2028\u2029", MaxText/8)
	rule.Examples, rule.AntiPatterns = []Example{{Code: quotes}}, []Example{{Code: strings.Repeat("x", MaxText)}}
	var deep any = "bottom"
	for range MaxDepth - 2 {
		deep = []any{deep}
	}
	rule.Extra = map[string]any{"deep": deep}
	room := MaxDocument - stampRoom - len(canonical(t, rule))
	rule.ViolationsConsequence = strings.Repeat("x", min(MaxText, room))
	if err := rule.Validate(); err != nil || room > MaxText || room < 0 {
		t.Fatalf("room for %d: %v", room, err)
	}
	StampNext(rule, nil, 0, strings.Repeat("é", MaxTitle), At(time.Now()))
	stored := canonical(t, rule)
	if _, err := Decode(KindRule, []byte(stored)); err != nil {
		t.Errorf("sent back: %v", err)
	}
	data, err := json.Marshal(Put(rule, 1))
	if err != nil {
		t.Fatal(err)
	}
	if op, err := DecodeOp(data); err != nil || canonical(t, op.Doc) != stored {
		t.Errorf("sent back in a batch: %v", err)
	}
	o := Op{Verb: VerbPatch, Key: rule.Key(), Patch: []byte(`{"title":"New"}`)}
	next, err := o.Next(rule)
	if err != nil || next.(*Rule).Title != "New" {
		t.Errorf("%v", err)
	}
}

func TestChangeVerbsTellWhatHappened(t *testing.T) {
	on, off := &Rule{IsActive: true}, &Rule{}
	for _, c := range []struct {
		before, after Document
		want          Verb
	}{
		{nil, on, VerbPut},
		{nil, off, VerbPut},
		{on, on, VerbPut},
		{off, off, VerbPut},
		{on, off, VerbRetire},
		{off, on, VerbRestore},
		{on, nil, VerbPurge},
	} {
		if got := ChangeVerb(c.before, c.after); got != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.before, c.after, got, c.want)
		}
	}
}

func TestStampsSayWhoWhenAndWhichVersion(t *testing.T) {
	t1, t2 := At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), At(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	lie := Stamp{CreatedBy: "x", UpdatedBy: "x", CreatedAt: t2, UpdatedAt: t2, Version: 77}
	a := &Rule{Stamp: lie}
	StampNext(a, nil, 0, "ann", t1)
	if want := (Stamp{"ann", t1, "ann", t1, 1}); a.Stamp != want {
		t.Errorf("the first version: %+v", a.Stamp)
	}
	b := &Rule{Stamp: lie}
	StampNext(b, a, 5, "bob", t2)
	if want := (Stamp{"ann", t1, "bob", t2, 2}); b.Stamp != want {
		t.Errorf("the second version: %+v", b.Stamp)
	}
	c := &Rule{}
	StampNext(c, nil, 3, "cid", t2)
	if c.Version != 4 || c.CreatedBy != "cid" {
		t.Errorf("after a purge: %+v", c.Stamp)
	}
	v := &Violation{Status: ViolationOpen}
	StampNext(v, nil, 0, "ann", t1)
	if v.ReportedBy != "ann" || v.ReportedAt != t1 || v.ResolvedBy != "" || !v.ResolvedAt.IsZero() {
		t.Errorf("reported: %+v", v)
	}
	w := *v
	w.Status = ViolationResolved
	StampNext(&w, v, 1, "bob", t2)
	if w.ReportedBy != "ann" || w.ReportedAt != t1 || w.ResolvedBy != "bob" || w.ResolvedAt != t2 {
		t.Errorf("resolved: %+v", w)
	}
	x := w
	x.Status, x.WaiverReason = ViolationWaived, "known"
	StampNext(&x, &w, 2, "cid", t2)
	if x.ResolvedBy != "" || !x.ResolvedAt.IsZero() {
		t.Errorf("waived: %+v", x)
	}
}

// TestTheChainIsTheSameForEver pins the chain of the log: a store of any later version must verify what was written
// before.
func TestTheChainIsTheSameForEver(t *testing.T) {
	c := Change{
		Seq: 42, Key: Key{KindRule, "SEC-001"}, Version: 7, Verb: VerbPut,
		Batch: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"),
		Hash:  sha256.Sum256([]byte(`{"rule_id":"SEC-001"}`)),
		// What is not covered: who and when stand in the document.
		Actor: "me", At: At(time.Now()), More: true,
	}
	var zero [32]byte
	byHand := sha256.Sum256([]byte(string(zero[:]) +
		"42\nrule\nSEC-001\n7\nput\n01890a5d-ac96-774b-bcce-b302099a8057\n" + string(c.Hash[:])))
	first := NextChain(zero, &c)
	if first != byHand {
		t.Errorf("chain %x, by hand %x", first, byHand)
	}
	const golden = "30a039229676d216b127a4ffaf1b3809916c6c5b186823e1223045c20dc1368f"
	if got := hex.EncodeToString(first[:]); got != golden {
		t.Errorf("chain %s, want %s", got, golden)
	}
	for what, change := range map[string]func(*Change){
		"seq": func(c *Change) { c.Seq++ }, "kind": func(c *Change) { c.Key.Kind = KindPractice },
		"id":      func(c *Change) { c.Key.ID = "SEC-002" },
		"version": func(c *Change) { c.Version++ }, "verb": func(c *Change) { c.Verb = VerbPurge },
		"batch":    func(c *Change) { c.Batch = BatchID{} },
		"document": func(c *Change) { c.Hash[0]++ },
	} {
		other := c
		change(&other)
		if NextChain(zero, &other) == first {
			t.Errorf("another %s gives the same chain", what)
		}
	}
	if NextChain(first, &c) == first {
		t.Error("another predecessor gives the same chain")
	}
}

func TestChangesComeBackFromJSON(t *testing.T) {
	rec, err := NewRecord(valid()[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Change{
		{
			Seq: 1, Batch: NewBatchID(), Verb: VerbPut, Key: rec.Key, Version: 3, Record: rec, Actor: "é",
			At: At(time.Now()), Hash: [32]byte{1}, Chain: [32]byte{2}, More: true,
		},
		{Seq: 2, Verb: VerbPurge, Key: rec.Key, Version: 4, Actor: "x"},
	} {
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var again Change
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("a change comes back otherwise:\n%s", diff)
		}
	}
	for _, bad := range []string{`{}`, `[]`, `{"hash":"00","chain":"00"}`, `{"seq":"x"}`} {
		var c Change
		if err := json.Unmarshal([]byte(bad), &c); err == nil {
			t.Errorf("%s is a change", bad)
		}
	}
}

func TestTimesAreReadFromAnyZoneAndWrittenInOneWay(t *testing.T) {
	for in, want := range map[string]string{
		`"2026-01-31T12:00:00Z"`:              `"2026-01-31T12:00:00.000000Z"`,
		`"2026-01-31T12:00:00.1234567+05:45"`: `"2026-01-31T06:15:00.123456Z"`, `null`: `null`,
		`"9999-12-31T23:59:59.999999Z"`: `"9999-12-31T23:59:59.999999Z"`,
		`"0001-01-01T00:00:00.000001Z"`: `"0001-01-01T00:00:00.000001Z"`,
	} {
		var at Time
		if err := json.Unmarshal([]byte(in), &at); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		b, err := json.Marshal(at)
		if err != nil || string(b) != want {
			t.Errorf("%s is written as %s (%v), want %s", in, b, err, want)
		}
	}
	for _, bad := range []string{
		`"yesterday"`, `"2026-01-31"`, `"2026-13-01T00:00:00Z"`, `7`, `{}`, `"9999-12-31T23:59:59-05:00"`,
		`"0001-01-01T00:00:00+05:00"`, `"10000-01-01T00:00:00Z"`, `""`,
	} {
		var at Time
		if err := json.Unmarshal([]byte(bad), &at); err == nil {
			t.Errorf("%s is the time %v", bad, at)
		}
	}
	if !At(time.Time{}).IsZero() {
		t.Error("no time is a time")
	}
}
