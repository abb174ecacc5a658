package server_test

import (
	"database/sql" //nolint:depguard // a restored database has another text of the same version
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store/storetest"
)

// TestProposalsLabelsAndGuidanceInAnOutage takes a proposal, a label and guidance at it through a PostgreSQL that goes
// away and comes back: what a person decided meanwhile is done once, and the label shows what it showed.
func TestProposalsLabelsAndGuidanceInAnOutage(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	x := start(t, server.Options{
		DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"),
		Outage: outage(),
	})
	admin := x.browse(t)
	writer, token, err := access.NewPrincipal("writer", knowledge.RoleContributor)
	if err != nil {
		t.Fatal(err)
	}
	writer.Normalize()
	rule := storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title, r.Enforcement = "OUT-1", "security", "As it was", "mandatory"
		r.Scope = knowledge.Scope{Activation: "glob", Globs: []string{"**/*.go"}}
	})
	write(t, x.admin(t), "admin", knowledge.Put(writer, knowledge.NoVersion), knowledge.Put(rule, knowledge.NoVersion))
	theirs := &web{t, x.Facts().URL, token}
	propose := func(w *web, status int, id, title string) {
		w.want(status, http.MethodPut, "/api/v1/proposals/"+id,
			`{"title":"Say it better","why":"It was asked `+
				`about.","ops":[{"verb":"patch","kind":"rule","id":"OUT-1","patch":{"title":"`+title+`"}}]}`)
	}
	const (
		early = "018f4a3e-7c10-7a5e-9f0b-0000000000e1"
		late  = "018f4a3e-7c10-7a5e-9f0b-0000000000e2"
	)
	path := func(id string) string { return "/api/v1/proposals/" + id }
	propose(theirs, http.StatusCreated, early, "As proposed before")
	theirs.want(http.StatusForbidden, http.MethodPost, path(early)+"/reviews", `{"verdict":"approve"}`)
	admin.want(http.StatusOK, http.MethodPost, path(early)+"/reviews", `{"verdict":"approve"}`)
	level(t, x.admin(t))
	seq := admin.want(http.StatusOK, http.MethodGet, "/api/v1/rules/OUT-1", "").header.Get("Tenet-Seq")
	admin.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/production", `{"name":"Production","seq":`+seq+`}`)
	level(t, x.admin(t))
	guided := func(query string) string {
		return admin.want(http.StatusOK, http.MethodGet, "/api/v1/guidance?path=cmd/pay/main.go&budget=0"+query,
			"").body
	}
	pgtest.Await(t, "guidance", func() bool { return strings.Contains(guided(""), "As it was") })
	labelled := guided("&label=production")
	if !strings.Contains(labelled, "As it was") {
		t.Fatalf("guidance at the label: %s", labelled)
	}

	pg.Stop(pgtest.Immediate)
	degrade(t, admin, "/api/v1/rules/OUT-1")
	admin.want(http.StatusAccepted, http.MethodPost, path(early)+"/apply", "")
	admin.want(http.StatusAccepted, http.MethodPost, path(early)+"/apply", "") // asked again, it is not done again
	pgtest.Await(t, "guidance of the outage", func() bool { return strings.Contains(guided(""), "As proposed before") })
	if got := guided("&label=production"); !strings.Contains(got, "As it was") ||
		strings.Contains(got, "As proposed before") {
		t.Errorf("in the outage the label shows %s", got)
	}
	if s := admin.want(http.StatusOK, http.MethodGet, "/api/v1/rules/OUT-1?label=production", ""); !strings.Contains(
		s.body, `"title":"As it was"`) {
		t.Errorf("in the outage the rule at the label is %s", s.body)
	}
	admin.want(http.StatusNotFound, http.MethodGet, "/api/v1/rules/OUT-1?label=none", "")
	theirs.want(http.StatusConflict, http.MethodPut, path(late),
		`{"title":"Too early","ops":[{"verb":"patch","kind":"rule","id":"OUT-1","patch":{"title":"x"}}]}`)

	pg.Start()
	level(t, x.admin(t))
	if s := admin.want(http.StatusOK, http.MethodGet, path(early), ""); !strings.Contains(s.body, `"state":"applied"`) {
		t.Errorf("after the outage: %s", s.body)
	}
	if s := admin.want(http.StatusOK, http.MethodGet, "/api/v1/rules/OUT-1", ""); !strings.Contains(s.body,
		`"version":2`) || !strings.Contains(s.body, "As proposed before") {
		t.Errorf("the rule after the outage: %s", s.body)
	}
	propose(theirs, http.StatusCreated, late, "As proposed after")
	admin.want(http.StatusForbidden, http.MethodPost, path(late)+"/apply", "")
	admin.want(http.StatusOK, http.MethodPost, path(late)+"/reviews", `{"verdict":"approve"}`)
	admin.want(http.StatusOK, http.MethodPost, path(late)+"/apply", "")
}

