package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store/storetest"
)

// TestTheLogIsKeptForItsLabels lets the log be shortened, and reads at a label what an old change left.
func TestTheLogIsKeptForItsLabels(t *testing.T) {
	x := start(t, server.Options{Upkeep: server.Upkeep{RetainLog: time.Millisecond, RetainAudit: time.Millisecond}})
	w := x.browse(t)
	rule := storetest.Rule(func(r *knowledge.Rule) { r.RuleID, r.Category, r.Title = "OLD-1", "security", "As it was" })
	write(t, x.admin(t), "admin", knowledge.Put(rule, knowledge.NoVersion))
	head := w.want(http.StatusOK, http.MethodGet, "/api/v1/changes?newest=true&limit=1", "").body
	seq, _, _ := strings.Cut(strings.TrimPrefix(head, `{"changes":[{"seq":`), ",")
	w.want(http.StatusCreated, http.MethodPut, "/api/v1/labels/production", `{"seq":`+seq+`}`)
	write(t, x.admin(t), "admin", patch("rule/OLD-1", `{"title":"As it is"}`))
	run := func(what string) {
		t.Helper()
		ended := strings.Count(w.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/retention.log/runs", "").body, what)
		w.want(http.StatusAccepted, http.MethodPost, "/api/v1/jobs/retention.log/run", "")
		pgtest.Await(t, what, func() bool {
			return strings.Count(w.want(http.StatusOK, http.MethodGet, "/api/v1/jobs/retention.log/runs", "").body,
				what) > ended
		})
	}
	run("the log is kept whole for its labels: production")
	if s := w.want(http.StatusOK, http.MethodGet, "/api/v1/rules/OLD-1?label=production", ""); !strings.Contains(
		s.body, `"As it was"`) {
		t.Errorf("at the label: %s", s.body)
	}
	w.want(http.StatusOK, http.MethodDelete, "/api/v1/labels/production", "")
	run("changes removed")
	w.want(http.StatusGone, http.MethodGet, "/api/v1/changes?after=1", "")
}
