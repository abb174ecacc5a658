// Package npmtest finds for tests what tools/npm has from the npm registry: clients and suites that were not written
// here.
package npmtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"tenet/internal/needs"
)

// Find returns the directory with the packages of tools/npm; the error names what is missing of the named ones.
func Find(names ...string) (string, error) {
	root, missing := moduleRoot()
	dir := filepath.Join(root, "tools", "npm", "node_modules")
	for _, name := range names {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name), "package.json"))
		missing = errors.Join(missing, err)
	}
	return dir, missing
}

// moduleRoot returns the folder of go.mod, above the one in which a test runs.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("no go.mod in the working directory or above it")
		}
		dir = above
	}
}

// Modules is Find for a test that can't do without: it is skipped where a package is missing; in CI it fails.
func Modules(t testing.TB, names ...string) string {
	t.Helper()
	dir, err := Find(names...)
	if err != nil {
		skip(t, err)
	}
	return dir
}

// Node returns the node of tools/npm, which is as new as the packages there want it, and the machine's own where there
// is none for it.
func Node(t testing.TB) string {
	t.Helper()
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	own := filepath.Join(Modules(t), "node-"+runtime.GOOS+"-"+arch, "bin", "node")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	path, err := exec.LookPath("node")
	if err != nil {
		skip(t, err)
	}
	return path
}

func skip(t testing.TB, why error) {
	t.Helper()
	needs.Missing(t, "the packages from npm are missing; `npm ci --prefix tools/npm` installs them: %v", why)
}
