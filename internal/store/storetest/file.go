package storetest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// files are what File has made, by name.
//
//nolint:gochecknoglobals // made once for the process, since making one costs more than most tests
var files sync.Map

// File returns the path of a fresh copy of a file that fill makes once for all tests of the process, such as a database
// with its schema. Tests of one package that share a name share the file.
func File(t testing.TB, name string, fill func(path string) error) string {
	t.Helper()
	once, _ := files.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) {
		path := filepath.Join(t.TempDir(), name)
		if err := fill(path); err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	}))
	data, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatalf("make %s: %v", name, err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
