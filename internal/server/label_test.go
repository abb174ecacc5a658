package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store/storetest"
)

// labelled are the questions that are asked at a label.
func labelled() []string {
	return []string{
		"/api/v1/rules?limit=3&total=true", "/api/v1/rules?limit=200",
		"/api/v1/rules?active=any&sort=updated&view=summary", "/api/v1/rules?active=false",
		"/api/v1/rules?tag=kept&sort=title", "/api/v1/rules?category=security&severity=CRITICAL&sort=id",
		"/api/v1/practices?limit=2",
		"/api/v1/templates?total=true", "/api/v1/categories", "/api/v1/packs",
		"/api/v1/search?q=zebra+crossing&facets=true&view=full",
		"/api/v1/search?q=zebra&limit=1", "/api/v1/search?q=how+do+I+write+a+commit+message&facets=true",
		"/api/v1/search?q=sql+injektion",
	}
}

// answers asks all of them, as of now or at a label. What says that an answer is as of the label is taken out.
func answers(w *web, label, seq string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, path := range labelled() {
		asked := path
		if label != "" {
			asked += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "label=" + label
		}
		s := w.want(http.StatusOK, http.MethodGet, asked, "")
		body := s.body
		if label != "" {
			says := fmt.Sprintf(`,"label":%q,"seq":%s`, label, seq)
			if !strings.Contains(body, says) || s.header.Get("Tenet-Label") != label+";seq="+seq {
				w.t.Fatalf("%s: %q %s\nwant it to say as of what", asked, s.header.Get("Tenet-Label"), body)
			}
			body = strings.Replace(body, says, "", 1)
			if w.doWith("If-None-Match", s.header.Get("ETag"), asked).status != http.StatusNotModified {
				w.t.Errorf("%s asked again with %s: not 304", asked, s.header.Get("ETag"))
			}
		}
		all[path] = body
	}
	return all
}

func (w *web) doWith(name, value, path string) *said {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set(name, value)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return &said{status: resp.StatusCode, header: resp.Header}
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path := range want {
		if got[path] != want[path] {
			t.Errorf("%s: %s\n%s\nwant\n%s", what, path, got[path], want[path])
		}
	}
}

func zebra(id, title string) *knowledge.Rule {
	return storetest.Rule(func(r *knowledge.Rule) {
		r.RuleID, r.Category, r.Title, r.Tags, r.Severity = id, "security", title, []string{"kept"},
			knowledge.SeverityCritical
		r.Description = "A zebra at the crossing."
	})
}

func standsAt(w *web) string {
	w.t.Helper()
	head := w.want(http.StatusOK, http.MethodGet, "/api/v1/changes?newest=true&limit=1", "").body
	seq, _, _ := strings.Cut(strings.TrimPrefix(head, `{"changes":[{"seq":`), ",")
	return seq
}

// TestListsAndSearchesAtALabelAnswerAsTheyDidThen asks before the documents change and at a label afterwards, while
// others write, after the label was moved and moved back, after a restart, and while the primary is away.
func TestListsAndSearchesAtALabelAnswerAsTheyDidThen(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]func(t *testing.T) (server.Options, *pgtest.Server){
		"embedded": func(*testing.T) (server.Options, *pgtest.Server) { return server.Options{}, nil },
		"PostgreSQL": func(t *testing.T) (server.Options, *pgtest.Server) {
			pg := pgtest.Start(t, pgtest.Options{})
			return server.Options{DatabaseURL: pg.URL("postgres"), Outage: outage()}, pg
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, pg := o(t)
			o.DataDir = filepath.Join(t.TempDir(), "data")
			x := start(t, o)
			w, admin := x.browse(t), x.admin(t)
			settled := func() {
				if pg != nil {
					level(t, admin)
				}
			}
			put := func(d knowledge.Document) knowledge.Op { return knowledge.Put(d, knowledge.NoVersion) }
			write(t, admin, "admin", put(zebra("ZEB-1", "Mind the zebra")),
				put(zebra("ZEB-2", "Mind the other zebra")), put(zebra("ZEB-3", "Retired later")))
			settled()
			before, seq := answers(w, "", ""), standsAt(w)
			w.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/production", `{"seq":`+seq+`}`)
			write(t, admin, "admin", patch("rule/ZEB-1", `{"title":"Another title","severity":"INFO","tags":[]}`),
				put(zebra("ZEB-4", "A new zebra")),
				knowledge.Op{Verb: knowledge.VerbRetire, Key: zebra("ZEB-3", "").Key()})
			settled()
			same(t, "at the label", answers(w, "production", seq), before)

			after, then := answers(w, "", ""), standsAt(w)
			w.want(http.StatusOK, http.MethodPatch, "/api/v1/labels/production", `{"seq":`+then+`}`)
			settled()
			same(t, "moved forward", answers(w, "production", then), after)
			w.want(http.StatusOK, http.MethodPatch, "/api/v1/labels/production", `{"seq":`+seq+`}`)
			settled()
			same(t, "moved back", answers(w, "production", seq), before)
			for _, path := range []string{
				"/api/v1/rules?label=none", "/api/v1/search?q=zebra&label=none",
				"/api/v1/rules/ZEB-1?label=none",
			} {
				w.want(http.StatusNotFound, http.MethodGet, path, "")
			}
			w.want(http.StatusBadRequest, http.MethodGet, "/api/v1/repositories?label=production", "")

			x.end(t)
			o.Listen = ""
			x = start(t, o)
			w, admin = x.browse(t), x.admin(t)
			settled()
			if pg == nil {
				same(t, "after a restart", answers(w, "production", seq), before)
				return
			}
			pg.Stop(pgtest.Immediate)
			degrade(t, w, "/api/v1/rules/ZEB-2")
			w.want(http.StatusAccepted, http.MethodPatch, "/api/v1/rules/ZEB-2", `{"title":"Written in the outage"}`)
			same(t, "in an outage", answers(w, "production", seq), before)
		})
	}
}

