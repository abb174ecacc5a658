package server_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// Words that stand in confidential documents alone.
const (
	secretWord  = "zirconium"
	secretOther = "palladium"
	secretEnded = "rhodium" // of a document that is retired since it became confidential
	secretGone  = "osmium"  // of one that was purged, and that a proposal is about
)

// confidential starts a tenet in which the category payroll is confidential: maintainers read it, and what the
// principal taker reads may leave the house.
func confidential(t *testing.T, o server.Options) (x *tenet, as map[string]*web) {
	t.Helper()
	rule, err := access.ParseConfidential("category=payroll,role=maintainer,taker=taker")
	if err != nil {
		t.Fatal(err)
	}
	o.Policy.Confidential = access.Classification{rule}
	o.Upkeep.AuditReads = true
	x = start(t, o)
	as = map[string]*web{"admin": x.browse(t)}
	if o.DatabaseURL != "" { // where all is slow the start was without the primary
		level(t, x.admin(t))
	}
	var ops []knowledge.Op
	for id, role := range map[string]string{
		"viewer": knowledge.RoleViewer, "contributor": knowledge.RoleContributor, "keeper": knowledge.RoleMaintainer,
		"robot": knowledge.RoleMaintainer, "taker": knowledge.RoleViewer,
	} {
		p, token, err := access.NewPrincipal(id, role)
		if err != nil {
			t.Fatal(err)
		}
		p.Agent = id == "robot"
		p.Normalize()
		ops = append(ops, knowledge.Put(p, knowledge.NoVersion))
		as[id] = &web{t, x.Facts().URL, token}
	}
	write(t, x.admin(t), "admin", ops...)
	admin := x.admin(t)
	write(t, admin, "admin", knowledge.Put(storetest.Category(func(c *knowledge.Category) { c.ID = "payroll" }),
		knowledge.NoVersion))
	write(t, admin, "admin",
		knowledge.Put(pay("PAY-1", "payroll", secretWord), knowledge.NoVersion),
		knowledge.Put(pay("PAY-2", "security", secretOther), knowledge.NoVersion),
		knowledge.Put(pay("PAY-3", "security", secretEnded), knowledge.NoVersion),
		knowledge.Put(pay("PAY-4", "payroll", secretGone), knowledge.NoVersion),
		knowledge.Put(pay("OPEN-1", "security", "granite"), knowledge.NoVersion))
	violation := storetest.Violation("PAY-1")
	write(t, admin, "admin", knowledge.Put(violation, knowledge.NoVersion))
	as["admin"].want(http.StatusCreated, http.MethodPost, "/api/v1/proposals",
		`{"title":"Pay more `+secretWord+`","why":"It was asked about.","ops":[{"verb":"patch","kind":"rule","id":"PAY-1",`+
			`"if_version":1,"patch":{"title":"Of `+secretWord+`"}}]}`)
	as["admin"].want(http.StatusCreated, http.MethodPost, "/api/v1/proposals",
		`{"title":"Pay less `+secretGone+`","why":"It was asked about.","ops":[{"verb":"patch","kind":"rule","id":"PAY-4",`+
			`"if_version":1,"patch":{"title":"Of `+secretGone+`"}}]}`)
	seq := as["admin"].want(http.StatusOK, http.MethodGet, "/api/v1/rules/PAY-2", "").header.Get("Tenet-Seq")
	as["admin"].want(http.StatusCreated, http.MethodPut, "/api/v1/labels/then", `{"name":"Then","seq":`+seq+`}`)
	// What is confidential from here on was not before: it takes its history along.
	write(t, admin, "admin", patch("rule/PAY-2", `{"category":"payroll"}`), patch("rule/PAY-3", `{"category":"payroll"}`))
	write(t, admin, "admin", knowledge.Op{Verb: knowledge.VerbRetire, Key: knowledge.Key{
		Kind: knowledge.KindRule, ID: "PAY-3",
	}})
	as["admin"].want(http.StatusNoContent, http.MethodDelete, "/api/v1/rules/PAY-4?purge=true", "")
	if o.DatabaseURL != "" {
		level(t, admin)
	}
	return x, as
}

