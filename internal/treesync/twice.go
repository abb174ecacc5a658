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
	By       string `json:"by,omitempty"`      // the assistant's own file that brings that one in, and would by itself not read it
	Differs  bool   `json:"differs,omitempty"` // the file says something else by now
}

// twice returns the documents of an expected content whose originals are still in the tree. They are no error: somebody
// may edit a copy, and only the team knows which of the two counts.
func twice(tree *worktree.Tree, x *Expected, docs []knowledge.Document) []Twice {
	read := func(name string) (string, bool) {
		f, err := tree.Read(name) // what can't be read is no copy that we know of
		before, _, _ := strings.Cut(unix(f.Text), beginMark)
		return before, err == nil && strings.TrimSpace(before) != ""
	}
	var names []string
	for _, d := range docs {
		if name, _, ok := interchange.ImportedFrom(d, tree.Dir()); ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	brought := interchange.BroughtIn(names, read)
	var list []Twice
	for _, d := range docs {
		name, owner, ok := interchange.ImportedFrom(d, tree.Dir())
		if !ok {
			continue
		}
		for _, target := range x.targetsOf(fmt.Sprintf("%s@%d", d.Key(), d.Stamps().Version)) {
			by := brought[name][target]
			if own := owner == target || inSkills(target, name); !own && by == "" {
				continue
			} else if own {
				by = ""
			}
			if text, there := read(name); there {
				list = append(list, Twice{
					d.Key().String(), target, name, by, !interchange.SaysTheSame(d, []byte(text)),
				})
			}
		}
	}
	return list
}

// targetsOf returns the assistants whose files hold a document, given with its version.
func (x *Expected) targetsOf(id string) []string {
	var list []string
	for i := range x.Parts {
		if p := &x.Parts[i]; slices.Contains(p.Documents, id) && !slices.Contains(list, p.Target) {
			list = append(list, p.Target)
		}
	}
	slices.Sort(list)
	return list
}

// inSkills reports whether a file is a skill where an assistant looks for skills.
func inSkills(target, name string) bool {
	dir, ok := skillFolders[target]
	return ok && strings.Contains("/"+name, "/"+dir+"/")
}
