package httpapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
)

// A scenario is a request with what must come of it.
type scenario struct {
	name    string
	before  []ask // requests that come first
	ask     ask
	status  int
	want    string            // JSON that the answer must hold
	heads   map[string]string // headers of the answer; "" for none, and a star stands for anything
	changes []string          // what the log must hold behind what was there before; nil for nothing
}

func put(path, body string) ask   { return ask{method: http.MethodPut, path: path, body: body} }
func post(path, body string) ask  { return ask{method: http.MethodPost, path: path, body: body} }
func patch(path, body string) ask { return ask{method: http.MethodPatch, path: path, body: body} }
func get(path string) ask         { return ask{method: http.MethodGet, path: path} }
func del(path string) ask         { return ask{method: http.MethodDelete, path: path} }

const (
	rulePath  = "/api/v1/rules/SEC-001"
	aRule     = `{"category":"security","title":"Another","description":"Text."}`
	invalid   = `"code":"invalid"`
	batchUUID = "018f4a3e-7c10-7a5e-9f0b-00000000000a"
)

func runScenarios(t *testing.T, list []scenario) {
	t.Helper()
	n := newTenet(t, counting)
	for _, sc := range list {
		t.Run(sc.name, func(t *testing.T) {
			n.t = t
			for _, b := range sc.before {
				if r := n.do(b); r.status >= 400 {
					t.Fatalf("%s %s first: %d %s", b.method, b.path, r.status, r.body)
				}
			}
			before := n.tail()
			sc.ask = withTag(n, sc.ask)
			r := n.do(sc.ask)
			if r.status != sc.status {
				t.Fatalf("got %d, want %d\n%s", r.status, sc.status, r.body)
			}
			if sc.want != "" {
				r.holds(t, sc.want)
			}
			for name, want := range sc.heads {
				got := r.header.Get(name)
				if begin, end, star := strings.Cut(want, "*"); got != want && (!star || got == "" ||
					!strings.HasPrefix(got, begin) || !strings.HasSuffix(got, end)) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			checkReply(t, r)
			want := sc.changes
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, n.changesSince(before)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
		n = n.renewed(t, counting)
	}
}

// withTag puts the tag that the rule of rulePath has now, without its quotes, in place of {tag}.
func withTag(n *tenet, a ask) ask {
	put := func(text string) string {
		if !strings.Contains(text, "{tag}") {
			return text
		}
		return strings.ReplaceAll(text, "{tag}", strings.Trim(n.do(get(rulePath)).header.Get("ETag"), `"`))
	}
	a.header, a.body = maps.Clone(a.header), put(a.body)
	for i, v := range a.header {
		a.header[i] = put(v)
	}
	return a
}

func TestWrites(t *testing.T) {
	archived := []ask{
		del("/api/v1/templates/incident-report"),
		post(batchesPath, `{"ops":[{"verb":"archive","kind":"template","id":"incident-report"}]}`),
	}
	runScenarios(t, []scenario{
		{
			name: "creating a document", ask: post("/api/v1/rules", `{"rule_id":"NEW-1",`+aRule[1:]), status: 201,
			want: `{"rule_id":"NEW-1","version":1,"created_by":"the-admin","severity":"WARNING","active":true}`,
			heads: map[string]string{
				"Location": "/api/v1/rules/NEW-1", "ETag": `"1-*"`, "Tenet-Batch": "*",
				"Tenet-Seq": "*", "Tenet-Mode": "normal",
			},
			changes: []string{"put rule/NEW-1 1 the-admin"},
		},
		{
			name: "creating what is there", ask: post("/api/v1/rules", `{"rule_id":"SEC-001",`+aRule[1:]), status: 409,
			want: `{"code":"conflict","kind":"rule","id":"SEC-001","op":0,"want":-1,"got":1}`,
		},
		{
			name:   "creating what is there, with a condition",
			ask:    post("/api/v1/rules", `{"rule_id":"SEC-001",`+aRule[1:]).with("If-None-Match", "*"),
			status: 412, want: `{"code":"precondition_failed","kind":"rule","id":"SEC-001","want":-1,"got":1}`,
		},
		{
			name: "a condition that a creation can't have", ask: post("/api/v1/rules", `{"rule_id":"NEW-1",`+
				aRule[1:]).with("If-Match", `"1"`),
			status: 400, want: `{"code":"invalid","query":true,"errors":[{"pointer":"/If-Match","detail":"*"}]}`,
		},
		{
			name: "a violation without an id", ask: post("/api/v1/violations",
				`{"rule_id":"SEC-001","message":"There."}`).with("Idempotency-Key", batchUUID),
			status: 201, want: `{"violation_id":"` + batchUUID + `","reported_by":"the-admin"}`,
			heads:   map[string]string{"Location": "/api/v1/violations/" + batchUUID, "Tenet-Batch": batchUUID},
			changes: []string{"put violation/" + batchUUID + " 1 the-admin"},
		},
		{
			name: "replacing", ask: put(rulePath, aRule), status: 200,
			want:    `{"rule_id":"SEC-001","version":2,"title":"Another"}`,
			heads:   map[string]string{"ETag": `"2-*"`, "Location": ""},
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "replacing the version that was seen", ask: put(rulePath, aRule).with("If-Match", `"1"`), status: 200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "replacing the version that was seen compressed", ask: put(rulePath, aRule).with("If-Match",
				`"1-gzip"`), status: 200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "replacing one of several versions", ask: put(rulePath, aRule).with("If-Match", `"7", "1"`),
			status:  200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "replacing any version", ask: put(rulePath, aRule).with("If-Match", `*`), status: 200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name:   "replacing by the batch that wrote it",
			before: []ask{put(rulePath, aRule).with("Idempotency-Key", batchUUID)},
			ask:    put(rulePath, aRule).with("If-Match", `"`+batchUUID+`"`), status: 200,
			changes: []string{"put rule/SEC-001 3 the-admin"},
		},
		{
			name: "replacing by a batch that wrote an older one",
			before: []ask{
				put(rulePath, aRule).with("Idempotency-Key", batchUUID), put(rulePath, aRule),
			},
			ask: put(rulePath, aRule).with("If-Match", `"`+batchUUID+`"`), status: 412,
			want: `{"code":"precondition_failed","got":3}`,
		},
		{
			name: "replacing a stale version", ask: put(rulePath, aRule).with("If-Match", `"9"`), status: 412,
			want: `{"code":"precondition_failed","kind":"rule","id":"SEC-001","op":0,"want":9,"got":1}`,
		},
		{
			name: "replacing by a tag that a proxy has made weak", ask: put(rulePath, aRule).with("If-Match",
				`W/"{tag}"`), status: 200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "replacing by the whole tag", ask: put(rulePath, aRule).with("If-Match", `"{tag}"`), status: 200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name:    "replacing the version that a proxy has compressed",
			ask:     put(rulePath, aRule).with("If-Match", `W/"{tag}-br"`),
			status:  200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name:   "replacing a version that was another text, as before a restore",
			ask:    put(rulePath, strings.Replace(aRule, "{", `{"version":1,"updated_at":"2020-01-01T00:00:00Z",`, 1)),
			status: 409, want: `{"code":"conflict","want":1,"got":1}`,
		},
		{
			name: "replacing by one of several tags", ask: put(rulePath, aRule).with("If-Match",
				`"abc", W/"{tag}-gzip"`), status: 200,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "replacing by the tag of another text at the same version",
			ask:  put(rulePath, aRule).with("If-Match", `"1-0123456789ab"`), status: 412,
			want: `{"code":"precondition_failed","want":1,"got":1}`,
		},
		{
			name: "replacing by one of several tags of other texts", ask: put(rulePath, aRule).with("If-Match",
				`"1-0123456789ab", "2-0123456789ab"`), status: 412,
		},
		{
			name: "replacing by a tag of a version that was overtaken", before: []ask{put(rulePath, aRule)},
			ask: put(rulePath, aRule).with("If-Match", `"1-0123456789ab"`), status: 412, want: `{"want":1,"got":2}`,
		},
		{
			name: "replacing by a tag of somebody else", ask: put(rulePath, aRule).with("If-Match", `"abc"`),
			status: 412,
		},
		{
			name: "replacing what is not there", ask: put("/api/v1/rules/NEW-1", aRule).with("If-Match", `"1"`),
			status: 412,
			want:   `{"code":"precondition_failed","got":0}`,
		},
		{
			name: "replacing any version of what is not there", ask: put("/api/v1/rules/NEW-1", aRule).with("If-Match",
				`*`), status: 412,
		},
		{
			name: "writing what is not there", ask: put("/api/v1/rules/NEW-1", aRule), status: 201,
			heads:   map[string]string{"Location": "/api/v1/rules/NEW-1", "ETag": `"1-*"`},
			changes: []string{"put rule/NEW-1 1 the-admin"},
		},
		{
			name: "a write that is only tried", ask: put(rulePath+"?dry_run=true", aRule), status: 200,
			want:  `{"rule_id":"SEC-001","version":2}`,
			heads: map[string]string{"Tenet-Dry-Run": "true", "Tenet-Batch": "", "ETag": ""},
		},
		{
			name: "a write that is only tried, on another version", ask: put(rulePath+"?dry_run=true",
				aRule).with("If-Match", `"7"`), status: 412,
		},
		{
			name: "a creation that is only tried", ask: post("/api/v1/rules?dry_run=true", `{"rule_id":"NEW-1",`+
				aRule[1:]), status: 201,
			want: `{"rule_id":"NEW-1","version":1}`, heads: map[string]string{"Tenet-Dry-Run": "true"},
		},
		{
			name: "a purge that is only tried, of what is still named",
			ask:  del(rulePath + "?purge=true&dry_run=true"), status: 422,
		},
		{
			name: "a retirement that is only tried", ask: del(rulePath + "?dry_run=true"), status: 200,
			heads: map[string]string{"Tenet-Dry-Run": "true"},
		},
		{
			name:   "a batch that is only tried",
			ask:    post(batchesPath+"?dry_run=true", `{"ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`),
			status: 200,
			want:   `{"dry_run":true,"state":"applied","results":[{"id":"SEC-001","version":2}]}`,
			heads:  map[string]string{"Tenet-Dry-Run": "true"},
		},
		{
			name: "ops that are only tried, each for itself",
			ask: post(batchesPath+"?dry_run=true",
				`{"mode":"best_effort","ops":[{"verb":"retire","kind":"rule","id":"SEC-001"},`+
					`{"verb":"retire","kind":"rule","id":"NONE"}]}`), status: 200,
			want: `{"dry_run":true,"failed":1,"results":[{"state":"applied"},{"error":{"code":"not_found"}}]}`,
		},
		{
			name: "writing only what is not there", ask: put(rulePath, aRule).with("If-None-Match", "*"), status: 412,
			want: `{"code":"precondition_failed","want":-1,"got":1}`,
		},
		{
			name: "a condition that is no tag", ask: put(rulePath, aRule).with("If-Match", `1`), status: 400,
			want: `{"code":"invalid","query":true,"errors":[{"pointer":"/If-Match","detail":"*"}]}`,
		},
		{
			name: "a write unless one version is there", ask: put(rulePath, aRule).with("If-None-Match", `"1"`),
			status: 400,
			want:   `{"errors":[{"pointer":"/If-None-Match","detail":"*"}]}`,
		},
		{
			name: "another id in the body", ask: put(rulePath,
				`{"rule_id":"SEC-002","category":"security","title":""}`), status: 422,
			want: `{"code":"invalid","errors":[{"pointer":"/rule_id","detail":"~the path ` +
				`says"},{"pointer":"/title","detail":"*"},{"pointer":"/description","detail":"*"}]}`,
		},
		{
			name: "merging", ask: patch(rulePath, `{"title":"T","tags":null,"scope":{"globs":["**/*.sql"]}}`),
			status:  200,
			want:    `{"title":"T","tags":[],"scope":{"globs":["**/*.sql"],"languages":["go"]},"version":2}`,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "merging what makes it invalid", ask: patch(rulePath, `{"title":null,"severity":"HUGE"}`),
			status: 422,
			want: `{"code":"invalid","errors":[{"pointer":"/title","detail":"*"},{"pointer":"/severity",` +
				`"detail":"*"}]}`,
		},
		{
			name: "merging another id", ask: patch(rulePath, `{"rule_id":"SEC-009"}`), status: 422,
			want: `{"errors":[{"pointer":"/rule_id","detail":"*"}]}`,
		},
		{name: "merging a list", ask: patch(rulePath, `[]`), status: 422, want: `{"code":"invalid"}`},
		{
			name: "merging plain JSON", ask: patch(rulePath, `{"title":"Plain","tags":null}`).with("Content-Type",
				"application/json; charset=utf-8"), status: 200,
			want:    `{"title":"Plain","tags":[],"severity":"CRITICAL","version":2}`,
			changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{
			name: "merging text", ask: patch(rulePath, `{}`).with("Content-Type", "text/plain"), status: 415,
			want: `{"code":"unsupported_media_type","detail":"~application/merge-patch+json or application/json"}`,
		},
		{
			name: "merging into what is not there", ask: patch("/api/v1/rules/NONE", `{}`), status: 404,
			want: `{"code":"not_found","kind":"rule","id":"NONE"}`,
		},
		{
			name: "merging into a version of what is not there", ask: patch("/api/v1/rules/NONE",
				`{}`).with("If-Match", `"2"`), status: 404,
			want: `{"code":"not_found"}`,
		},
		{
			name: "retiring", ask: del(rulePath), status: 200, want: `{"active":false,"version":2}`,
			changes: []string{"retire rule/SEC-001 2 the-admin"},
		},
		{
			name: "retiring a stale version", ask: del(rulePath).with("If-Match", `"4"`), status: 412,
			want: `{"want":4,"got":1}`,
		},
		{
			name: "restoring", before: []ask{del(rulePath)}, ask: post(rulePath+"/restore", ""), status: 200,
			want: `{"active":true,"version":3}`, changes: []string{"restore rule/SEC-001 3 the-admin"},
		},
		{
			name: "reading what is archived", before: archived, ask: get("/api/v1/templates/incident-report"), status: 404,
			want: `{"archived":true,"kind":"template","id":"incident-report","detail":"template/incident-report is archived: ` +
				`GET /api/v1/archive?kind=template&id=incident-report shows it, and POST ` +
				`/api/v1/templates/incident-report/restore brings it back"}`,
		},
		{
			name: "editing what is archived", before: archived,
			ask: patch("/api/v1/templates/incident-report", `{"title":"T"}`), status: 404, want: `{"archived":true}`,
		},
		{
			name: "retiring what is archived", before: archived, ask: del("/api/v1/templates/incident-report"), status: 404,
			want: `{"archived":true}`,
		},
		{
			name: "reading what came back from the archive and was purged", before: append(slices.Clone(archived),
				post("/api/v1/templates/incident-report/restore", ""), del("/api/v1/templates/incident-report"),
				del("/api/v1/templates/incident-report?purge=true")),
			ask: get("/api/v1/templates/incident-report"), status: 404, want: `{"archived":null}`,
		},
		{
			name: "purging", before: []ask{del("/api/v1/templates/incident-report")},
			ask: del("/api/v1/templates/incident-report?purge=true"), status: 204,
			heads:   map[string]string{"Tenet-Batch": "*", "ETag": ""},
			changes: []string{"purge template/incident-report 3 the-admin"},
		},
		{
			name: "purging perhaps", ask: del(rulePath + "?purge=yes"), status: 400,
			want: `{"errors":[{"pointer":"/purge","detail":"*"}]}`,
		},
	})
}

func TestWhoReportedAndResolvedAViolationIsStamped(t *testing.T) {
	runScenarios(t, []scenario{
		{
			name: "reported by another, says the body",
			ask: ask{
				method: http.MethodPost, path: "/api/v1/violations", token: knowledge.RoleContributor,
				body: `{"violation_id":"018f4a3e-7c10-7a5e-9f0b-0000000000aa","rule_id":"SEC-001",` +
					`"message":"There.","reported_by":"carla","reported_at":"2020-01-01T00:00:00Z"}`,
			},
			status: 201, want: `{"reported_by":"the-contributor"}`,
			changes: []string{"put violation/018f4a3e-7c10-7a5e-9f0b-0000000000aa 1 the-contributor"},
		},
		{
			name: "a maintainer neither says it nor loses it",
			before: []ask{{
				method: http.MethodPost, path: "/api/v1/violations", token: knowledge.RoleContributor,
				body: `{"violation_id":"018f4a3e-7c10-7a5e-9f0b-0000000000ab","rule_id":"SEC-001","message":"There."}`,
			}},
			ask: ask{
				method: http.MethodPut, path: "/api/v1/violations/018f4a3e-7c10-7a5e-9f0b-0000000000ab",
				token: knowledge.RoleMaintainer,
				body: `{"violation_id":"018f4a3e-7c10-7a5e-9f0b-0000000000ab","rule_id":"SEC-001",` +
					`"message":"There.","status":"resolved","reported_by":"carla","resolved_by":"carla"}`,
			},
			status: 200, want: `{"reported_by":"the-contributor","resolved_by":"the-maintainer"}`,
			changes: []string{"put violation/018f4a3e-7c10-7a5e-9f0b-0000000000ab 2 the-maintainer"},
		},
		{
			name: "nor in a patch",
			before: []ask{post(batchesPath, `{"actor":"nightly-scan","ops":[{"verb":"put","kind":"violation",`+
				`"document":{"violation_id":"018f4a3e-7c10-7a5e-9f0b-0000000000ac","rule_id":"SEC-001","message":"There.",`+
				`"reported_by":"another-scan"}}]}`)},
			ask: ask{
				method: http.MethodPatch, path: "/api/v1/violations/018f4a3e-7c10-7a5e-9f0b-0000000000ac",
				token: knowledge.RoleMaintainer,
				body: `{"status":"resolved","reported_by":"carla","resolved_by":"carla",` +
					`"resolved_at":"2020-01-01T00:00:00Z"}`,
			},
			status: 200, want: `{"reported_by":"nightly-scan","resolved_by":"the-maintainer"}`,
			changes: []string{"put violation/018f4a3e-7c10-7a5e-9f0b-0000000000ac 2 the-maintainer"},
		},
		{
			name: "sent again",
			before: []ask{ask{
				method: http.MethodPut, path: "/api/v1/violations/018f4a3e-7c10-7a5e-9f0b-0000000000ad",
				token: knowledge.RoleMaintainer,
				body: `{"violation_id":"018f4a3e-7c10-7a5e-9f0b-0000000000ad","rule_id":"SEC-001",` +
					`"message":"There.","reported_by":"carla"}`,
			}.with("Idempotency-Key", "twice")},
			ask: ask{
				method: http.MethodPut, path: "/api/v1/violations/018f4a3e-7c10-7a5e-9f0b-0000000000ad",
				token: knowledge.RoleMaintainer,
				body: `{"violation_id":"018f4a3e-7c10-7a5e-9f0b-0000000000ad","rule_id":"SEC-001",` +
					`"message":"There.","reported_by":"carla"}`,
			}.with("Idempotency-Key", "twice"),
			status: 201, want: `{"reported_by":"the-maintainer","version":1}`,
		},
	})
}

func TestRepeatedWrites(t *testing.T) {
	create := post("/api/v1/categories", `{"category_id":"twice"}`)
	propose := post("/api/v1/proposals", `{"title":"Sooner","why":"It is late.","ops":[
		{"verb":"patch","kind":"rule","id":"SEC-001","patch":{"priority":4}}]}`).with("Idempotency-Key", batchUUID)
	comment := func(text string) ask {
		return post("/api/v1/proposals/"+batchUUID+"/reviews", `{"verdict":"comment","comment":"`+text+`"}`)
	}
	runScenarios(t, []scenario{
		{
			name: "again with the same UUID", before: []ask{create.with("Idempotency-Key", batchUUID)},
			ask: create.with("Idempotency-Key", batchUUID), status: 201,
			want:  `{"category_id":"twice","version":1}`,
			heads: map[string]string{"Tenet-Batch": batchUUID, "Location": "/api/v1/categories/twice", "ETag": `"1-*"`},
		},
		{
			name: "again with the same text", before: []ask{create.with("Idempotency-Key", "release 7, step 2")},
			ask: create.with("Idempotency-Key", "release 7, step 2"), status: 201,
		},
		{
			name: "a violation without an id, again",
			before: []ask{post("/api/v1/violations", `{"rule_id":"SEC-001","message":"There."}`).with(
				"Idempotency-Key", "k")},
			ask:    post("/api/v1/violations", `{"rule_id":"SEC-001","message":"There."}`).with("Idempotency-Key", "k"),
			status: 201,
		},
		{
			name:   "a proposal again, once what it changes has moved on",
			before: []ask{propose, patch(rulePath, `{"title":"Edited"}`)},
			ask:    propose, status: 201, want: `{"proposal_id":"` + batchUUID + `","version":1}`,
		},
		{
			name: "a proposal that names a category which is not there",
			ask: post("/api/v1/proposals", `{"title":"Lost","ops":[
				{"verb":"patch","kind":"rule","id":"SEC-001","patch":{"category":"nope"}}]}`),
			status: 422,
			want:   `{"errors":[{"pointer":"/ops/0/patch/category","detail":"~no category \"nope\": create it first"}]}`,
		},
		{
			name:   "an approval of what has moved on",
			before: []ask{propose, patch(rulePath, `{"title":"Edited"}`)},
			ask: as(knowledge.RoleMaintainer,
				post("/api/v1/proposals/"+batchUUID+"/reviews", `{"verdict":"approve"}`)),
			status: 409, want: `{"code":"conflict","kind":"rule","id":"SEC-001","detail":"~propose it anew"}`,
		},
		{
			name: "a review of ops that are no longer so", before: []ask{propose},
			ask: post("/api/v1/proposals/"+batchUUID+"/reviews",
				`{"verdict":"comment","comment":"I have read it.","ops_digest":"0123456789abcdef"}`),
			status: 422, want: `{"errors":[{"pointer":"/ops_digest","detail":"~the ops have changed"}]}`,
		},
		{
			name:   "a review again, behind another one",
			before: []ask{propose, comment("First.").with("Idempotency-Key", "first"), comment("Second.")},
			ask:    comment("First.").with("Idempotency-Key", "first"), status: 200,
			want: `{"version":2,"reviews":[{"comment":"First."}]}`,
		},
		{
			name:   "the key of a review for another one",
			before: []ask{propose, comment("First.").with("Idempotency-Key", "first")},
			ask:    comment("Other.").with("Idempotency-Key", "first"), status: 422, want: `{"code":"reused"}`,
		},
		{
			name: "the key for something else", before: []ask{create.with("Idempotency-Key", batchUUID)},
			ask: post("/api/v1/categories", `{"category_id":"other"}`).with("Idempotency-Key", batchUUID), status: 422,
			want: `{"code":"reused"}`,
		},
		{
			name: "the text of another caller", before: []ask{create.with("Idempotency-Key", "k")},
			ask: ask{
				method: http.MethodPost, path: "/api/v1/categories", token: knowledge.RoleMaintainer,
				body: `{"category_id":"other"}`,
			}.with("Idempotency-Key", "k"),
			status: 201, changes: []string{"put category/other 1 the-maintainer"},
		},
		{
			name:   "again on top of one of several versions",
			before: []ask{put(rulePath, aRule).with("Idempotency-Key", batchUUID).with("If-Match", `"1", "2"`)},
			ask:    put(rulePath, aRule).with("Idempotency-Key", batchUUID).with("If-Match", `"1", "2"`), status: 200,
			heads: map[string]string{"ETag": `"2-*"`, "Tenet-Batch": batchUUID},
		},
		{
			name: "again on top of a batch",
			before: []ask{
				put(rulePath, aRule).with("Idempotency-Key", batchUUID[:35]+"b"),
				put(rulePath, aRule).with("Idempotency-Key", batchUUID).with("If-Match", `"`+batchUUID[:35]+`b"`),
			},
			ask:    put(rulePath, aRule).with("Idempotency-Key", batchUUID).with("If-Match", `"`+batchUUID[:35]+`b"`),
			status: 200,
			heads:  map[string]string{"ETag": `"3-*"`},
		},
		{
			name: "a key that is too long", ask: create.with("Idempotency-Key", strings.Repeat("k", 256)), status: 400,
			want: `{"query":true,"errors":[{"pointer":"/Idempotency-Key","detail":"*"}]}`,
		},
	})
}

// TestOpsNameTexts gives ops the ETags of what their writers saw.
func TestOpsNameTexts(t *testing.T) {
	ops := func(mode, tag string) ask {
		return post(batchesPath, `{"id":"`+batchUUID+`","mode":"`+mode+`","ops":[{"verb":"put","kind":"category",`+
			`"document":{"category_id":"b1"}},{"verb":"retire","kind":"rule","id":"SEC-001",`+tag+`}]}`)
	}
	both := []string{"put category/b1 1 the-admin", "retire rule/SEC-001 2 the-admin"}
	const another = `"if_match":"\"1-000000000000\""` // of the same version, as before a database was put back
	runScenarios(t, []scenario{
		{
			name: "seen", ask: ops("atomic", `"if_match":"\"{tag}\""`), status: 200, changes: both,
			want: `{"results":[{"id":"b1","etag":"*"},{"id":"SEC-001","version":2,"etag":"*"}]}`,
		},
		{
			name: "made weak on its way", ask: ops("atomic", `"if_match":"W/\"{tag}-gzip\""`), status: 200,
			changes: both,
		},
		{
			name: "another text", ask: ops("atomic", another), status: 409,
			want: `{"code":"conflict","id":"SEC-001","op":1,"want":1,"got":1,
				"detail":"~another than the one that if_match names"}`,
		},
		{
			name: "another text, each for itself", ask: ops("best_effort", another), status: 200,
			want: `{"failed":1,"results":[{"id":"b1"},
				{"id":"SEC-001","error":{"code":"conflict","op":0,"detail":"~another"}}]}`,
			changes: both[:1],
		},
		{
			name: "no tag", ask: ops("atomic", `"if_match":"1"`), status: 422,
			want: `{"errors":[{"pointer":"/ops/1/if_match","detail":"~one ETag in quotes"}]}`,
		},
		{
			name: "beside a version", ask: ops("atomic", `"if_match":"\"1\"","if_version":1`), status: 422,
			want: `{"errors":[{"pointer":"/ops/1/if_match","detail":"~give one of them"}]}`,
		},
		{
			name: "again", before: []ask{ops("atomic", `"if_match":"\"1\""`)}, ask: ops("atomic", `"if_match":"\"1\""`),
			status: 200, want: `{"state":"applied","results":[{"version":1},{"version":2}]}`,
		},
	})
}

func TestBatches(t *testing.T) {
	two := `"ops":[{"verb":"put","kind":"category","document":{"category_id":"b1"}},{"verb":"retire","kind":"rule",` +
		`"id":"SEC-001"}]`
	half := `"ops":[{"verb":"put","kind":"category","document":{"category_id":"b1"}},{"verb":"retire","kind":"rule",` +
		`"id":"NONE"},` +
		`{"verb":"put","kind":"rule","document":{"rule_id":"X","category":"security","title":"T","description":"D",` +
		`"titel":"?"}},{"verb":"patch","kind":"rule","id":"SEC-001","if_version":5,"patch":{}}]`
	runScenarios(t, []scenario{
		{
			name: "atomic", ask: post(batchesPath, `{"id":"`+batchUUID+`",`+two+`}`), status: 200,
			want: `{"id":"` + batchUUID + `","state":"applied","results":[
				{"kind":"category","id":"b1","verb":"put","version":1,"document":{"category_id":"b1"}},
				{"kind":"rule","id":"SEC-001","verb":"retire","version":2,"document":{"active":false}}]}`,
			heads:   map[string]string{"Tenet-Batch": batchUUID, "Tenet-Seq": "*"},
			changes: []string{"put category/b1 1 the-admin", "retire rule/SEC-001 2 the-admin"},
		},
		{
			name: "atomic, again", before: []ask{post(batchesPath, `{"id":"`+batchUUID+`",`+two+`}`)},
			ask: post(batchesPath, `{`+two+`}`).with("Idempotency-Key", batchUUID), status: 200,
			want: `{"id":"` + batchUUID + `","state":"applied"}`,
		},
		{
			name: "atomic with one that does not fit",
			ask: post(batchesPath, `{"ops":[{"verb":"put","kind":"category","document":{"category_id":"b1"}},`+
				`{"verb":"retire","kind":"rule","id":"SEC-001","if_version":8}]}`), status: 409,
			want: `{"code":"conflict","kind":"rule","id":"SEC-001","op":1,"want":8,"got":1}`,
		},
		{
			name: "every fault at once", ask: post(batchesPath, `{"mode":"some","actr":"x","ops":[`+
				`{"verb":"put","kind":"rules","document":{"rule_id":"A","title":"T","titel":"T","priority":"high"}},`+
				`{"verb":"put","kind":"recipe","document":{}},{"verb":1,"kind":"rule","id":2,"if_verzion":3},"?"]}`),
			status: 422,
			want: `{"code":"invalid","errors":[
				{"pointer":"/actr","detail":"~actor"},{"pointer":"/mode","detail":"*"},
				{"pointer":"/ops/0/document/priority","detail":"*"},{"pointer":"/ops/0/document/titel","detail":"~title"},
				{"pointer":"/ops/0/document/category","detail":"*"},{"pointer":"/ops/0/document/description","detail":"*"},
				{"pointer":"/ops/1/kind","detail":"*"},
				{"pointer":"/ops/2/if_verzion","detail":"~if_version"},{"pointer":"/ops/2/verb","detail":"*"},{"pointer":"/ops/2/id","detail":"*"},
				{"pointer":"/ops/3","detail":"*"}]}`,
		},
		{
			name: "faults of documents in their places",
			ask: post(batchesPath, `{"ops":[{"verb":"retire","kind":"rule","id":"SEC-001"},`+
				`{"verb":"put","kind":"rule","document":{"rule_id":"A","category":"security","title":"",`+
				`"description":"D"}}]}`), status: 422,
			want: `{"errors":[{"pointer":"/ops/1/document/title","detail":"*"}]}`,
		},
		{
			name: "each for itself", ask: post(batchesPath, `{"id":"`+batchUUID+`","mode":"best_effort",`+half+`}`),
			status: 200,
			want: `{"id":"` + batchUUID + `","state":"applied","failed":3,"results":[
				{"kind":"category","id":"b1","verb":"put","version":1,"state":"applied","batch":"*"},
				{"kind":"rule","id":"NONE","verb":"retire","error":{"code":"not_found","status":404}},
				{"kind":"rule","verb":"put","error":{"code":"invalid","errors":[{"pointer":"/titel","detail":"*"}]}},
				{"kind":"rule","id":"SEC-001","verb":"patch","error":{"code":"conflict","want":5,"got":1,"op":0}}]}`,
			changes: []string{"put category/b1 1 the-admin"},
		},
		{
			name: "each for itself, again", before: []ask{post(batchesPath, `{"id":"`+batchUUID+
				`","mode":"best_effort",`+half+`}`)},
			ask: post(batchesPath, `{"id":"`+batchUUID+`","mode":"best_effort",`+half+`}`), status: 200,
			want: `{"failed":3}`,
		},
		{
			name: "two ids", ask: post(batchesPath, `{"id":"`+batchUUID+`",`+two+`}`).with("Idempotency-Key",
				"another"), status: 422,
			want: `{"errors":[{"pointer":"/id","detail":"*"}]}`,
		},
		{
			name: "no ops", ask: post(batchesPath, `{"ops":[]}`), status: 422,
			want: `{"errors":[{"pointer":"/ops","detail":"*"}]}`,
		},
		{name: "a list", ask: post(batchesPath, `[]`), status: 422, want: `{` + invalid + `}`},
		{
			name: "too many ops", ask: post(batchesPath, `{"ops":[`+strings.Repeat(`{},`, knowledge.MaxBatchOps)+
				`{}]}`), status: 422,
			want: `{"errors":[{"pointer":"/ops","detail":"*"}]}`,
		},
		{
			name: "where it stands", before: []ask{post(batchesPath, `{"id":"`+batchUUID+`",`+two+`}`)},
			ask: get(batchesPath + "/" + batchUUID), status: 200, want: `{"id":"` + batchUUID + `","state":"applied"}`,
		},
		{
			name: "where an unknown one stands", ask: get(batchesPath + "/" + batchUUID), status: 404,
			want: `{"code":"not_found"}`,
		},
		{
			name: "where none stands", ask: get(batchesPath + "/7"), status: 400,
			want: `{"errors":[{"pointer":"/id","detail":"*"}]}`,
		},
	})
}

func TestReads(t *testing.T) {
	edited := []ask{patch(rulePath, `{"title":"Edited","tags":["sql"]}`)}
	runScenarios(t, []scenario{
		{
			name: "one", ask: get(rulePath), status: 200, want: `{"rule_id":"SEC-001","version":1}`,
			heads: map[string]string{"ETag": `"1-*"`, "Content-Type": mediaJSON, "Tenet-Source": "primary"},
		},
		{
			name: "one that the caller has", ask: get(rulePath).with("If-None-Match", `"{tag}"`), status: 304,
			heads: map[string]string{"ETag": `"1-*"`},
		},
		{name: "one that the caller has, by a weak tag among others", ask: get(rulePath).with("If-None-Match",
			`"0", W/"{tag}"`), status: 304, heads: map[string]string{"ETag": `"1-*"`}},
		{
			name: "one that the caller has compressed", ask: get(rulePath).with("If-None-Match", `"{tag}-zstd"`),
			status: 304, heads: map[string]string{"ETag": `"1-*-zstd"`},
		},
		{name: "one that must be what the caller has", ask: get(rulePath).with("If-Match", `"{tag}"`), status: 200},
		{name: "one that must have a version", ask: get(rulePath).with("If-Match", `"7", "1"`), status: 200},
		{name: "one that must be there", ask: get(rulePath).with("If-Match", `*`), status: 200},
		{name: "one that must have another version", ask: get(rulePath).with("If-Match", `"2"`), status: 412},
		{name: "one that must have another text", ask: get(rulePath).with("If-Match", `"1-0123456789ab"`), status: 412},
		{name: "one that must be another, and is known", ask: get(rulePath).with("If-Match",
			`"2"`).with("If-None-Match", `"{tag}"`), status: 412},
		{name: "one that must be what can't be read", ask: get(rulePath).with("If-Match", `2`), status: 400},
		{name: "a list that must be another", ask: get("/api/v1/rules").with("If-Match", `"2"`), status: 412},
		{
			name: "one that the caller has an old version of", ask: get(rulePath).with("If-None-Match", `"0"`),
			status: 200,
		},
		{
			name: "one that the caller has another text of", ask: get(rulePath).with("If-None-Match",
				`"1-0123456789ab"`),
			status: 200,
		},
		{
			name: "one that the caller knows only the version of", ask: get(rulePath).with("If-None-Match", `"1"`),
			status: 200,
		},
		{
			name: "its head", ask: ask{method: http.MethodHead, path: rulePath}, status: 200,
			heads: map[string]string{"ETag": `"1-*"`, "Content-Length": "*"},
		},
		{
			name: "a retired one", before: []ask{del(rulePath)}, ask: get(rulePath), status: 200,
			want: `{"active":false}`,
		},
		{
			name: "none", ask: get("/api/v1/rules/NONE"), status: 404,
			want: `{"code":"not_found","kind":"rule","id":"NONE"}`,
		},
		{name: "what can't be an id", ask: get("/api/v1/rules/a%2Fb%00"), status: 404, want: `{"code":"not_found"}`},
		{name: "ids in another case", ask: get("/api/v1/rules/sec-001"), status: 404},
		{
			name:   "a list",
			ask:    get("/api/v1/rules?category=security&tag=sql&language=go&severity=CRITICAL&enforcement=mandatory&status=ACTIVE"),
			status: 200, want: `{"items":[{"rule_id":"SEC-001"}]}`,
		},
		{
			name: "a list of summaries", ask: get("/api/v1/rules?view=summary"), status: 200,
			want: `{"items":[{"rule_id":"SEC-001","title":"Use parameterized ` +
				`queries","severity":"CRITICAL","version":1,"description":null}]}`,
		},
		{
			name: "a list of some fields", ask: get("/api/v1/rules?fields=title,scope.languages&fields=version"),
			status: 200,
			want: `{"items":[{"title":"Use parameterized ` +
				`queries","scope.languages":["go"],"version":1,"rule_id":null}]}`,
		},
		{
			name: "a list that counts", ask: get("/api/v1/rules?total=true&limit=1"), status: 200,
			want: `{"items":[{"rule_id":"SEC-001"}],"total":1}`,
		},
		{
			name: "a list that counts nothing", ask: get("/api/v1/rules?total=true&tag=none"), status: 200,
			want: `{"items":[],"total":0}`,
		},
		{name: "a list that does not count", ask: get("/api/v1/rules"), status: 200, want: `{"total":null}`},
		{
			name: "a field that rules don't have", ask: get("/api/v1/rules?fields=titel,name"), status: 400,
			want: `{"errors":[{"pointer":"/fields","detail":"~did you mean ` +
				`\"title\""},{"pointer":"/fields","detail":"*"}]}`,
		},
		{
			name: "fields of summaries", ask: get("/api/v1/rules?fields=title&view=summary"), status: 400,
			want: `{"errors":[{"pointer":"/fields","detail":"*"}]}`,
		},
		{
			name: "no view", ask: get("/api/v1/rules?view=short"), status: 400,
			want: `{"errors":[{"pointer":"/view","detail":"~full or summary"}]}`,
		},
		{
			name: "no view of hits", ask: get("/api/v1/search?q=parameterized&view=short"), status: 400,
			want: `{"errors":[{"pointer":"/view","detail":"*"}]}`,
		},
		{
			name: "a field of no hit", ask: get("/api/v1/search?q=parameterized&fields=titel"), status: 400,
			want: `{"errors":[{"pointer":"/fields","detail":"*"}]}`,
		},
		{name: "an empty list", ask: get("/api/v1/rules?tag=none"), status: 200, want: `{"items":[]}`},
		{name: "retired ones", ask: get("/api/v1/rules?active=false"), status: 200, want: `{"items":[]}`},
		{
			name: "what was updated since", ask: get("/api/v1/rules?updated_since=2020-01-01T00:00:00Z"), status: 200,
			want: `{"items":[{"rule_id":"SEC-001"}]}`,
		},
		{
			name: "violations of a rule", ask: get(
				"/api/v1/violations?rule=SEC-001&repository=payments-api&status=open"),
			status: 200, want: `{"items":[{"rule_id":"SEC-001"}]}`,
		},
		{
			name: "a search", ask: get("/api/v1/search?q=parameterized&kind=rule,practice&kind=template"), status: 200,
			want: `{"bounded":false,"total":1,"matched":"all","required":["parameterized"],"left_out":[],"searched_for":[],"also_searched_for":[],"suggestions":[],"unknown_fields":[],
				"hits":[{"kind":"rule","id":"SEC-001","title":"Use parameterized queries","category":"security","severity":"CRITICAL","version":1,
				"updated_at":"*","snippet":"*","missing":[]}]}`,
		},
		{
			name: "a misspelled field in a search", ask: get("/api/v1/search?q=category:securty"), status: 200,
			want: `{"hits":[],"total":0,"matched":"none","suggestions":["category:security"]}`,
		},
		{
			name: "a search for whole documents", ask: get("/api/v1/search?q=parameterized&view=full"), status: 200,
			want: `{"hits":[{"kind":"rule","id":"SEC-001","document":{"rule_id":"SEC-001","title":"Use ` +
				`parameterized queries"}}]}`,
		},
		{
			name: "a search for some fields", ask: get("/api/v1/search?q=parameterized&fields=title,priority"),
			status: 200,
			want:   `{"hits":[{"id":"SEC-001","fields":{"title":"Use parameterized queries","priority":"*"}}]}`,
		},
		{
			name: "fields of whole documents", ask: get("/api/v1/search?q=parameterized&view=full&fields=title"),
			status: 400, want: `{"errors":[{"pointer":"/fields","detail":"*"}]}`,
		},
		{
			name: "a search as a person asks", ask: get("/api/v1/search?q=how+do+I+use+parametrized+zebras"),
			status: 200,
			want: `{"matched":"most","left_out":[{"word":"how","why":"stop ` +
				`word"},{"word":"do"},{"word":"i"},{"word":"zebras","why":"in no ` +
				`document"}],"searched_for":[{"typed":"parametrized","used":"parameterized"}]}`,
		},
		{
			name: "a search that counts", ask: get("/api/v1/search?q=parameterized&facets=true"), status: 200,
			want: `{"facets":[{"facet":"kind","value":"rule","count":1},{"facet":"category","value":"security",` +
				`"count":1},{"facet":"tag","value":"*"},{"facet":"tag","value":"*"},{"facet":"language","value":"*"},` +
				`{"facet":"severity","value":"CRITICAL"}]}`,
		},
		{
			name: "a cursor of no search", ask: get("/api/v1/search?q=parameterized&cursor=AAAA"), status: 400,
			want: `{"errors":[{"pointer":"/cursor","detail":"*"}]}`,
		},
		{
			name: "a history", before: edited, ask: get(rulePath + "/history"), status: 200,
			want: `{"changes":[{"seq":"*","verb":"put","version":2,"document":{"title":"Edited"},` +
				`"actor":"the-admin"},{"version":1,"actor":"seed"}]}`,
		},
		{
			name: "a page of a history", before: edited, ask: get(rulePath + "/history?limit=1"), status: 200,
			want: `{"changes":[{"version":2}],"next":"*"}`,
		},
		{name: "the history of nothing", ask: get("/api/v1/rules/NONE/history"), status: 404},
		{
			name: "a version", before: edited, ask: get(rulePath + "/versions/1"), status: 200,
			want: `{"version":1,"title":"Use parameterized queries"}`, heads: map[string]string{"ETag": `"1-*"`},
		},
		{
			name: "a version that the caller has", ask: get(rulePath+"/versions/1").with("If-None-Match", `"{tag}"`),
			status: 304, heads: map[string]string{"ETag": `"1-*"`},
		},
		{
			name: "a version of another text", ask: get(rulePath+"/versions/1").with("If-Match", `"1-0123456789ab"`),
			status: 412, want: `{"code":"precondition_failed"}`,
		},
		{
			name: "a version to come", ask: get(rulePath + "/versions/2"), status: 404,
			want: `{"code":"not_found","detail":"~is at 1"}`,
		},
		{
			name: "no version", ask: get(rulePath + "/versions/first"), status: 400,
			want: `{"errors":[{"pointer":"/version","detail":"*"}]}`,
		},
		{
			name: "a difference", before: edited, ask: get(rulePath + "/diff?from=1&to=2"), status: 200,
			want: `{"from":1,"to":2,"patch":{"title":"Edited","tags":["sql"]},"changes":[
				{"pointer":"/tags/1","from":"injection"},{"pointer":"/title","from":"Use parameterized queries","to":"Edited"}]}`,
		},
		{
			name: "the last difference", before: edited, ask: get(rulePath + "/diff"), status: 200,
			want: `{"from":1,"to":2,"patch":{"title":"Edited"}}`,
		},
		{
			name: "no difference", ask: get(rulePath + "/diff?from=1&to=1"), status: 200,
			want: `{"patch":{},"changes":[]}`,
		},
		{
			name: "the log", ask: get("/api/v1/changes?limit=1&kind=rule"), status: 200,
			want: `{"changes":[{"kind":"rule","id":"SEC-001","hash":"*","chain":"*"}],"next_after":"*"}`,
		},
		{
			name: "the end of the log", ask: get("/api/v1/changes?newest=true&limit=1"), status: 200,
			want: `{"changes":[{"seq":10}],"next_after":10}`,
		},
		{
			name: "behind the end of the log", ask: get("/api/v1/changes?after=10"), status: 200,
			want: `{"changes":[],"next_after":10,"position":"*"}`,
		},
		{
			name: "a position that the log does not reach", ask: get("/api/v1/changes?after=11"), status: 410,
			want: `{"code":"gone","oldest":0}`,
		},
		{
			name: "a position that the log does not reach, to be waited for",
			ask:  get("/api/v1/changes?after=11&wait=30"), status: 410,
		},
		{
			name: "a position of another history", ask: get("/api/v1/changes?after=3-0123456789abcdef"), status: 410,
			want: `{"code":"gone","oldest":0}`,
		},
		{
			name: "a position that is none", ask: get("/api/v1/changes?after=3-x"), status: 400,
			want: `{"errors":[{"pointer":"/after","detail":"*"}]}`,
		},
		{
			name: "the change that made a version", ask: get("/api/v1/changes?kind=rule&id=SEC-001&version=1"),
			status: 200, want: `{"changes":[{"version":1}]}`,
		},
		{
			name: "a rendered template", ask: post("/api/v1/templates/incident-report/render",
				`{"values":{"title":"<Fire>","impact":"some"}}`), status: 200,
			want: `{"text":"# <Fire>\n\nImpact: some\n\n","version":1}`,
		},
		{
			name:   "a rendered template with a slip of the pen",
			before: []ask{patch("/api/v1/templates/incident-report", `{"template_content":"# {{titel}}"}`)},
			ask:    post("/api/v1/templates/incident-report/render", `{"values":{"title":"x"}}`), status: 200,
			want: `{"text":"# {{titel}}","version":2,"notes":["line 1, column 3: {{titel}} is declared by no ` +
				`variable: it stays text; is {{title}} meant?"]}`,
		},
		{
			name: "a template without its values", ask: post("/api/v1/templates/incident-report/render", ""),
			status: 422,
			want:   `{"errors":[{"pointer":"/values/title","detail":"*"}]}`,
		},
		{
			name: "a template with wrong values", ask: post("/api/v1/templates/incident-report/render",
				`{"values":{"impact":"much","followed_up":1,"tilte":"x"}}`), status: 422,
			want: `{"errors":[{"pointer":"/values/title","detail":"*"},{"pointer":"/values/impact","detail":"*"},` +
				`{"pointer":"/values/followed_up","detail":"*"},{"pointer":"/values/tilte","detail":"*"}]}`,
		},
		{
			name: "how often a template was rendered", before: []ask{post("/api/v1/templates/incident-report/render",
				`{"values":{"title":"x"}}`)},
			ask: get("/api/v1/templates/incident-report/usage"), status: 200, want: `{"usage_count":"*"}`,
		},
		{
			name: "who is calling", ask: get("/api/v1/me"), status: 200,
			want: `{"id":"the-admin","role":"admin","expiry":null}`,
		},
		{
			name: "how it is", ask: get("/api/v1/status"), status: 200,
			want: `{"version":"1.2.3","mode":"normal","ready":true,"reasons":[],"as_of":"*"}`,
		},
		{name: "whether it lives", ask: ask{method: http.MethodGet, path: "/healthz", token: "-"}, status: 200},
		{
			name: "whether it is ready", ask: ask{method: http.MethodGet, path: "/readyz", token: "-"}, status: 200,
			want: `{"ready":true}`,
		},
		{
			name: "the description", ask: ask{method: http.MethodGet, path: "/openapi.json", token: "-"}, status: 200,
			want: `{"openapi":"3.1.0"}`,
		},
		{
			name: "measures", ask: ask{method: http.MethodGet, path: "/metrics", token: knowledge.RoleViewer},
			status: 200,
		},
	})
}

func TestBadRequestsAreToldAndDoNothing(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	runScenarios(t, []scenario{
		{
			name: "no JSON", ask: put(rulePath, `{"title":`), status: 400,
			want: `{"code":"invalid","detail":"~not JSON"}`,
		},
		{name: "two values", ask: put(rulePath, `{} {}`), status: 400, want: `{"code":"invalid"}`},
		{
			name: "an empty body", ask: ask{method: http.MethodPut, path: rulePath, body: " "}, status: 400,
			want: `{"detail":"~empty"}`,
		},
		{name: "no body", ask: ask{method: http.MethodPut, path: rulePath}, status: 415},
		{name: "bad UTF-8", ask: put(rulePath, "{\"title\":\"\xff\"}"), status: 400, want: `{"detail":"~UTF-8"}`},
		{name: "deep JSON", ask: put(rulePath, `{"extra":{"a":`+deep+`}}`), status: 400, want: `{"detail":"~deeper"}`},
		{name: "brackets in a text", ask: put(rulePath, `{"category":"security","title":"T","description":"\"`+
			strings.Repeat("[", 99)+`"}`), status: 200, changes: []string{"put rule/SEC-001 2 the-admin"}},
		{name: "a list", ask: put(rulePath, `[]`), status: 422, want: `{"errors":[{"pointer":"","detail":"*"}]}`},
		{
			name: "wrong types and unknown fields",
			ask: put(rulePath, `{"titel":"T","severity":"HIGH","priority":"high","tags":"sql","active":1,`+
				`"scope":{"glob":[]}}`), status: 422,
			want: `{"code":"invalid","errors":[{"pointer":"/active","detail":"*"},{"pointer":"/priority","detail":"*"},{"pointer":"/scope/glob","detail":"~globs"},{"pointer":"/tags","detail":"*"},{"pointer":"/titel","detail":"~title"},
				{"pointer":"/category","detail":"*"},{"pointer":"/title","detail":"*"},{"pointer":"/description","detail":"*"},{"pointer":"/severity","detail":"*"}]}`,
		},
		{
			name: "a name twice", ask: put(rulePath,
				`{"category":"security","title":"A","title":"B","description":"D"}`),
			status: 400, want: `{"code":"invalid","detail":"~a second \"title\""}`,
		},
		{
			name: "half of a character", ask: put(rulePath,
				`{"category":"security","title":"\ud800","description":"D"}`),
			status: 400, want: `{"code":"invalid","detail":"~half of a character"}`,
		},
		{
			name: "an op with a name twice", ask: post(batchesPath,
				`{"ops":[{"verb":"retire","kind":"rule","id":"SEC-001","id":"SEC-002"}]}`), status: 400,
			want: `{"code":"invalid"}`,
		},
		{
			name: "a page of nothing", ask: get("/api/v1/rules?limit=0"), status: 400,
			want: `{"query":true,"errors":[{"pointer":"/limit","detail":"*"}]}`,
		},
		{
			name: "a search of nothing", ask: get("/api/v1/search?q=x&limit=0"), status: 400,
			want: `{"errors":[{"pointer":"/limit","detail":"*"}]}`,
		},
		{
			name: "a difference from nothing", ask: get(rulePath + "/diff?from=0"), status: 400,
			want: `{"errors":[{"pointer":"/from","detail":"*"}]}`,
		},
		{
			name: "every faulty value", ask: put(rulePath,
				`{"category":"","title":"a\nb","description":" ","severity":"BAD","priority":9999999}`), status: 422,
			want: `{"errors":[{"pointer":"/category","detail":"*"},{"pointer":"/title","detail":"*"},` +
				`{"pointer":"/description","detail":"*"},{"pointer":"/severity","detail":"*"},{"pointer":"/priority","detail":"*"}]}`,
		},
		{
			name: "a category that is not there",
			ask:  put(rulePath, `{"category":"nowhere","title":"T","description":"D"}`), status: 422,
			want: `{"errors":[{"pointer":"/category","detail":"*"}]}`,
		},
		{
			name: "a secret", ask: put(rulePath,
				`{"category":"security","title":"T","description":"AKIAABCDEFGHIJKLMNOP"}`), status: 422,
			want: `{"errors":[{"pointer":"/description","detail":"~AWS"}]}`,
		},
		{
			name: "a control character", ask: put(rulePath,
				`{"category":"security","title":"T\u0000","description":"D"}`), status: 422,
			want: `{"errors":[{"pointer":"/title","detail":"*"}]}`,
		},
		{
			name: "an id with SQL", ask: put("/api/v1/rules/x'%20or%20'1'='1", aRule), status: 422,
			want: `{"errors":[{"pointer":"/rule_id","detail":"*"}]}`,
		},
		{
			name: "SQL in a filter", ask: get("/api/v1/rules?category=" + "x'%20or%201=1--"), status: 200,
			want: `{"items":[]}`,
		},
		{
			name: "SQL in a search", ask: get("/api/v1/search?q=" + "%22%20or%201=1%29%3B--%20NEAR(a,b)%20*%20^"),
			status: 200,
		},
		{
			name: "signs only in a search", ask: get("/api/v1/search?q=%22%2A%28"), status: 400,
			want: `{"query":true,"errors":[{"pointer":"/q","detail":"*"}]}`,
		},
		{
			name: "no search words", ask: get("/api/v1/search"), status: 400,
			want: `{"errors":[{"pointer":"/q","detail":"*"}]}`,
		},
		{
			name: "empty search words", ask: get("/api/v1/search?q="), status: 400,
			want: `{"errors":[{"pointer":"/q","detail":"is empty: give it a value"}]}`,
		},
		{
			name: "a search for violations", ask: get("/api/v1/search?q=x&kind=violation&limit=1000"), status: 400,
			want: `{"errors":[{"pointer":"/kind","detail":"*"},{"pointer":"/limit","detail":"*"}]}`,
		},
		{
			name: "a search for what is no kind", ask: get("/api/v1/search?q=x&kind=recipe&limit=1000"), status: 400,
			want: `{"errors":[{"pointer":"/kind","detail":"*"},{"pointer":"/limit","detail":"*"}]}`,
		},
		{
			name: "every faulty parameter", ask: get(
				"/api/v1/rules?limit=many&sevrity=HIGH&active=maybe&status=NONE&category=a&category=b"), status: 400,
			want: `{"query":true,"errors":[{"pointer":"/category","detail":"~twice"},{"pointer":"/limit",` +
				`"detail":"*"},{"pointer":"/sevrity","detail":"~severity"},{"pointer":"/active","detail":"*"},{"pointer":"/status",` +
				`"detail":"*"}]}`,
		},
		{
			name: "a filter of another kind", ask: get("/api/v1/categories?severity=ERROR"), status: 400,
			want: `{"errors":[{"pointer":"/severity","detail":"*"}]}`,
		},
		{name: "a query that can't be read", ask: get("/api/v1/rules?limit=%zz"), status: 400, want: `{` + invalid +
			`}`},
		{
			name: "a page that is too long", ask: get("/api/v1/rules?limit=201"), status: 400,
			want: `{"errors":[{"pointer":"/limit","detail":"*"}]}`,
		},
		{
			name: "a cursor of nobody's", ask: get("/api/v1/rules?cursor=abc"), status: 400,
			want: `{"errors":[{"pointer":"/cursor","detail":"*"}]}`,
		},
		{
			name: "times that are none", ask: get("/api/v1/rules?updated_since=yesterday"), status: 400,
			want: `{"errors":[{"pointer":"/updated_since","detail":"*"}]}`,
		},
		{
			name: "orders that don't go together", ask: get("/api/v1/rules?updated_since=2026-01-01T00:00:00Z&sort=id"),
			status: 400, want: `{"errors":[{"pointer":"/sort","detail":"*"}]}`,
		},
		{
			name: "an id of no kind", ask: get("/api/v1/changes?id=SEC-001&version=1&wait=99"), status: 400,
			want: `{"errors":[{"pointer":"/kind","detail":"*"},{"pointer":"/wait","detail":"*"}]}`,
		},
		{
			name: "waiting for the past", ask: get("/api/v1/changes?newest=true&wait=1"), status: 400,
			want: `{"errors":[{"pointer":"/wait","detail":"*"}]}`,
		},
		{
			name: "a seq before the first", ask: get("/api/v1/changes?after=-1"), status: 400,
			want: `{"errors":[{"pointer":"/after","detail":"*"}]}`,
		},
		{
			name: "a batch of no id", ask: get("/api/v1/changes?batch=1"), status: 400,
			want: `{"errors":[{"pointer":"/batch","detail":"*"}]}`,
		},
		{
			name: "a parameter where there are none", ask: get("/api/v1/me?x=1"), status: 400,
			want: `{"errors":[{"pointer":"/x","detail":"~none"}]}`,
		},
		{name: "a body of another charset", ask: put(rulePath, aRule).with("Content-Type",
			"application/json; charset=latin1"), status: 415},
		{
			name: "a body in UTF-8", ask: put(rulePath, aRule).with("Content-Type", "application/json; charset=UTF-8"),
			status: 200, changes: []string{"put rule/SEC-001 2 the-admin"},
		},
		{name: "a compressed body", ask: put(rulePath, aRule).with("Content-Encoding", "gzip"), status: 415},
		{
			name: "a form", ask: put(rulePath, "title=T").with("Content-Type", "application/x-www-form-urlencoded"),
			status: 415,
		},
		{
			name: "a document that is too long",
			ask:  put(rulePath, `{"description":"`+strings.Repeat("x", knowledge.MaxDocument)+`"}`), status: 413,
			want: `{"code":"too_large"}`,
		},
		{
			name: "a body that is too long", ask: put(rulePath, `{"description":"`+strings.Repeat("x", 5<<20)+`"}`),
			status: 413, want: `{"code":"too_large"}`,
		},
		{name: "a URL that is too long", ask: get("/api/v1/rules?category=" + strings.Repeat("x", 8<<10)), status: 414},
		{
			name: "no token", ask: ask{method: http.MethodGet, path: rulePath, token: "-"}, status: 401,
			want: `{"code":"unauthenticated"}`,
		},
		{name: "a token of nobody's", ask: ask{method: http.MethodGet, path: rulePath, token: "guess"}, status: 401},
		{
			name: "a token of another scheme", ask: get(rulePath).with("Authorization", "Basic YWRtaW46YWRtaW4="),
			status: 401,
		},
		{name: "measures without a token, from this machine", ask: ask{
			method: http.MethodGet, path: "/metrics",
			token: "-",
		}, status: 401},
		{name: "an unknown path", ask: get("/api/v2/rules"), status: 404, want: `{"code":"not_found"}`},
		{name: "a path with a slash too many", ask: get("/api/v1/rules/"), status: 404},
		{
			name: "a method that a path has not", ask: ask{method: http.MethodDelete, path: "/api/v1/rules"},
			status: 405,
			want:   `{"code":"method_not_allowed"}`, heads: map[string]string{"Allow": "GET, HEAD, POST"},
		},
		{
			name: "a method of nobody's", ask: ask{method: "BREW", path: rulePath}, status: 405,
			heads: map[string]string{"Allow": "GET, HEAD, PUT, PATCH, DELETE"},
		},
		{name: "an answer that nobody gives", ask: get(rulePath).with("Accept", "text/html"), status: 406},
		{
			name: "an answer that is refused", ask: get(rulePath).with("Accept", "application/json;q=0, text/html"),
			status: 406,
		},
		{
			name: "an answer among others", ask: get(rulePath).with("Accept", "text/html, application/*;q=0.8"),
			status: 200,
		},
	})
}

func TestRoles(t *testing.T) {
	draft := `{"rule_id":"D-1","status":"DRAFT",` + aRule[1:]
	runScenarios(t, []scenario{
		{name: "a viewer reads", ask: as(knowledge.RoleViewer, get(rulePath)), status: 200},
		{
			name: "a viewer writes", ask: as(knowledge.RoleViewer, put(rulePath, aRule)), status: 403,
			want: `{"code":"forbidden","detail":"~role"}`,
		},
		{name: "a viewer writes in a batch", ask: as(knowledge.RoleViewer,
			post(batchesPath, `{"ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`)), status: 403},
		{name: "a viewer looks for principals", ask: as(knowledge.RoleViewer, get("/api/v1/principals")), status: 403},
		{
			name:   "a viewer looks for a principal",
			ask:    as(knowledge.RoleViewer, get("/api/v1/principals/ci-payments")),
			status: 403,
		},
		{
			name: "a viewer looks for what was done to principals",
			ask:  as(knowledge.RoleViewer, get("/api/v1/changes?kind=principal")), status: 403,
		},
		{name: "a viewer renders", ask: as(knowledge.RoleViewer, post("/api/v1/templates/incident-report/render",
			`{"values":{"title":"x"}}`)), status: 200},
		{
			name: "a contributor writes a draft", ask: as(knowledge.RoleContributor, post("/api/v1/rules", draft)),
			status:  201,
			changes: []string{"put rule/D-1 1 the-contributor"},
		},
		{
			name: "a contributor writes a draft under a new path", ask: as(knowledge.RoleContributor,
				put("/api/v1/rules/D-1", draft)), status: 201,
			changes: []string{"put rule/D-1 1 the-contributor"},
		},
		{name: "a contributor publishes", ask: as(knowledge.RoleContributor, put(rulePath, aRule)), status: 403},
		{
			name: "a contributor writes for others", ask: as(knowledge.RoleContributor,
				post(batchesPath, `{"actor":"boss","ops":[{"verb":"put","kind":"rule","document":`+draft+`}]}`)),
			status: 200, changes: []string{"put rule/D-1 1 the-contributor"},
		},
		{name: "a maintainer purges", ask: as(knowledge.RoleMaintainer, del(rulePath+"?purge=true")), status: 403},
		{name: "a maintainer makes a principal", ask: as(knowledge.RoleMaintainer,
			del("/api/v1/principals/ci-payments")), status: 403},
		{
			name: "a maintainer says when", ask: as(knowledge.RoleMaintainer,
				post(batchesPath,
					`{"at":"2020-01-01T00:00:00Z","ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`)),
			status: 403,
		},
		{
			name: "an admin says when", ask: post(batchesPath,
				`{"at":"2020-01-01T00:00:00Z","ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`),
			status: 422, want: `{"code":"invalid","errors":[{"pointer":"/at"}]}`,
		},
		{
			name: "an admin says who", ask: post(batchesPath,
				`{"actor":"boss","ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`),
			status: 200, want: `{"results":[{"document":{"updated_by":"boss"}}]}`,
			changes: []string{"retire rule/SEC-001 2 boss"},
		},
		{
			name:   "what was said of a write stands in the history",
			before: []ask{put(rulePath+"?message=Asked+for+%C2%BBtwice%C2%AB", aRule)},
			ask:    get(rulePath + "/history?limit=1"),
			status: 200, want: `{"changes":[{"version":2,"message":"Asked for »twice«"}]}`,
		},
		{
			name: "what was said of a batch stands in the log",
			before: []ask{post(batchesPath, `{"message":"No longer true",
				"ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`)},
			ask:    get("/api/v1/changes?newest=true&limit=1"),
			status: 200, want: `{"changes":[{"verb":"retire","message":"No longer true"}]}`,
		},
		{
			name: "a message of two lines", ask: put(rulePath+"?message=a%0Ab", aRule), status: 422,
			want: `{"code":"invalid","errors":[{"pointer":"/message"}]}`,
		},
		{
			name:   "who entered it stands in the history",
			before: []ask{post(batchesPath, `{"actor":"boss","ops":[{"verb":"retire","kind":"rule","id":"SEC-001"}]}`)},
			ask:    get(rulePath + "/history?limit=1"),
			status: 200, want: `{"changes":[{"actor":"boss","entered_by":"the-admin"}]}`,
		},
	})
}
