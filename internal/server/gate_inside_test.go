package server

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"tenet/internal/sqlite"
)

func TestAGateHoldsWritesBackAndLetsReadsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("1", nil)
		door := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		ask := func(method, path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{}")))
			return w
		}
		if w := ask(http.MethodPut, "/api/v1/rules/r"); w.Code != http.StatusUnauthorized {
			t.Errorf("without a token, before the door: %d", w.Code)
		}
		g.reads(door)
		if w := ask(http.MethodGet, "/api/v1/rules"); w.Code != http.StatusTeapot {
			t.Errorf("a read: %d, want the door's answer", w.Code)
		}
		written := make(chan int, 1)
		go func() { written <- ask(http.MethodPut, "/api/v1/rules/r").Code }()
		synctest.Wait()
		select {
		case code := <-written:
			t.Fatalf("a write went through with %d before the gate was open for writes", code)
		default:
		}
		g.writes()
		if code := <-written; code != http.StatusTeapot {
			t.Errorf("a write that waited: %d, want the door's answer", code)
		}
	})
}

// TestAStartThatTakesItsTimeTellsHowFarItIs opens a database whose search index is of another form, as after an
// upgrade.
func TestAStartThatTakesItsTimeTellsHowFarItIs(t *testing.T) {
	dir := t.TempDir()
	e, err := openEmbedded(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seed(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Migrate(t.Context(), filepath.Join(dir, databaseFile), 16); err != nil {
		t.Fatal(err)
	}
	g := newGate("1", nil)
	ready := func() string {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		return w.Body.String()
	}
	if got := ready(); !strings.Contains(got, `"this server is starting"`) {
		t.Errorf("at first: %s", got)
	}
	var told []string
	e, err = openEmbedded(t.Context(), Options{DataDir: dir, starting: func(what string) {
		g.says(what)
		told = append(told, ready())
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const want = `"this server is starting, it rebuilds its search index, 0 of `
	if len(told) < 2 || !strings.Contains(told[0], want) {
		t.Errorf("it told %q, want at first %s", told, want)
	}
}
