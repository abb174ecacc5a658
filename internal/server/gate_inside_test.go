package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
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
