package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Conflicts of the tests' desk, besides that of the examples.
const (
	decidedID   = "018f4a3e-7c10-7a5e-9f0b-0000000000d1"
	purgeID     = "018f4a3e-7c10-7a5e-9f0b-0000000000d2"
	principalID = "018f4a3e-7c10-7a5e-9f0b-0000000000d3"
)

// A desk is one with some conflicts which stay as they are, whatever is decided.
type desk struct{ *faulty }

func (d desk) Conflicts(_ context.Context, q store.ParkedQuery) ([]store.Parked, error) {
	if err := d.fault(); err != nil {
		return nil, err
	}
	example := exampleConflict()
	parked := func(id string, op knowledge.Op) store.Parked {
		return store.Parked{
			Entry: store.Entry{Batch: knowledge.Batch{
				ID: uuid.MustParse(id), Actor: "anna",
				Ops: []knowledge.Op{op},
			}, At: example.QueuedAt},
			Why:      example.Why,
			Found:    1,
			ParkedAt: example.ParkedAt,
		}
	}
	open := parked(exampleBatchID, knowledge.Put(exampleDocument(knowledge.KindRule), 1))
	open.Base, open.Theirs, open.Ours, open.Seen = example.Base, example.Theirs, example.Ours, example.Seen
	decided := parked(decidedID, knowledge.Put(exampleDocument(knowledge.KindCategory), 1))
	decided.Op, decided.Resolution, decided.ResolvedBy, decided.ResolvedAt = -1, store.ResolveTheirs, "carla",
		example.ParkedAt
	list := []store.Parked{
		open, parked(purgeID, knowledge.Op{Verb: knowledge.VerbPurge, Key: knowledge.Key{
			Kind: knowledge.KindTemplate,
			ID:   "incident-report",
		}}),
		parked(principalID, knowledge.Put(exampleDocument(knowledge.KindPrincipal), 1)),
	}
	if q.Resolved {
		list = append(list, decided)
	}
	return list, nil
}

func (d desk) Resolve(ctx context.Context, by string, decisions ...store.Decision) ([]store.Decided, error) {
	if err := d.fault(); err != nil {
		return nil, err
	}
	var done []store.Decided
	for _, decision := range decisions {
		if decision.ID.String() == decidedID {
			return done, knowledge.Invalid("", "the conflict was resolved already")
		}
		one := store.Decided{ID: decision.ID}
		if decision.How != store.ResolveTheirs {
			if decision.Seen != exampleSeen {
				return done, &store.ConflictError{
					Key: knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"}, Want: 2,
					Got: 3,
				}
			}
			merged := decision.Merged
			if merged == nil {
				d := exampleDocument(knowledge.KindRule)
				d.(*knowledge.Rule).Title = "Pass values as parameters"
				merged = d
			}
			merged.Normalize()
			rec, err := d.Apply(ctx, knowledge.Batch{
				ID: uuid.NewSHA1(decision.ID, []byte(decision.How)), Actor: by,
				Ops: []knowledge.Op{knowledge.Put(merged, 1)},
			})
			if err != nil {
				return done, err
			}
			one.Receipt = rec
		}
		done = append(done, one)
	}
	return done, nil
}

// A mirrorBell counts what is asked of a mirror.
type mirrorBell struct{ checks, accepts atomic.Int64 }

func (m *mirrorBell) CheckMirror() { m.checks.Add(1) }

func (m *mirrorBell) AcceptPrimary() { m.accepts.Add(1) }

