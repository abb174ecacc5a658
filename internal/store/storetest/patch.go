package storetest

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func patchLaws() []law {
	return []law{
		{name: "a patch changes what it names and nothing else", check: patchChangesWhatItNames},
		{name: "a patch follows RFC 7396", check: patchFollowsTheRFC},
		{name: "a patch can't rename a document", check: patchCantRename},
		{name: "a patch whose result is invalid is refused with the place", check: patchMustFit},
		{name: "a patch of every kind works", check: patchEveryKind},
	}
}

func patchOp(k knowledge.Key, patch string) knowledge.Op {
	return knowledge.Op{Verb: knowledge.VerbPatch, Key: k, Patch: json.RawMessage(patch)}
}

func patchChangesWhatItNames(s *suite) {
	r := Rule()
	s.put(r)
	rec := s.apply(patchOp(r.Key(), `{"title":"New title","scope":{"globs":["a/**"]},"priority":99}`)).Records[0]
	want, err := knowledge.Clone(r)
	if err != nil {
		s.Fatal(err)
	}
	w := want.(*knowledge.Rule)
	w.Title, w.Scope.Globs, w.Priority = "New title", []string{"a/**"}, 99
	s.same(rec, w)
	s.unchanged(rec)
	if !s.o.NoLog && !s.o.Queued {
		c := s.changes(knowledge.ChangeQuery{Key: r.Key()})
		if last := c[len(c)-1]; last.Verb != knowledge.VerbPut {
			s.Errorf("the change of a patch says %s, want put", last.Verb)
		}
	}
}

// patchFollowsTheRFC runs the examples of RFC 7396's appendix inside a field that takes any value.
func patchFollowsTheRFC(s *suite) {
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"a":[1,2]}`, `{"a":{"a":"b","c":null}}`, `{"a":{"a":"b"}}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var extra map[string]any
		if err := json.Unmarshal([]byte(c.target), &extra); err != nil {
			s.Fatal(err)
		}
		r := Rule(func(r *knowledge.Rule) { r.Extra = extra })
		s.put(r)
		rec := s.apply(patchOp(r.Key(), `{"extra":`+c.patch+`}`)).Records[0]
		var got struct {
			Extra json.RawMessage `json:"extra"`
		}
		if err := json.Unmarshal(rec.JSON, &got); err != nil {
			s.Fatal(err)
		}
		if string(got.Extra) != c.want {
			s.Errorf("%s patched with %s: %s, want %s", c.target, c.patch, got.Extra, c.want)
		}
	}
	// A member that is taken away falls back to its default.
	r := Rule()
	s.put(r)
	rec := s.apply(patchOp(r.Key(), `{"severity":null,"tags":null,"examples":null,"status":null}`)).Records[0]
	d, err := rec.Document()
	if err != nil {
		s.Fatal(err)
	}
	got := d.(*knowledge.Rule)
	if got.Severity != knowledge.SeverityWarning || got.Status != knowledge.StatusActive || len(got.Tags)+
		len(got.Examples) != 0 || !got.IsActive {
		s.Errorf("after taking fields away: %s", rec.JSON)
	}
}

func patchCantRename(s *suite) {
	r := Rule()
	rec := s.put(r)
	err := s.refused(Batch(patchOp(r.Key(), `{"rule_id":"another"}`)))
	s.invalidAt(err, "/ops/0/patch/rule_id")
	err = s.refused(Batch(knowledge.Put(Category(), 0), patchOp(r.Key(), `{"rule_id":null}`)))
	s.invalidAt(err, "/ops/1/patch/rule_id")
	s.unchanged(rec)
	s.missing(knowledge.Key{Kind: knowledge.KindRule, ID: "another"})
	s.apply(patchOp(r.Key(), `{"rule_id":"`+r.RuleID+`"}`)) // the same name is no renaming
}

func patchMustFit(s *suite) {
	r := Rule()
	rec := s.put(r)
	for patch, pointer := range map[string]string{
		`{"title":""}`:                       "/ops/0/patch/title",
		`{"severity":"LOUD"}`:                "/ops/0/patch/severity",
		`{"severity":5}`:                     "/ops/0/patch/severity",
		`{"tittle":"x"}`:                     "/ops/0/patch/tittle",
		`{"description":null}`:               "/ops/0/patch/description",
		`{"examples":[{"title":"neither"}]}`: "/ops/0/patch/examples/0",
		`{"scope":{"activation":"never"}}`:   "/ops/0/patch/scope/activation",
		`{"category":"nowhere"}`:             "/ops/0/patch/category",
		`{"priority":1.5}`:                   "/ops/0/patch/priority",
		`{"tags":["a","a"]}`:                 "/ops/0/patch/tags/1",
		`["title"]`:                          "/ops/0/patch",
		`"title"`:                            "/ops/0/patch",
		`null`:                               "/ops/0/patch",
		``:                                   "/ops/0/patch",
		`{"title":"a"} {}`:                   "/ops/0/patch",
		`{"extra":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`: "/ops/0/patch",
	} {
		s.invalidAt(s.refused(Batch(patchOp(r.Key(), patch))), pointer)
	}
	s.unchanged(rec)
	v := Violation(r.RuleID)
	s.put(v)
	s.invalidAt(s.refused(Batch(patchOp(v.Key(), `{"status":"waived"}`))), "/ops/0/patch/waiver_reason")
	s.invalidAt(s.refused(Batch(patchOp(v.Key(), `{"rule_id":"no-such-rule"}`))), "/ops/0/patch/rule_id")
	err := s.refused(Batch(knowledge.Op{
		Verb: knowledge.VerbPatch, Key: r.Key(), Patch: []byte(`{}`),
		IfVersion: knowledge.NoVersion,
	}))
	s.invalidAt(err, "/ops/0/if_version")
}

func patchEveryKind(s *suite) {
	for _, d := range s.oneOfEach() {
		first := s.put(d)
		field := map[knowledge.Kind]string{
			knowledge.KindRule: "violations_consequence", knowledge.KindPractice: "implementation_guide",
			knowledge.KindTemplate: "description",
			knowledge.KindCategory: "description", knowledge.KindViolation: "source", knowledge.KindPrincipal: "name",
			knowledge.KindPack: "description", knowledge.KindRepository: "owner", knowledge.KindLabel: "description",
			knowledge.KindProposal: "why",
		}[d.Key().Kind]
		op := patchOp(d.Key(), `{"`+field+`":"patched in"}`)
		op.IfVersion = 1
		rec := s.apply(op).Records[0]
		var before, after map[string]any
		if err := errors.Join(json.Unmarshal(first.JSON, &before), json.Unmarshal(rec.JSON, &after)); err != nil {
			s.Fatal(err)
		}
		before[field] = "patched in"
		for _, m := range []map[string]any{before, after} {
			delete(m, "updated_at")
			delete(m, "version")
		}
		if diff := cmp.Diff(before, after); diff != "" {
			s.Errorf("%s after a patch of %s (-want +got):\n%s", rec.Key, field, diff)
		}
		if err := s.refused(Batch(op)); !errors.Is(err, store.ErrConflict) {
			s.Errorf("the same patch of version 1 again, as another batch: %v, want ErrConflict", err)
		}
	}
}
