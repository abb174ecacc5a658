package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A halt is a log whose reader holds back what makes a search index.
type halt struct {
	slog.Handler
	once    sync.Once
	reached chan struct{} // closed when it is held back
	goOn    chan struct{} // to be closed by the test
}

func (h *halt) Enabled(context.Context, slog.Level) bool { return true }

func (h *halt) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "indexing documents for search" {
		h.once.Do(func() {
			close(h.reached)
			<-h.goOn
		})
	}
	return nil
}

// TestAStartAfterAnUpgradeWaitsForNoIndex starts a tenet whose search index has another form, and looks at it before
// the index is made.
func TestAStartAfterAnUpgradeWaitsForNoIndex(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, o server.Options) {
		o.DataDir, o.Outage = filepath.Join(t.TempDir(), "data"), outage()
		first := start(t, o)
		file, dual := filepath.Join(o.DataDir, "tenet.db"), o.DatabaseURL != ""
		if dual {
			file = filepath.Join(o.DataDir, "mirror.db")
			level(t, first.admin(t))
		}
		first.end(t)
		if _, err := sqlite.Migrate(t.Context(), file, 16); err != nil {
			t.Fatal(err)
		}

		h := &halt{Handler: slog.DiscardHandler, reached: make(chan struct{}), goOn: make(chan struct{})}
		resume := sync.OnceFunc(func() { close(h.goOn) })
		defer resume()
		o.Log = slog.New(h)
		x := start(t, o)
		admin := x.admin(t)
		<-h.reached
		if dual {
			level(t, admin)
		}
		const note = "the search index is being made: 0 of "
		if said := readyNotes(t, x); !strings.Contains(said, note) {
			t.Errorf("/readyz says %s, want %q", said, note)
		}
		st, err := admin.Status(t.Context())
		if err != nil || !st.Ready || !strings.Contains(string(st.Details), `"search_index":{"documents":0,"of":`) {
			t.Errorf("the status: %+v, %v", st, err)
		}
		if rec := get(t, admin, "rule/SEC-001"); rec.Version != 1 {
			t.Errorf("a read: %+v", rec)
		}
		write(t, admin, "someone", patch("rule/SEC-001", `{"title":"Meanwhile"}`))
		ask := func() error {
			hits, err := admin.Search(t.Context(), knowledge.SearchQuery{Text: "meanwhile", Limit: 1})
			if err == nil && (len(hits.Hits) != 1 || hits.Hits[0].Record.Key.ID != "SEC-001") {
				return errors.New("it does not find what was just written")
			}
			return err
		}
		err = ask()
		if dual { // PostgreSQL has an index of its own
			st, failed := admin.Status(t.Context())
			if err != nil || failed != nil || !strings.Contains(string(st.Details), `"errors":0,`) {
				t.Errorf("a search with PostgreSQL: %v; the status after it: %s, %v", err, st.Details, failed)
			}
		}
		if !dual {
			u, ok := errors.AsType[*store.UnavailableError](err)
			if !ok || u.RetryAfter <= 0 || !strings.Contains(u.Reason, "documents are in it") {
				t.Errorf("a search: %v, want how far the index is, and when to ask again", err)
			}
		}
		resume()
		await(t, "the search answers", func() bool { return ask() == nil })
		await(t, "nothing is told of the index", func() bool { return !strings.Contains(readyNotes(t, x), note) })
	})
}

// readyNotes returns what /readyz says of a tenet, which must be ready.
func readyNotes(t *testing.T, x *tenet) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.Facts().URL+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %d %s %v", resp.StatusCode, body, err)
	}
	return string(body)
}