func TestConflicts(t *testing.T) {
	resolve := func(id, body string) ask { return post(conflictsPath+"/"+id+"/resolve", body) }
	merged := encoded(exampleResolves()[2].value)
	runScenarios(t, []scenario{
		{
			name: "those that wait", ask: get(conflictsPath), status: 200,
			want: `{"conflicts":[
				{"id":"` + exampleBatchID + `","actor":"anna","kind":"rule","document_id":"SEC-001","op":0,"verb":"put","ops":1,"found":1,
				"base":{"version":1},"theirs":{"title":"Never build SQL from text"},"ours":{"title":"Pass values as parameters"},"parked_at":"*"},
				{"id":"` + purgeID + `","verb":"purge","base":null,"theirs":null,"ours":null},{"id":"` + principalID +
				`"}]}`,
		},
		{
			name: "also those decided, of a viewer",
			ask:  as(knowledge.RoleViewer, get(conflictsPath+"?resolved=true")), status: 200,
			want: `{"conflicts":[{"id":"` + exampleBatchID + `"},{"id":"` + purgeID + `"},
				{"id":"` + decidedID + `","kind":"category","op":-1,"resolution":"theirs","resolved_by":"carla",` +
				`"resolved_at":"*"}]}`,
		},
		{name: "one", ask: get(conflictsPath + "/" + exampleBatchID), status: 200, want: `{"id":"` + exampleBatchID +
			`","document_id":"SEC-001"}`},
		{
			name: "a decided one", ask: get(conflictsPath + "/" + decidedID), status: 200,
			want: `{"resolution":"theirs"}`,
		},
		{name: "one about a principal, of a maintainer", ask: as(knowledge.RoleMaintainer,
			get(conflictsPath+"/"+principalID)), status: 404},
		{name: "an unknown one", ask: get(conflictsPath + "/" + batchUUID), status: 404, want: `{"code":"not_found"}`},
		{
			name: "what is no id", ask: get(conflictsPath + "/7"), status: 400,
			want: `{"errors":[{"pointer":"/id","detail":"*"}]}`,
		},
		{
			name: "theirs", ask: as(knowledge.RoleMaintainer, resolve(exampleBatchID, `{"resolution":"theirs"}`)),
			status: 200,
			want:   `{"conflict":{"id":"` + exampleBatchID + `"},"state":"applied","results":[]}`,
		},
		{
			name: "ours", ask: as(knowledge.RoleMaintainer, resolve(exampleBatchID, `{"resolution":"ours","seen":"`+
				exampleSeen+`"}`)), status: 200,
			want: `{"state":"applied","seq":"*","results":[{"kind":"rule","id":"SEC-001","version":2,` +
				`"document":{"title":"Pass values as parameters"}}]}`,
			heads:   map[string]string{"Tenet-Batch": "*", "Tenet-Seq": "*"},
			changes: []string{"put rule/SEC-001 2 the-maintainer"},
		},
		{
			name: "merged", ask: resolve(exampleBatchID, merged), status: 200,
			want:    `{"results":[{"document":{"title":"~Never build SQL from text: pass"}}]}`,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "merged without an id", ask: resolve(exampleBatchID, `{"resolution":"merged","seen":"`+exampleSeen+
				`","document":`+aRule+`}`), status: 200,
			want: `{"results":[{"id":"SEC-001"}]}`, changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "ours of what is no longer so", ask: resolve(exampleBatchID, `{"resolution":"ours","seen":"0123"}`),
			status: 409, want: `{"code":"conflict","got":3}`,
		},
		{
			name: "a page", ask: get(conflictsPath + "?limit=20&kind=rule&document_id=SEC-001&actor=anna&cursor=7"),
			status: 200, want: `{"conflicts":"*"}`,
		},
		{
			name: "another kind", ask: get(conflictsPath + "?kind=song"), status: 400,
			want: `{"errors":[{"pointer":"/kind","detail":"*"}]}`,
		},
		{
			name: "another cursor", ask: get(conflictsPath + "?cursor=x"), status: 400,
			want: `{"errors":[{"pointer":"/cursor","detail":"*"}]}`,
		},
		{
			name: "many", ask: post(conflictsPath+"/resolve", encoded(exampleResolveMany()[0].value)), status: 200,
			want:    `{"decided":[{"id":"` + exampleBatchID + `","state":"applied","seq":"*"}]}`,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "many, one of them decided", status: 200, want: `{"decided":[{"id":"` + exampleBatchID +
				`"}],"stopped":"~already"}`,
			ask: post(conflictsPath+"/resolve", `{"resolution":"theirs","conflicts":[{"id":"`+exampleBatchID+
				`"},{"id":"`+decidedID+`"}]}`),
		},
		{
			name: "many without what was seen", ask: post(conflictsPath+"/resolve",
				`{"resolution":"ours","conflicts":[{"id":"`+exampleBatchID+`"},{"id":"7"}]}`), status: 422,
			want: `{"errors":[{"pointer":"/conflicts/0/seen","detail":"*"},{"pointer":"/conflicts/1/id","detail":"*"}]}`,
		},
		{
			name: "none of many", ask: post(conflictsPath+"/resolve", `{"resolution":"merged","conflicts":[]}`),
			status: 422, want: `{"errors":[{"pointer":"/resolution","detail":"*"},{"pointer":"/conflicts",` +
				`"detail":"*"}]}`,
		},
		{
			name: "many with a purge, by a maintainer", status: 403,
			ask: as(knowledge.RoleMaintainer,
				post(conflictsPath+"/resolve", `{"resolution":"theirs","conflicts":[{"id":"`+purgeID+`"}]}`)),
		},
		{name: "ours, by a contributor", ask: as(knowledge.RoleContributor,
			resolve(exampleBatchID, `{"resolution":"ours","seen":"`+exampleSeen+`"}`)), status: 403},
		{name: "a purge, by a maintainer", ask: as(knowledge.RoleMaintainer,
			resolve(purgeID, `{"resolution":"ours","seen":"`+exampleSeen+`"}`)), status: 403},
		{name: "a principal, by a maintainer", ask: as(knowledge.RoleMaintainer,
			resolve(principalID, `{"resolution":"ours","seen":"`+exampleSeen+`"}`)), status: 404},
		{
			name: "one that is decided", ask: resolve(decidedID, `{"resolution":"theirs"}`), status: 422,
			want: `{"errors":[{"pointer":"","detail":"~already"}]}`,
		},
		{
			name: "no decision", ask: resolve(exampleBatchID, `{}`), status: 422,
			want: `{"errors":[{"pointer":"/resolution","detail":"*"}]}`,
		},
		{
			name: "another decision", ask: resolve(exampleBatchID, `{"resolution":"mine","by":"me"}`), status: 422,
			want: `{"errors":[{"pointer":"/by","detail":"*"},{"pointer":"/resolution","detail":"~theirs, ours or ` +
				`merged"}]}`,
		},
		{
			name: "merged without a document", ask: resolve(exampleBatchID, `{"resolution":"merged"}`), status: 422,
			want: `{"errors":[{"pointer":"/document","detail":"*"}]}`,
		},
		{
			name: "a document for nothing", ask: resolve(exampleBatchID, `{"resolution":"ours","document":{}}`),
			status: 422, want: `{"errors":[{"pointer":"/document","detail":"*"}]}`,
		},
		{
			name: "a faulty document", ask: resolve(exampleBatchID,
				`{"resolution":"merged","document":{"category":"security","title":"T","description":"D","titel":1}}`),
			status: 422,
			want:   `{"errors":[{"pointer":"/document/titel","detail":"~title"}]}`,
		},
	})
}

