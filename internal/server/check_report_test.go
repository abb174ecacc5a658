package server_test

import (
	"net/http"
	"strings"
	"testing"

	"tenet/internal/server"
)

// TestAReportResolvesWhatIsMendedAndNothingElse reports over REST what stands in two files, an edit that leaves it,
// lines of which it is none, a file that is gone, and in the end what is mended.
func TestAReportResolvesWhatIsMendedAndNothingElse(t *testing.T) {
	w := start(t, server.Options{}).browse(t)
	w.want(http.StatusCreated, http.MethodPut, "/api/v1/rules/NOTE", `{"rule_id":"NOTE","category":"documentation",
		"title":"T","description":"D","checks":[{"id":"c","kind":"forbid","pattern":"TODO"}]}`)
	w.want(http.StatusCreated, http.MethodPut, "/api/v1/packs/p", `{"pack_id":"p","name":"P","select":{"ids":["NOTE"]}}`)
	w.want(http.StatusCreated, http.MethodPut, "/api/v1/repositories/r",
		`{"repository_id":"r","name":"R","packs":["p"]}`)
	standing := func() string {
		var open []string
		list := w.want(http.StatusOK, http.MethodGet, "/api/v1/violations?status=open&repository=r", "").body
		for _, path := range []string{"a.go", "b.go", "c.go"} {
			if strings.Contains(list, `"path":"`+path+`"`) {
				open = append(open, path)
			}
		}
		return strings.Join(open, " ")
	}
	for _, step := range []struct{ name, body, want string }{
		{"both are new", `"files":[{"path":"./a.go","content":"TODO\n"},{"path":"b.go","content":"TODO\n"}]`, "a.go b.go"},
		{"it was there before", `"files":[{"path":"a.go","content":"x\nTODO\n","before":"TODO\n"}]`, "a.go b.go"},
		{"it is in another line", `"files":[{"path":"a.go","content":"x\nTODO\n","lines":[1]}]`, "a.go b.go"},
		{
			"it has another name", `"files":[{"path":"c.go","was":"./a.go","content":"x\nTODO\n","before":"TODO\n"}]`,
			"b.go c.go",
		},
		{"its file is gone", `"gone":["./b.go"]`, "c.go"},
		{"it is mended", `"files":[{"path":"./c.go","content":"x\n","before":"TODO\n"}]`, ""},
	} {
		w.want(http.StatusOK, http.MethodPost, "/api/v1/check", `{"repository":"r","report":true,`+step.body+`}`)
		if got := standing(); got != step.want {
			t.Errorf("%s: open are %q, want %q", step.name, got, step.want)
		}
	}
	for _, was := range []string{`"was":"a.go"`, `"was":"../a.go","before":""`} {
		got := w.want(http.StatusUnprocessableEntity, http.MethodPost, "/api/v1/check", `{"repository":"r",
			"report":true,"files":[{"path":"c.go","content":"",`+was+`}]}`)
		if !strings.Contains(got.body, "/files/0/was") {
			t.Errorf("%s is refused with %s", was, got.body)
		}
	}
}