func pay(id, category, word string) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title, r.Description = id, category, "About "+word, "Facts of "+word+" and stone."
		r.Enforcement, r.Scope = "mandatory", knowledge.Scope{Activation: "always"}
	})
}

// secretDoors are the addresses at which a document may be met.
func secretDoors() []string {
	return []string{
		"/api/v1/rules?limit=200&total=true", "/api/v1/rules?category=payroll", "/api/v1/rules?sort=updated&active=any",
		"/api/v1/rules?label=then&limit=200", "/api/v1/search?q=" + secretWord + "&facets=true",
		"/api/v1/search?q=stone&facets=true&limit=50", "/api/v1/search?q=stone&label=then",
		"/api/v1/search?q=zirconiun", "/api/v1/search?q=category:payroll+stone", "/api/v1/changes?limit=500",
		"/api/v1/changes?kind=rule&limit=500", "/api/v1/violations?limit=100", "/api/v1/proposals?active=any&limit=100",
		"/api/v1/guidance?path=a.go&budget=100000",
		"/api/v1/guidance?path=a.go&budget=0", "/api/v1/guidance?path=a.go&label=then&budget=100000",
		"/search?q=stone", "/read/proposals", "/read/rule/PAY-1",
	}
}

// TestWhatIsConfidentialIsAtNoDoor asks at every address that shows documents, as callers who may read what is
// confidential and as those who may not.
func TestWhatIsConfidentialIsAtNoDoor(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, o server.Options) {
		_, as := confidential(t, o)
		holds := func(text string) bool {
			for _, word := range []string{
				secretWord, secretOther, secretEnded, secretGone, "PAY-1", "PAY-2", "PAY-3",
			} {
				if strings.Contains(text, word) {
					return true
				}
			}
			return false
		}
		found := map[string]int{}
		for who, w := range as {
			for _, door := range secretDoors() {
				asked := door
				if strings.Contains(door, secretWord) || strings.Contains(door, "zirconiun") {
					asked = "" // the answer repeats the question
				}
				s := w.ask(http.MethodGet, door, "", "Cookie", "tenet_session="+w.token)
				body := s.body
				if asked == "" {
					body = strings.ReplaceAll(body, `"`+secretWord+`"`, "")
				}
				if strings.HasSuffix(door, "PAY-1") {
					body = strings.ReplaceAll(body, "PAY-1", "") // so does the address of a page
				}
				guided := strings.HasPrefix(door, "/api/v1/guidance")
				may := who == "taker" || (who == "admin" || who == "keeper") && !guided
				switch {
				case !may && holds(body):
					t.Errorf("%s meets what is confidential at %s:\n%s", who, door, body)
				case may && holds(body):
					found[door]++
				}
				marked := s.header.Get("Tenet-Confidential") == "payroll" &&
					(strings.HasPrefix(door, "/api/") || strings.Contains(s.body, "Confidential: payroll"))
				if marked != (s.status == http.StatusOK && may && holds(body)) {
					t.Errorf("%s, at %s, is told of what is confidential: %v", who, door, marked)
				}
			}
			for _, id := range []string{"PAY-1", "PAY-2", "PAY-3"} {
				for _, path := range []string{"", "/history", "/versions/1", "/diff?from=1", "?label=then"} {
					want := http.StatusNotFound
					if who == "admin" || who == "keeper" || who == "taker" {
						want = http.StatusOK
					}
					if s := w.ask(http.MethodGet, "/api/v1/rules/"+id+path, ""); s.status != want {
						t.Errorf("%s gets %d for %s%s, want %d: %s", who, s.status, id, path, want, s.body)
					}
				}
			}
		}
		for _, door := range secretDoors() {
			if found[door] == 0 {
				t.Errorf("nobody meets anything confidential at %s: the test proves nothing of it", door)
			}
		}
		refused := as["admin"].want(http.StatusOK, http.MethodGet, "/api/v1/audit?kind=refused&limit=100", "").body
		if !strings.Contains(refused, "rule/PAY-1") || !strings.Contains(refused, "it is confidential") {
			t.Errorf("the audit does not tell who was refused what is confidential:\n%s", refused)
		}
	})
}