// TestADecisionIsNoWayRoundTheReview decides conflicts whose documents the policy has written by proposals alone,
// before the decision or after it.
func TestADecisionIsNoWayRoundTheReview(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		o.Policy = access.Policy{Rules: []access.PolicyRule{{
			Kind: knowledge.KindRule, Category: "security",
			Approvals: 2,
		}}}
	})
	maintainer := func(a ask) *reply { return n.do(as(knowledge.RoleMaintainer, a)) }
	merged := encoded(exampleResolves()[2].value)
	for _, a := range []ask{
		post(conflictsPath+"/"+exampleBatchID+"/resolve", `{"resolution":"ours","seen":"`+exampleSeen+`"}`),
		post(conflictsPath+"/"+exampleBatchID+"/resolve", merged),
		post(conflictsPath+"/resolve", `{"resolution":"ours","conflicts":[{"id":"`+exampleBatchID+`","seen":"`+
			exampleSeen+`"}]}`),
	} {
		if r := maintainer(a); r.status != http.StatusForbidden ||
			!strings.Contains(string(r.body), "asks for 2 approvals") {
			t.Errorf("%s %s: %d %s, want 403", a.path, a.body, r.status, r.body)
		}
	}
	if r := maintainer(post(conflictsPath+"/"+exampleBatchID+"/resolve",
		`{"resolution":"theirs"}`)); r.status != http.StatusOK {
		t.Errorf("theirs: %d %s", r.status, r.body)
	}
}

