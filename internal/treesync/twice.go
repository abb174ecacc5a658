package treesync

import (
	"fmt"
	"slices"
	"strings"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/worktree"
)

// A Twice is a document that an assistant reads twice: from us, and from the file of this tree that it was imported
// from.
type Twice struct {
	Document string `json:"document"`
	Target   string `json:"target"`
	Path     string `json:"path"`
}

// twice returns the documents of an expected content whose originals are still in the tree. They are no error: somebody
// may edit a copy, and only the team knows which of the two counts.
func twice(tree *worktree.Tree, x *Expected, docs []knowledge.Document) []Twice {
	var list []Twice
	for _, d := range docs {
		name, target, ok := interchange.ImportedFrom(d, tree.Dir())
		id := fmt.Sprintf("%s@%d", d.Key(), d.Stamps().Version)
		if !ok || !slices.ContainsFunc(x.Parts, func(p Part) bool {
			return p.Target == target && slices.Contains(p.Documents, id)
		}) {
			continue
		}
		f, err := tree.Read(name) // what can't be read is no copy that we know of
		before, _, _ := strings.Cut(unix(f.Text), beginMark)
		if err == nil && strings.TrimSpace(before) != "" {
			list = append(list, Twice{d.Key().String(), target, name})
		}
	}
	return list
}