// TestCountsTellNothingConfidential compares totals and facets of a caller from whom documents are hidden with those
// of one who reads them.
func TestCountsTellNothingConfidential(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		_, as := confidential(t, o)
		count := func(who string) int {
			s := as[who].want(http.StatusOK, http.MethodGet, "/api/v1/rules?limit=1&total=true", "").body
			_, n, ok := strings.Cut(s, `"total":`)
			if !ok {
				t.Fatalf("no total: %s", s)
			}
			total, err := strconv.Atoi(n[:strings.IndexAny(n, ",}")])
			if err != nil {
				t.Fatal(err)
			}
			return total
		}
		if hidden, all := count("viewer"), count("keeper"); hidden+2 != all { // PAY-3 is retired
			t.Errorf("a viewer counts %d rules, and who reads two more counts %d", hidden, all)
		}
		for who, counts := range map[string]bool{"viewer": false, "keeper": true} {
			s := as[who].want(http.StatusOK, http.MethodGet, "/api/v1/search?q=stone&facets=true", "").body
			if strings.Contains(s, `"value":"payroll"`) != counts {
				t.Errorf("for %s a facet counts what is confidential: %t\n%s", who, !counts, s)
			}
		}
	})
}

// TestNobodyWritesWhatTheyMayNotRead tries to write a confidential document, into its category, and over it.
func TestNobodyWritesWhatTheyMayNotRead(t *testing.T) {
	_, as := confidential(t, server.Options{})
	for _, who := range []string{"contributor", "robot"} {
		for _, try := range []struct{ method, path, body string }{
			{http.MethodPatch, "/api/v1/rules/PAY-1", `{"title":"Mine"}`},
			{http.MethodDelete, "/api/v1/rules/PAY-1", ""},
			{http.MethodPatch, "/api/v1/rules/OPEN-1", `{"category":"payroll"}`},
			{http.MethodPut, "/api/v1/rules/PAY-9", `{"category":"payroll","title":"T","description":"D","status":"DRAFT"}`},
			{http.MethodPost, "/api/v1/proposals", `{"title":"T","why":"W","ops":[{"verb":"patch","kind":"rule","id":"PAY-1",` +
				`"if_version":1,"patch":{"title":"Mine"}}]}`},
		} {
			s := as[who].ask(try.method, try.path, try.body)
			if s.status < 400 || strings.Contains(s.body, secretWord) || s.header.Get("Tenet-Proposal") != "" {
				t.Errorf("%s: %s %s is answered with %d: %s", who, try.method, try.path, s.status, s.body)
			}
		}
	}
	as["keeper"].want(http.StatusOK, http.MethodPatch, "/api/v1/rules/PAY-1", `{"title":"Of the keeper"}`)
}

