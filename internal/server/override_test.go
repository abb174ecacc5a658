package server_test

import (
	"net/http"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// TestAnAdminBreaksTheGlassForAllToSee moves a protected label without the approvals that it needs.
func TestAnAdminBreaksTheGlassForAllToSee(t *testing.T) {
	protected := access.PolicyRule{Kind: knowledge.KindLabel, ID: "production", Approvals: 2}
	x := start(t, server.Options{
		Policy:   access.Policy{Rules: []access.PolicyRule{protected}},
		Entrance: server.Entrance{MetricsOpen: true},
	})
	admin := x.browse(t)
	writer, token, err := access.NewPrincipal("maintainer", knowledge.RoleMaintainer)
	if err != nil {
		t.Fatal(err)
	}
	writer.Normalize()
	write(t, x.admin(t), "admin", knowledge.Put(writer, knowledge.NoVersion))
	maintainer := &web{t, x.Facts().URL, token}
	const path = "/api/v1/proposals/018f4a3e-7c10-7a5e-9f0b-0000000000f1"
	admin.want(http.StatusForbidden, http.MethodPut, "/api/v1/labels/production", `{"seq":1}`)
	admin.want(http.StatusCreated, http.MethodPut, path,
		`{"title":"Roll back","why":"It is `+
			`down.","ops":[{"verb":"put","kind":"label","id":"production","document":{"label_id":"production","seq":1}}]}`)
	admin.want(http.StatusForbidden, http.MethodPost, path+"/apply", "")
	maintainer.want(http.StatusForbidden, http.MethodPost, path+"/reviews",
		`{"verdict":"override","comment":"I want it"}`)
	admin.want(http.StatusForbidden, http.MethodPost, path+"/reviews", `{"verdict":"approve"}`) // its own
	if s := admin.want(http.StatusUnprocessableEntity, http.MethodPost, path+"/reviews",
		`{"verdict":"override","comment":" "}`); !strings.Contains(s.body, `"pointer":"/comment"`) {
		t.Errorf("an override without a reason: %s", s.body)
	}
	admin.want(http.StatusForbidden, http.MethodPost, path+"/apply", "")
	admin.want(http.StatusOK, http.MethodPost, path+"/reviews", `{"verdict":"override","comment":"Production is down"}`)
	admin.want(http.StatusOK, http.MethodPost, path+"/apply", "")
	admin.want(http.StatusOK, http.MethodPost, path+"/apply", "") // is done once, and told once
	admin.want(http.StatusOK, http.MethodGet, "/api/v1/labels/production", "")
	if s := admin.want(http.StatusOK, http.MethodGet, path, ""); !strings.Contains(s.body, `"verdict":"override"`) ||
		!strings.Contains(s.body, `"state":"applied"`) {
		t.Errorf("the proposal: %s", s.body)
	}
	pgtest.Await(t, "the override in the audit", func() bool {
		return strings.Count(admin.want(http.StatusOK, http.MethodGet, "/api/v1/audit", "").body,
			"applied without its approvals by an override of admin: Production is down") == 1
	})
	if s := admin.want(http.StatusOK, http.MethodGet, "/metrics", ""); !strings.Contains(s.body,
		"\ntenet_policy_overrides_total 1\n") {
		t.Error("the metric does not count the override")
	}
}
