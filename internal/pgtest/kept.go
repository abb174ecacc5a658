package pgtest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// keptClusters is the folder, in the user's folder of caches, with what initdb has made.
const keptClusters = "tenet-pgtest"

// identities are the tests of this process that have a server which was copied from a kept cluster.
//
//nolint:gochecknoglobals // what is copied has one system identifier, in the whole process
var identities struct {
	mu    sync.Mutex
	tests map[*Server]string
}

// keep returns the directory of the kept cluster that the server may be a copy of, or "" if it must be made by initdb:
// a copy has the system identifier of its original, by which a program knows a cluster again. So the servers of one
// test must not all be copies, and the server that tests share is the copy of another original.
func keep(s *Server, args []string) string {
	if s.options.Durable || s.options.WALDir != "" {
		return ""
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	use := "shared"
	if s.t != nil {
		use = "own"
		identities.mu.Lock()
		defer identities.mu.Unlock()
		for other, test := range identities.tests {
			if other != s && (within(test, s.t.Name()) || within(s.t.Name(), test)) {
				return ""
			}
		}
		if identities.tests == nil {
			identities.tests = map[*Server]string{}
		}
		identities.tests[s] = s.t.Name()
	}
	made := sha256.New()
	for _, program := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(s.installation.bin, program))
		if err != nil {
			return ""
		}
		fmt.Fprintln(made, s.installation.bin, info.Size(), info.ModTime().UnixNano())
	}
	fmt.Fprintln(made, s.installation.owner, strings.ReplaceAll(strings.Join(args, " "), s.data, ""))
	return filepath.Join(caches, keptClusters, fmt.Sprintf("%s-%d-%.8x", use, s.installation.major, made.Sum(nil)))
}

// within tells whether a test is another one, or a subtest of it.
func within(test, other string) bool { return test == other || strings.HasPrefix(test, other+"/") }

// forget says that the server's identifier may be used again.
func forget(s *Server) {
	identities.mu.Lock()
	defer identities.mu.Unlock()
	delete(identities.tests, s)
}

// save keeps a new cluster. Where that is not possible, the next server is made by initdb, too.
func save(data, kept string) {
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return
	}
	half, err := os.MkdirTemp(filepath.Dir(kept), "half-")
	if err != nil {
		return
	}
	defer os.RemoveAll(half)
	whole := filepath.Join(half, "data")
	if copyTree(data, whole) == nil {
		_ = os.Rename(whole, kept) // another process may have been faster, with the same
	}
}

// copyTree copies a directory with owners and rights.
func copyTree(from, to string) error {
	if out, err := exec.Command("cp", "-Rp", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w\n%s", from, err, out)
	}
	return nil
}