// TestTheAuditTellsWhoHasProposed proposes as a person, and as an agent with the person's token, which then edits the
// text that says so.
func TestTheAuditTellsWhoHasProposed(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		ann := auditor(t, x, "ann", knowledge.RoleContributor)
		admin := x.browse(t)
		told := func(what, made, reason string) {
			t.Helper()
			key := "proposal/" + strings.TrimPrefix(made, "/api/v1/proposals/")
			await(t, "the audit has "+what, func() bool {
				s := admin.want(http.StatusOK, http.MethodGet, "/api/v1/audit?kind=proposed&actor=ann&key="+key, "").body
				return strings.Count(s, `"action":"proposed"`) == 1 && strings.Contains(s, `"reason":"`+reason+`"`)
			})
		}
		body := func(id string) string {
			return `{"title":"T","ops":[{"verb":"put","kind":"pack","document":{"pack_id":"` + id + `"}}]}`
		}
		told("what a person proposes", ann.want(http.StatusCreated, http.MethodPost, "/api/v1/proposals",
			body("mine")).header.Get("Location"), "")
		path := ann.ask(http.MethodPost, "/api/v1/proposals", body("its"), "Tenet-Agent", "claudette").header.Get("Location")
		ann.want(http.StatusOK, http.MethodPatch, path, `{"why":"Nobody has helped."}`)
		told("what an agent proposes", path, "by the agent claudette")
		made := ann.ask(http.MethodPut, "/api/v1/packs/direct", `{"name":"Direct"}`, "Tenet-Agent", "claudette")
		told("what an agent's write becomes", made.header.Get("Location"), "by the agent claudette")
	})
}

// TestAProposalOfWhatIsOrWaitsIsNotMade proposes what is so already, and what its writer has proposed before, over REST
// and as an assistant.
func TestAProposalOfWhatIsOrWaitsIsNotMade(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		admin := x.browse(t)
		other := auditor(t, x, "other", knowledge.RoleContributor)
		rule := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category, r.Priority = "TWICE-1", "security", 4 })
		write(t, x.admin(t), "admin", knowledge.Put(rule, knowledge.NoVersion))
		propose := func(w *web, status int, title string, priority int, header ...string) *said {
			t.Helper()
			a := w.ask(http.MethodPost, "/api/v1/proposals", fmt.Sprintf(`{"title":%q,"ops":[{"verb":"patch",`+
				`"kind":"rule","id":"TWICE-1","patch":{"priority":%d}}]}`, title, priority), header...)
			if a.status != status {
				t.Fatalf("%s: %d %s, want %d", title, a.status, a.body, status)
			}
			return a
		}
		if a := propose(admin, http.StatusUnprocessableEntity, "As it is", 4); !strings.Contains(a.body,
			`{"pointer":"/ops","detail":"would change nothing`) {
			t.Errorf("what is so already: %s", a.body)
		}
		const key = "the first of it"
		first := propose(admin, http.StatusCreated, "Sooner", 3, "Idempotency-Key", key)
		stands := strings.TrimPrefix(first.header.Get("Location"), "/api/v1/proposals/")
		again := propose(admin, http.StatusAccepted, "Sooner, please", 3)
		if again.header.Get("Tenet-Proposal") != stands || again.header.Get("Location") != first.header.Get("Location") ||
			!strings.Contains(again.body, `"proposal_id":"`+stands+`"`) || !strings.Contains(again.body, `"title":"Sooner"`) {
			t.Errorf("what waits already: %v %s, want proposal %s", again.header, again.body, stands)
		}
		propose(admin, http.StatusCreated, "Sooner", 3, "Idempotency-Key", key) // sent again it is the same write
		propose(other, http.StatusCreated, "Somebody else's", 3)
		propose(admin, http.StatusCreated, "Something else", 2)
		tool := func(priority int) string {
			t.Helper()
			got := call(t, x.assistant(t, "2025-06-18", x.token(t), nil), "propose", map[string]any{
				"title": "Sooner", "ops": []any{map[string]any{
					"verb": "patch", "key": "rule/TWICE-1", "patch": map[string]any{"priority": priority},
				}},
			})
			return textOf(got)
		}
		if text := tool(3); !strings.Contains(text, "proposal/"+stands+" says the same and waits") {
			t.Errorf("an assistant is told: %s", text)
		}
		if text := tool(4); !strings.Contains(text, "would change nothing") {
			t.Errorf("an assistant that changes nothing is told: %s", text)
		}
		open := admin.want(http.StatusOK, http.MethodGet, "/api/v1/proposals?status=open", "").body
		if n := strings.Count(open, `"proposal_id"`); n != 3 {
			t.Errorf("%d proposals wait, want 3: %s", n, open)
		}
		// What was decided can be proposed again, and sending the first of it again still means that.
		admin.want(http.StatusOK, http.MethodPatch, "/api/v1/proposals/"+stands, `{"state":"withdrawn"}`)
		if a := propose(admin, http.StatusCreated, "Once more", 3); strings.Contains(a.body, stands) {
			t.Errorf("what was withdrawn stands for what is proposed: %s", a.body)
		}
		if a := propose(admin, http.StatusCreated, "Sooner", 3, "Idempotency-Key", key); !strings.Contains(a.body, stands) {
			t.Errorf("sent again after another: %s", a.body)
		}
	})
}

