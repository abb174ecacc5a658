package tenet_test

import (
	"io/fs"
	"os"
	"regexp"
	"testing"
)

// TestNoMergeIsLeftHalfDone finds the marks that git leaves in a file where two sides have changed the same lines. In
// Go they do not compile; in a page nobody else would notice.
func TestNoMergeIsLeftHalfDone(t *testing.T) {
	mark := regexp.MustCompile(`(?m)^(<{7}|>{7}|\|{7}) .*$`)
	text := regexp.MustCompile(`\.(md|sql|txtar|ya?ml|json|html|sh|toml)$`)
	read := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "dist" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !text.MatchString(path):
			return nil
		}
		data, err := os.ReadFile(path)
		if found := mark.Find(data); found != nil {
			t.Errorf("%s: %s: a merge was left half done", path, found)
		}
		read++
		return err
	})
	if err != nil || read < 50 {
		t.Errorf("%d files were read: %v", read, err)
	}
}
