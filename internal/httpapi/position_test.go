package httpapi

import (
	"encoding/json"
	"net/http"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Who reads the whole list and then follows the log from the position of its first page misses nothing.
func TestAListNamesAPositionToFollowFrom(t *testing.T) {
	var n *tenet
	n = newTenet(t, func(o *Options) {
		o.Position = func() (knowledge.Mark, bool) {
			end, err := store.End(t.Context(), n.store.next)
			return end, err == nil
		}
	})
	for _, path := range []string{"/api/v1/rules?limit=1", "/api/v1/search?q=queries"} {
		list := n.do(get(path))
		at := list.header.Get("Tenet-Position")
		if again := n.do(get(path).with("If-None-Match",
			list.header.Get("ETag"))); again.status != http.StatusNotModified ||
			again.header.Get("Tenet-Position") != at {
			t.Errorf("%s asked again: %d at %q, want 304 at %q", path, again.status,
				again.header.Get("Tenet-Position"), at)
		}
		n.do(patch(rulePath, `{"priority":3}`))
		n.do(patch(rulePath, `{"priority":4}`))
		r := n.do(get("/api/v1/changes?after=" + at))
		var page changePage
		if err := json.Unmarshal(r.body, &page); err != nil || len(page.Changes) != 2 {
			t.Fatalf("%s: after %q come %d changes, want the 2 that were made since: %s", path, at, len(page.Changes),
				r.body)
		}
		if m, err := knowledge.ParseMark(page.Position); err != nil || m.Seq != page.NextAfter || len(m.Chain) == 0 {
			t.Errorf("the page ends at %q, want the seq %d with its chain", page.Position, page.NextAfter)
		}
		if more := n.do(get("/api/v1/changes?after=" + page.Position)); more.status != http.StatusOK {
			t.Errorf("after %s: %d %s", page.Position, more.status, more.body)
		}
	}
}

// A tenet on a PostgreSQL may lag behind another one: a position that it does not reach is only refused while it is
// level.
func TestAPositionAheadOfALaggingCopyIsWaitedFor(t *testing.T) {
	mode := knowledge.ModeDegraded
	n := newTenet(t, func(o *Options) {
		o.Level = func() knowledge.Level { return knowledge.Level{Mode: mode} }
	})
	if r := n.do(get("/api/v1/changes?after=1000")); r.status != http.StatusOK {
		t.Errorf("degraded: %d %s, want an empty answer", r.status, r.body)
	}
	mode = knowledge.ModeNormal
	if r := n.do(get("/api/v1/changes?after=1000")); r.status != http.StatusGone {
		t.Errorf("normal: %d %s, want 410", r.status, r.body)
	}
}
