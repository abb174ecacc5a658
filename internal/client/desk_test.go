package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"tenet/internal/client"
	"tenet/internal/store"
)

func TestConflictsAreAskedForAndDecided(t *testing.T) {
	id := uuid.MustParse("018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a70")
	var asked []string
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.String()+" "+string(body))
		one := `{"id":"` + id.String() + `","kind":"rule","document_id":"SEC-001","found":2,"base":null,` +
			`"theirs":{"version":2},"ours":{"version":2}}`
		switch r.URL.Path {
		case "/api/v1/conflicts":
			io.WriteString(w, `{"conflicts":[`+one+`],"next":"41"}`)
		case "/api/v1/conflicts/resolve":
			io.WriteString(w, `{"decided":[{"id":"`+id.String()+`","state":"applied","seq":8}]}`)
		case "/api/v1/conflicts/" + id.String():
			io.WriteString(w, one)
		case "/api/v1/conflicts/" + id.String() + "/resolve":
			io.WriteString(w, `{"conflict":`+one+`,"state":"applied","seq":7,"results":[]}`)
		case "/api/v1/mirror/check":
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, `{"asked":"check"}`)
		default:
			problem(w, http.StatusNotFound, `{"code":"not_found","detail":"this tenet has no mirror"}`)
		}
	})
	ctx := t.Context()
	list, next, err := s.Conflicts(ctx, client.ConflictQuery{Resolved: true, Kind: "rule", Limit: 1})
	if err != nil || next != "41" || len(list) != 1 || list[0].ID != id || list[0].Key() != key {
		t.Errorf("the list: %+v, %v", list, err)
	}
	if c, err := s.Conflict(ctx, id); err != nil || string(c.Base) != "null" || c.Found != 2 {
		t.Errorf("one: %+v, %v", c, err)
	}
	if r, err := s.Resolve(ctx, id, "merged", "abc", json.RawMessage(`{"title":"T"}`)); err != nil || r.Seq != 7 ||
		r.Conflict.ID != id {
		t.Errorf("the decision: %+v, %v", r, err)
	}
	if r, err := s.ResolveMany(ctx, "ours", []client.Conflict{{ID: id, Seen: "abc"}}); err != nil ||
		len(r.Decided) != 1 || r.Decided[0].Seq != 8 {
		t.Errorf("the decision about many: %+v, %v", r, err)
	}
	if err := s.CheckMirror(ctx); err != nil {
		t.Errorf("the check: %v", err)
	}
	if err := s.AcceptPrimary(ctx); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("accepted by a tenet without a mirror: %v", err)
	}
	want := []string{
		"GET /api/v1/conflicts?kind=rule&limit=1&resolved=true ", "GET /api/v1/conflicts/" + id.String() + " ",
		"POST /api/v1/conflicts/" + id.String() +
			`/resolve {"resolution":"merged","seen":"abc","document":{"title":"T"}}`,
		`POST /api/v1/conflicts/resolve {"resolution":"ours","conflicts":[{"id":"` + id.String() + `","seen":"abc"}]}`,
		"POST /api/v1/mirror/check ", "POST /api/v1/mirror/accept ",
	}
	for i := range want {
		if i >= len(asked) || asked[i] != want[i] {
			t.Errorf("call %d: %q, want %q", i, asked, want[i])
			break
		}
	}
}
