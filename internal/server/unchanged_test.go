package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

const stillPath = "/api/v1/categories/still"

// TestAWriteThatChangesNothingIsNone writes what is there already, in every way that a document can be written.
func TestAWriteThatChangesNothingIsNone(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		w := x.browse(t)
		w.want(http.StatusCreated, http.MethodPut, stillPath, named("Still"))
		end := func() string {
			return w.want(http.StatusOK, http.MethodGet, "/api/v1/changes?newest=true&limit=1", "").body
		}
		one := func(what string, status int, method, path, body string, header ...string) *said {
			t.Helper()
			before := end()
			s := w.ask(method, path, body, header...)
			if s.status != status || s.header.Get("Tenet-Unchanged") != "true" {
				t.Errorf("%s: %d, Tenet-Unchanged %q: %s", what, s.status, s.header.Get("Tenet-Unchanged"), s.body)
			}
			if after := end(); after != before {
				t.Errorf("%s: the log went on from %s to %s", what, before, after)
			}
			return s
		}
		s := one("a PUT", http.StatusOK, http.MethodPut, stillPath, named("Still"))
		if s.header.Get("Etag") == "" || s.header.Get("Tenet-Seq") == "" || !strings.Contains(s.body, `"version":1`) {
			t.Errorf("the answer is not the document as it is: %v %s", s.header, s.body)
		}
		tag := s.header.Get("Etag")
		one("a PUT of the version that is there", http.StatusOK, http.MethodPut, stillPath, named("Still"), "If-Match",
			tag)
		one("a PUT of what was read", http.StatusOK, http.MethodPut, stillPath, s.body)
		one("a patch", http.StatusOK, http.MethodPatch, stillPath, named("Still"))
		one("a restore of what is active", http.StatusOK, http.MethodPost, stillPath+"/restore", "")
		one("a dry run", http.StatusOK, http.MethodPut, stillPath+"?dry_run=true", named("Still"))
		const ops = `{"ops":[{"verb":"put","kind":"category","document":{"category_id":"still","name":"Still"}}]%s}`
		for _, mode := range []string{"", `,"mode":"best_effort"`} {
			before := end()
			s := w.want(http.StatusOK, http.MethodPost, "/api/v1/batches", strings.Replace(ops, "%s", mode, 1))
			if !strings.Contains(s.body, `"unchanged":true`) || end() != before {
				t.Errorf("a batch%s: %s", mode, s.body)
			}
		}
		w.want(http.StatusOK, http.MethodDelete, stillPath, "")
		one("a second DELETE", http.StatusOK, http.MethodDelete, stillPath, "")

		// What has a condition that does not hold, or changes anything, is done or refused as ever.
		for _, seen := range []string{`"9"`, tag} {
			s := w.ask(http.MethodPatch, stillPath, named("Still"), "If-Match", seen)
			if s.status != http.StatusPreconditionFailed {
				t.Errorf("a patch of %s: %d %s", seen, s.status, s.body)
			}
		}
		if s := w.want(http.StatusOK, http.MethodPatch, stillPath,
			named("Moved")); s.header.Get("Tenet-Unchanged") != "" {
			t.Errorf("a change: %v", s.header)
		}
		// A batch that was done is answered as it was, though what it would write is there now.
		again := knowledge.NewBatchID().String()
		first := w.ask(http.MethodPut, stillPath, named("Again"), "Idempotency-Key", again)
		second := w.ask(http.MethodPut, stillPath, named("Again"), "Idempotency-Key", again)
		if first.status != http.StatusOK || second.status != first.status || second.body != first.body ||
			second.header.Get("Tenet-Unchanged") != "" || second.header.Get("Tenet-Seq") != first.header.Get(
			"Tenet-Seq") {
			t.Errorf("sent twice: %v %s, then %v %s", first.header, first.body, second.header, second.body)
		}
	})
}