// TestAWriteTellsNothingOfWhatIsHidden tries each write of a hidden document, and of one that there never was: the
// answers say the same.
func TestAWriteTellsNothingOfWhatIsHidden(t *testing.T) {
	x, as := confidential(t, server.Options{})
	own := regexp.MustCompile(`"request_id":"[^"]*"`)
	op := func(id string) string {
		return `{"verb":"patch","kind":"rule","id":"` + id + `","if_version":1,"patch":{"title":"Mine"}}`
	}
	report := "/api/v1/violations/" + knowledge.NewBatchID().String()
	as["contributor"].want(http.StatusCreated, http.MethodPut, report,
		`{"rule_id":"OPEN-1","path":"a.go","message":"M","severity":"ERROR"}`)
	for _, who := range []string{"contributor", "robot"} {
		for _, try := range []struct {
			method, path string
			body         func(id string) string
			header       []string
		}{
			{http.MethodPatch, "/api/v1/rules/ID", func(string) string { return `{"title":"Mine"}` }, nil},
			{http.MethodPatch, "/api/v1/rules/ID", func(string) string { return `{"title":"Mine"}` }, []string{"If-Match", `"1"`}},
			{http.MethodDelete, "/api/v1/rules/ID", nil, nil},
			{http.MethodDelete, "/api/v1/rules/ID?purge=true", nil, nil},
			{http.MethodPost, "/api/v1/rules/ID/restore", nil, nil},
			{http.MethodPost, "/api/v1/proposals", func(id string) string {
				return `{"title":"T","why":"W","ops":[` + op(id) + `]}`
			}, nil},
			{http.MethodPost, "/api/v1/violations", func(id string) string {
				return `{"rule_id":"` + id + `","path":"a.go","message":"M","severity":"ERROR"}`
			}, nil},
			{http.MethodPost, "/api/v1/batches?dry_run=true", func(id string) string { return `{"ops":[` + op(id) + `]}` }, nil},
			{http.MethodPost, "/api/v1/batches", func(id string) string {
				return `{"id":"6f0c2f51-6f0a-4f9c-8a8c-0d3c1ac0f0aa","mode":"best_effort","ops":[` + op(id) + `]}`
			}, nil},
			{http.MethodPatch, report, func(id string) string { return `{"rule_id":"` + id + `"}` }, nil},
		} {
			if who == "robot" && try.path == report {
				continue // of which a proposal is made, whatever it says
			}
			said := map[string]string{}
			for _, id := range []string{"PAY-1", "PAX-0"} {
				body := ""
				if try.body != nil {
					body = try.body(id)
				}
				s := as[who].ask(try.method, strings.ReplaceAll(try.path, "ID", id), body, try.header...)
				if s.status < 400 && !strings.Contains(s.body, `"failed":1`) {
					t.Errorf("%s: %s %s of %s is answered with %d: %s", who, try.method, try.path, id, s.status, s.body)
				}
				text := own.ReplaceAllString(strconv.Itoa(s.status)+" "+s.body, "")
				said[id] = strings.ReplaceAll(text, id, "ID")
			}
			if said["PAY-1"] != said["PAX-0"] {
				t.Errorf("%s: %s %s tells what is hidden:\n%s\n%s", who, try.method, try.path, said["PAY-1"], said["PAX-0"])
			}
		}
	}
	// A maintainer who may not read a category learns nothing of its documents by what must fit to them.
	rule, err := access.ParseConfidential("category=payroll")
	if err != nil {
		t.Fatal(err)
	}
	o := server.Options{DataDir: x.dir, NoSeed: true}
	o.Policy.Confidential = access.Classification{rule}
	x.end(t)
	y := start(t, o)
	keeper := &web{t, y.Facts().URL, as["keeper"].token}
	for name, body := range map[string]string{ // each tried in a trial
		"/api/v1/packs/p?dry_run=true":  `{"name":"P","select":{"kinds":["rule"]},"raise":[{"id":"rule/ID","severity":"INFO"}]}`,
		"/api/v1/labels/l?dry_run=true": `{"name":"L","seq":1,"holds":{"rule/ID":1}}`,
	} {
		hidden := keeper.ask(http.MethodPut, name, strings.ReplaceAll(body, "ID", "PAY-1"))
		none := keeper.ask(http.MethodPut, name, strings.ReplaceAll(body, "ID", "PAX-0"))
		seen := keeper.ask(http.MethodPut, name, strings.ReplaceAll(body, "ID", "OPEN-1"))
		if hidden.status != none.status || seen.status == none.status {
			t.Errorf("%s: %d for what is hidden, %d for what is not there, and %d for what is:\n%s\n%s", name, hidden.status,
				none.status, seen.status, hidden.body, seen.body)
		}
	}
}

