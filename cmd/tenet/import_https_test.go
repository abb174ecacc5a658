package main

import (
	"encoding/pem"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/needs"
)

// TestARepositoryIsImportedOverHTTPS imports from git's own server behind TLS: refused without its authority, then with
// it; and once more when a file was renamed and edited in one commit, which stays the document that it was.
func TestARepositoryIsImportedOverHTTPS(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	git := needs.Program(t, "git", "Debian: apt-get install git")
	root := t.TempDir()
	work, env := filepath.Join(root, "work"), append(os.Environ(),
		"TENET_DATA_DIR="+filepath.Join(root, "data"), "TENET_URL=", "TENET_DATABASE_URL=", "TENET_TOKEN=",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t",
		"GIT_COMMITTER_EMAIL=t@example.com")
	run := func(dir, name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(dir, name string, args ...string) string {
		t.Helper()
		out, err := run(dir, name, args...)
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return out
	}
	commit := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		must(work, git, "add", "-A")
		must(work, git, "commit", "-q", "-m", name)
		must(work, git, "push", "-q", filepath.Join(root, "handbook.git"), "main")
	}
	must(root, git, "init", "-q", "-b", "main", work)
	must(root, git, "init", "-q", "--bare", "-b", "main", "handbook.git")
	commit("retry.md", "# Retry\n\nRetry with growing pauses.\nNever retry a write.\nStop after three.\n")

	s := httptest.NewTLSServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
		InheritEnv: []string{"HOME"},
	})
	defer s.Close()
	address := s.URL + "/handbook.git"
	if out, err := run(root, "tenet", "import", address); err == nil {
		t.Errorf("from a server of an unknown authority:\n%s\nwant a refusal", out)
	}
	authority := filepath.Join(root, "authority.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{
		Type: "CERTIFICATE", Bytes: s.Certificate().Raw,
	}), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "GIT_SSL_CAINFO="+authority)
	must(root, "tenet", "import", address)
	must(work, git, "rm", "-q", "retry.md")
	commit("again.md", "# Retry\n\nRetry with growing pauses.\nNever retry a write without a key.\nStop after three.\n")
	must(root, "tenet", "import", "--prune", address)
	if out := must(root, "tenet", "get", "practice/handbook-retry", "-o", "yaml"); !strings.Contains(out, "without a key") ||
		!strings.Contains(out, "again.md") || !strings.Contains(out, "version: 2") {
		t.Errorf("the document of a file that was renamed and edited:\n%s", out)
	}
	if out := must(root, "tenet", "list", "practices", "--source", "handbook", "-o", "name"); strings.Count(out, "\n") != 1 {
		t.Errorf("the source has brought\n%s\nwant one document", out)
	}
}