// TestALabelIsReadWhileOthersWrite makes copies of labels while documents change, and compares each with what a list
// showed.
func TestALabelIsReadWhileOthersWrite(t *testing.T) {
	x := start(t, server.Options{})
	w, admin := x.browse(t), x.admin(t)
	for i := range 20 {
		write(t, admin, "admin", knowledge.Put(zebra(fmt.Sprintf("ZEB-%02d", i), "A zebra"), knowledge.NoVersion))
	}
	for round := range 3 {
		before, seq := answers(w, "", ""), standsAt(w)
		label := fmt.Sprintf("round-%d", round)
		w.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/"+label, `{"seq":`+seq+`}`)
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				op := patch(fmt.Sprintf("rule/ZEB-%02d", i%20), fmt.Sprintf(`{"title":"A zebra %d of round %d"}`, i,
					round))
				// To its end: what is called off may still be done.
				if _, err := admin.Apply(t.Context(), knowledge.Batch{
					ID: knowledge.NewBatchID(), Actor: "admin",
					Ops: []knowledge.Op{op},
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		end := func() { stop(); writers.Wait() }
		t.Cleanup(end)
		got := answers(w, label, seq)
		end()
		same(t, label, got, before)
	}
}

// TestWhatIsPurgedLeavesTheCopiesOfLabels purges a document that a label still held.
func TestWhatIsPurgedLeavesTheCopiesOfLabels(t *testing.T) {
	x := start(t, server.Options{})
	w, admin := x.browse(t), x.admin(t)
	write(t, admin, "admin", knowledge.Put(zebra("ZEB-1", "Mind the zebra"), knowledge.NoVersion))
	w.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/production", `{"seq":`+standsAt(w)+`}`)
	const guided = "/api/v1/guidance?path=a.go&task=zebra&budget=0&label=production"
	// so that guidance, too, holds its earlier version
	write(t, admin, "admin", patch("rule/ZEB-1", `{"title":"Another title"}`))
	if s := w.want(http.StatusOK, http.MethodGet, guided, ""); !strings.Contains(s.body, "Mind the zebra") {
		t.Fatalf("guidance at the label: %s", s.body)
	}
	const list, search = "/api/v1/rules?tag=kept&label=production", "/api/v1/search?q=zebra&label=production"
	if s := w.want(http.StatusOK, http.MethodGet, list, ""); !strings.Contains(s.body, "ZEB-1") {
		t.Fatalf("at the label: %s", s.body)
	}
	w.want(http.StatusNoContent, http.MethodDelete, "/api/v1/rules/ZEB-1?purge=true", "")
	for _, path := range []string{list, search, guided} {
		pgtest.Await(t, "a copy without the purged document", func() bool {
			return !strings.Contains(w.want(http.StatusOK, http.MethodGet, path, "").body, "ZEB-1")
		})
	}
	for i := range 6 { // more than are kept
		label := fmt.Sprintf("l%d", i)
		w.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/"+label, fmt.Sprintf(`{"seq":%d}`, i+1))
		w.want(http.StatusOK, http.MethodGet, "/api/v1/rules?label="+label, "")
	}
	pgtest.Await(t, "few copies", func() bool {
		left, err := os.ReadDir(filepath.Join(x.dir, "labels"))
		return err == nil && len(left) <= 4
	})
	x.end(t)
	if left, err := os.ReadDir(filepath.Join(x.dir, "labels")); err != nil || len(left) > 0 {
		t.Errorf("after the end: %v, %v", left, err)
	}
}