// TestWhatLeavesTheHouseIsNotConfidential reads as one who may read what is confidential and not take it out: by the
// door of assistants, for an export, and with a token that may.
func TestWhatLeavesTheHouseIsNotConfidential(t *testing.T) {
	x, as := confidential(t, server.Options{})
	for _, who := range []string{"viewer", "keeper", "admin", "taker"} {
		takes := who == "taker"
		out := store.WithLeaving(t.Context())
		c := x.client(t, as[who].token)
		page, err := c.List(out, knowledge.Query{Kind: knowledge.KindRule, Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		listed := slices.ContainsFunc(page.Records, func(r *knowledge.Record) bool { return r.Key.ID == "PAY-1" })
		if listed != takes {
			t.Errorf("an export by %s holds what is confidential: %t", who, listed)
		}
		changes, err := c.Changes(out, knowledge.ChangeQuery{Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		logged := slices.ContainsFunc(changes, func(c knowledge.Change) bool { return c.Key.ID == "PAY-2" })
		if logged != takes {
			t.Errorf("a log exported by %s holds what is confidential: %t", who, logged)
		}
		s := x.assistant(t, "2025-06-18", as[who].token, nil)
		for tool, args := range map[string]map[string]any{
			"get": {"key": "rule/PAY-1"}, "search": {"query": "stone"}, "get_guidance": {"paths": []string{"a.go"}},
		} {
			text := textOf(call(t, s, tool, args))
			if strings.Contains(text, "zirconium") != takes {
				t.Errorf("an assistant with the token of %s gets by %s, and may it be confidential: %t\n%s", who, tool, takes, text)
			}
		}
	}
}

// TestAStreamTellsNothingConfidential follows the log from its beginning and on, as a viewer and as one who may read
// all.
func TestAStreamTellsNothingConfidential(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x, as := confidential(t, o)
		admin := x.admin(t)
		told := map[string]*telling{}
		for _, who := range []string{"viewer", "keeper"} {
			told[who] = follow(t, x.client(t, as[who].token), client.Watch{})
		}
		write(t, admin, "admin", patch("rule/PAY-1", `{"description":"More of `+secretWord+`."}`))
		write(t, admin, "admin", patch("rule/OPEN-1", `{"description":"The last word."}`))
		last := func(m *client.LiveMessage) bool { return strings.Contains(string(m.Raw), "The last word.") }
		for _, w := range told {
			w.await(t, "the last change", last)
		}
		// A version that was not confidential when it was told is told again: whoever listened has it.
		secret := func(m client.LiveMessage) bool {
			return strings.Contains(string(m.Raw), secretWord) || strings.Contains(string(m.Raw), "PAY-1") ||
				strings.Contains(string(m.Raw), `"payroll"`) && m.Change.Key.Kind == knowledge.KindRule
		}
		if !slices.ContainsFunc(told["keeper"].all(), secret) {
			t.Error("a stream for who may read it tells nothing confidential: the test proves nothing")
		}
		if slices.ContainsFunc(told["viewer"].all(), secret) {
			t.Error("a stream for a viewer tells what is confidential")
		}
	})
}

// TestWhoFollowsAnAddressIsSilencedByNobodyAndHearsNothingConfidential follows a document in each version of the
// protocol, beside another assistant that leaves the same address, and beside changes of a confidential one.
func TestWhoFollowsAnAddressIsSilencedByNobodyAndHearsNothingConfidential(t *testing.T) {
	x, as := confidential(t, server.Options{})
	for _, era := range eras() {
		told := make(chan string, 100)
		s := x.assistant(t, era, as["viewer"].token, &mcp.ClientOptions{
			ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
				told <- r.Params.URI
			},
		})
		if err := s.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "tenet://rule/OPEN-1"}); err != nil {
			t.Fatal(err)
		}
		// In the older version the answer is to this call; in the newer one it ends a stream of its own.
		if err := s.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "tenet://rule/PAY-1"}); era == "2025-11-25" &&
			(err == nil || !strings.Contains(err.Error(), "not found")) {
			t.Errorf("a viewer may follow a confidential document: %v", err)
		}
		other := x.assistant(t, "2025-11-25", as["contributor"].token, nil)
		for range 3 { // of what it never followed
			if err := other.Unsubscribe(t.Context(), &mcp.UnsubscribeParams{URI: "tenet://rule/OPEN-1"}); err != nil {
				t.Fatal(err)
			}
		}
		// The first change may come before the stream stands: what is told later is what counts.
		for n, heard := 0, false; !heard; n++ {
			write(t, x.admin(t), "admin", patch("rule/PAY-1", fmt.Sprintf(`{"priority": %d}`, n+1)),
				patch("rule/OPEN-1", fmt.Sprintf(`{"priority": %d}`, n+1)))
			select {
			case uri := <-told:
				if heard = true; uri != "tenet://rule/OPEN-1" {
					t.Errorf("%s: a viewer is told of %s", era, uri)
				}
			case <-time.After(2 * time.Second):
				if n == 20 {
					t.Fatalf("%s: nobody told of the change", era)
				}
			}
		}
	}
}