// TestAProposalForAnotherTextOfTheVersionIsRefused proposes, and applies, a change to a version whose number stands for
// another text than its writer saw, as in a database that was put back from a backup.
func TestAProposalForAnotherTextOfTheVersionIsRefused(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		admin := x.browse(t)
		rule := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category = "TAG-1", "security" })
		write(t, x.admin(t), "admin", knowledge.Put(rule, knowledge.NoVersion))
		tag := admin.want(http.StatusOK, http.MethodGet, "/api/v1/rules/TAG-1", "").header.Get("ETag")
		propose := func(status int, id, seen string) *said {
			return admin.want(status, http.MethodPut, "/api/v1/proposals/018f4a3e-7c10-7a5e-9f0b-0000000000"+id,
				`{"title":"Say it better","ops":[{"verb":"patch","kind":"rule","id":"TAG-1","patch":{"priority":9},`+
					seen+`}]}`)
		}
		if a := propose(http.StatusConflict, "01", `"if_match":"\"1-000000000000\""`); !strings.Contains(a.body,
			"its text is another") {
			t.Errorf("of another text: %s", a.body)
		}
		propose(http.StatusUnprocessableEntity, "01", `"if_match":"1"`)
		propose(http.StatusUnprocessableEntity, "01", `"if_match":"\"018f4a3e-7c10-7a5e-9f0b-000000000001\""`)
		propose(http.StatusUnprocessableEntity, "01", `"if_version":2,"if_match":"\"1-000000000000\""`)
		propose(http.StatusCreated, "02", `"if_version":1`)
		a := propose(http.StatusCreated, "01", `"if_match":`+strconv.Quote(tag))
		if !strings.Contains(a.body, `"if_version":1`) || !strings.Contains(a.body, `"if_match":`+strconv.Quote(tag)) {
			t.Errorf("the proposal does not say what its writer saw: %s", a.body)
		}
		const path = "/api/v1/proposals/018f4a3e-7c10-7a5e-9f0b-000000000001"
		if o.DatabaseURL != "" {
			return
		}
		x.end(t)
		db, err := sql.Open("sqlite", filepath.Join(x.dir, "tenet.db"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), "UPDATE rules SET document = json_set(document, '$.title', 'Another') "+
			"WHERE rule_id = 'TAG-1'")
		if err = errors.Join(err, db.Close(), os.RemoveAll(filepath.Join(x.dir, "cache"))); err != nil {
			t.Fatal(err)
		}
		o.DataDir = x.dir
		admin = start(t, o).browse(t)
		if a := admin.want(http.StatusOK, http.MethodGet, path+"/changes", ""); !strings.Contains(a.body, `"moved":true`) {
			t.Errorf("what it would do, to another text: %s", a.body)
		}
		admin.want(http.StatusConflict, http.MethodPost, path+"/apply", "")
	})
}
