package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/server"
)

// TestTokensAreIssuedOverREST makes, rotates and revokes a token over REST, and looks each time what it opens.
func TestTokensAreIssuedOverREST(t *testing.T) {
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), "")
	admin := strings.TrimSpace(read(t, filepath.Join(p.dir, server.TokenFile)))
	base := "http://" + p.address(t) + "/api/v1"
	ask := func(method, path, token, body string, want int) (answer struct {
		Token, Role string
		Agent       bool
	},
	) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != want {
			t.Fatalf("%s %s: %d, want %d\n%s", method, path, a.StatusCode, want, text)
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Token != "" && a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: an answer with a token may be kept: %q", method, path, a.Header.Get("Cache-Control"))
		}
		return answer
	}
	const issue = `{"principal_id":"robot","agent":true}`
	first := ask(http.MethodPost, "/tokens", admin, issue, http.StatusCreated).Token
	ask(http.MethodGet, "/me", first, "", http.StatusOK)
	ask(http.MethodPost, "/tokens", first, `{"principal_id":"king","role":"admin"}`, http.StatusForbidden)
	ask(http.MethodPost, "/principals/robot/token", first, "", http.StatusForbidden)
	ask(http.MethodPost, "/tokens", admin, issue, http.StatusConflict)
	ask(http.MethodPost, "/tokens", admin, `{"principal_id":"late","expiry":"2001-01-01T00:00:00Z"}`,
		http.StatusUnprocessableEntity)
	ask(http.MethodPost, "/principals/nobody/token", admin, "", http.StatusNotFound)

	second := ask(http.MethodPost, "/principals/robot/token", admin, "", http.StatusOK).Token
	ask(http.MethodGet, "/me", first, "", http.StatusUnauthorized)
	ask(http.MethodGet, "/me", second, "", http.StatusOK)
	if is := ask(http.MethodGet, "/principals/robot", admin, "", http.StatusOK); !is.Agent ||
		is.Role != "contributor" || is.Token != "" {
		t.Errorf("after the rotation the principal is %+v, want the agent that it was, and no token", is)
	}

	ask(http.MethodDelete, "/principals/robot", admin, "", http.StatusOK)
	ask(http.MethodGet, "/me", second, "", http.StatusUnauthorized)
	third := ask(http.MethodPost, "/tokens", admin, issue, http.StatusCreated).Token
	ask(http.MethodGet, "/me", third, "", http.StatusOK)
	ask(http.MethodGet, "/me", second, "", http.StatusUnauthorized)
	p.end(t)
}
