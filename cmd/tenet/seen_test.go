package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestACommandSeesWhatTheOneBeforeHasSeen has two commands ask one address, behind which the second may meet another
// instance.
func TestACommandSeesWhatTheOneBeforeHasSeen(t *testing.T) {
	var asked atomic.Pointer[string]
	tenet := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if least := r.Header.Get("Tenet-Min-Seq"); strings.HasSuffix(r.URL.Path, "/x") { // then it asks the archive
			asked.Store(&least)
		}
		w.Header().Set("Tenet-Seq", "41")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"type":"/problems/not-found","title":"Not found","status":404,"detail":"there is no ` +
			`rule x"}`))
	}))
	defer tenet.Close()
	home := t.TempDir()
	get := func(url string) string {
		cmd := exec.Command("tenet", "get", "rule/x", "--url", url)
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"),
			"TENET_TOKEN=tnt_x")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no rule x") {
			t.Fatalf("%v: %s", err, out)
		}
		return *asked.Load()
	}
	if least := get(tenet.URL); least != "" {
		t.Errorf("the first command asks for change %s", least)
	}
	if least := get(tenet.URL); least != "41" {
		t.Errorf("the second command asks for change %q, want 41", least)
	}
	if least := get(strings.Replace(tenet.URL, "127.0.0.1", "localhost", 1)); least != "" {
		t.Errorf("a command that asks elsewhere asks for change %s", least)
	}
	files, _ := filepath.Glob(filepath.Join(home, "cache", "tenet", "seen", "*"))
	old := time.Now().Add(-2 * seenFor)
	for _, path := range files {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if least := get(tenet.URL); least != "" || len(files) != 2 {
		t.Errorf("hours later a command asks for change %q; kept are %v, want one for each address", least, files)
	}
}