func TestATenetWithoutADeskHasNoConflicts(t *testing.T) {
	n := newTenet(t, func(o *Options) { o.Desk = nil })
	if r := n.do(get(conflictsPath)); r.status != http.StatusOK ||
		strings.TrimSpace(string(r.body)) != `{"conflicts":[]}` {
		t.Errorf("the list: %d %s", r.status, r.body)
	}
	for _, a := range []ask{
		get(conflictsPath + "/" + exampleBatchID),
		post(conflictsPath+"/"+exampleBatchID+"/resolve", `{"resolution":"ours","seen":"`+exampleSeen+`"}`),
	} {
		if r := n.do(a); r.status != http.StatusNotFound {
			t.Errorf("%s %s: %d %s", a.method, a.path, r.status, r.body)
		}
	}
}

func TestOnlyAdminsAskTheMirror(t *testing.T) {
	bell := &mirrorBell{}
	n := newTenet(t, func(o *Options) { o.Mirror = bell })
	for _, what := range []string{"check", "accept"} {
		a := ask{method: http.MethodPost, path: mirrorPath + "/" + what}
		a.token = knowledge.RoleMaintainer
		if r := n.do(a); r.status != http.StatusForbidden {
			t.Errorf("a maintainer's %s: %d", what, r.status)
		}
		a.token = ""
		r := n.do(a)
		if got := decode[mirrorAnswer](t, r); r.status != http.StatusAccepted || got.Asked != what {
			t.Errorf("an admin's %s: %d %s", what, r.status, r.body)
		}
	}
	if bell.checks.Load() != 1 || bell.accepts.Load() != 1 {
		t.Errorf("asked %d times to check and %d times to accept, want once each", bell.checks.Load(),
			bell.accepts.Load())
	}
}

func TestNullStandsForADocumentThatIsNotThere(t *testing.T) {
	b, err := json.Marshal(api.ConflictOf(&store.Parked{Entry: store.Entry{Batch: knowledge.Batch{Ops: make([]knowledge.Op,
		1)}}, Found: knowledge.NoVersion}))
	if err != nil {
		t.Fatal(err)
	}
	(&reply{body: b}).holds(t, `{"base":null,"theirs":null,"ours":null,"found":0}`)
}

// TestConflictsOfWhatIsConfidentialAreForThoseWhoReadIt makes the category of the example confidential.
func TestConflictsOfWhatIsConfidentialAreForThoseWhoReadIt(t *testing.T) {
	category := exampleDocument(knowledge.KindRule).CategoryID()
	n := newTenet(t, func(o *Options) {
		o.Policy.Confidential = access.Classification{{Category: category, Role: knowledge.RoleMaintainer}}
	})
	for role, reads := range map[string]bool{knowledge.RoleContributor: false, knowledge.RoleMaintainer: true} {
		list := string(n.do(as(role, get(conflictsPath))).body)
		if strings.Contains(list, exampleBatchID) != reads || !strings.Contains(list, `"conflicts":[`) {
			t.Errorf("%s: the list shows the conflict: %t, want %t\n%s", role, !reads, reads, list)
		}
		want := http.StatusNotFound
		if reads {
			want = http.StatusOK
		}
		if one := n.do(as(role, get(conflictsPath+"/"+exampleBatchID))); one.status != want {
			t.Errorf("%s gets %d for the conflict, want %d\n%s", role, one.status, want, one.body)
		}
	}
}