// TestAWriteThatChangedNothingIsNotDoneWhenItIsSentAgain sends a write again that changed nothing at first, after
// somebody else has written.
func TestAWriteThatChangedNothingIsNotDoneWhenItIsSentAgain(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		w := x.browse(t)
		w.want(http.StatusCreated, http.MethodPut, stillPath, named("Still"))
		const batch = `{"ops":[{"verb":"put","kind":"category","document":{"category_id":"still","name":"Still"}}]%s}`
		for what, send := range map[string]func(body string) *said{
			"a PUT": func(name string) *said {
				return w.ask(http.MethodPut, stillPath, named(name), "Idempotency-Key", "put")
			},
			"a batch": func(name string) *said {
				return w.ask(http.MethodPost, "/api/v1/batches", strings.ReplaceAll(strings.Replace(batch, "%s", "", 1),
					`"Still"`, `"`+name+`"`), "Idempotency-Key", "batch")
			},
			"ops one by one": func(name string) *said {
				return w.ask(http.MethodPost, "/api/v1/batches", strings.ReplaceAll(strings.Replace(batch, "%s",
					`,"mode":"best_effort"`, 1), `"Still"`, `"`+name+`"`), "Idempotency-Key", "each")
			},
		} {
			first := send("Still")
			w.want(http.StatusOK, http.MethodPut, stillPath, named("Theirs"))
			again := send("Still")
			if first.status != http.StatusOK || again.status != first.status || again.body != first.body ||
				again.header.Get("Tenet-Seq") != first.header.Get("Tenet-Seq") ||
				again.header.Get("Tenet-Unchanged") != first.header.Get("Tenet-Unchanged") {
				t.Errorf("%s, sent twice: %v %s, then %v %s", what, first.header, first.body, again.header, again.body)
			}
			if s := send("Other"); !strings.Contains(s.body, "already used") && !strings.Contains(s.body, "reused") {
				t.Errorf("%s, its key with another document: %d %s", what, s.status, s.body)
			}
			if s := w.want(http.StatusOK, http.MethodGet, stillPath, ""); !strings.Contains(s.body, `"Theirs"`) {
				t.Errorf("%s, sent again, has written over what somebody else wrote: %s", what, s.body)
			}
			w.want(http.StatusOK, http.MethodPut, stillPath, named("Still"))
		}
	})
}

// TestAnOldCopySaysOfNoWriteThatItChangesNothing writes what the copy of an instance holds, and PostgreSQL does not.
func TestAnOldCopySaysOfNoWriteThatItChangesNothing(t *testing.T) {
	url := pgtest.URL(t)
	x := start(t, server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: url, Outage: outage()})
	w := x.browse(t)
	w.want(http.StatusCreated, http.MethodPut, stillPath, named("Ours"))
	level(t, x.admin(t))
	for range 20 {
		past(t, url, patch("category/still", named("Theirs")))
		s := w.want(http.StatusOK, http.MethodPut, stillPath, named("Ours"))
		if s.header.Get("Tenet-Unchanged") != "" || !strings.Contains(s.body, `"Ours"`) {
			t.Fatalf("over what somebody else has written: %v %s", s.header, s.body)
		}
	}
}

// TestTheKeyOfAWriteThatChangedNothingOutlivesItsInstance sends a write again, that changed nothing at first, after
// somebody else has written: to its instance when that was started anew, and to another one.
func TestTheKeyOfAWriteThatChangedNothingOutlivesItsInstance(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		o.DataDir, o.Outage = filepath.Join(t.TempDir(), "data"), outage()
		x := start(t, o)
		w := x.browse(t)
		w.want(http.StatusCreated, http.MethodPut, stillPath, named("Still"))
		key := knowledge.NewBatchID().String()
		send := func(w *web) *said {
			return w.ask(http.MethodPut, stillPath, named("Still"), "Idempotency-Key", key)
		}
		first := send(w)
		if first.header.Get("Tenet-Unchanged") != "true" || first.header.Get("Tenet-Source") != "primary" {
			t.Errorf("at first: %v", first.header)
		}
		w.want(http.StatusOK, http.MethodPut, stillPath, named("Theirs"))
		holds := func(what string, w *web) {
			t.Helper()
			again := send(w)
			for _, name := range []string{"Tenet-Unchanged", "Tenet-Seq", "Tenet-Batch", "Tenet-Source", "Etag"} {
				if again.header.Get(name) != first.header.Get(name) {
					t.Errorf("%s: %s is %q, and was %q", what, name, again.header.Get(name), first.header.Get(name))
				}
			}
			if again.status != first.status || again.body != first.body {
				t.Errorf("%s: %d %s, and it was %d %s", what, again.status, again.body, first.status, first.body)
			}
			s := w.want(http.StatusOK, http.MethodGet, "/api/v1/batches/"+key, "")
			if !strings.Contains(s.body, `"state":"applied","seq":`+first.header.Get("Tenet-Seq")+"}") {
				t.Errorf("%s, where it stands: %s", what, s.body)
			}
		}
		holds("its instance", w)
		if o.DatabaseURL != "" {
			other := o
			other.DataDir = filepath.Join(t.TempDir(), "data")
			y := start(t, other)
			level(t, x.admin(t))
			holds("another instance", &web{t, y.Facts().URL, x.token(t)})
		}
		x.end(t)
		x = start(t, o)
		w = x.browse(t)
		holds("its instance, started anew", w)
		if s := w.want(http.StatusOK, http.MethodGet, stillPath, ""); !strings.Contains(s.body, `"Theirs"`) {
			t.Errorf("it has written over what somebody else wrote: %s", s.body)
		}
	})
}
