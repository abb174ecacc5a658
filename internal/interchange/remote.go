package interchange

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"tenet/internal/knowledge"
)

// remoteName returns the name of the repository that a work tree was cloned from, so that every checkout of it is one
// source, whatever its folder is called; "" for a folder that is not the top of a work tree, or has no origin.
func remoteName(dir string) string {
	address := originOfTree(dir)
	if address == "" {
		return ""
	}
	p := address
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		p = u.Path
	} else if _, after, ok := strings.Cut(address, ":"); ok { // git@host:owner/name.git
		p = after
	}
	p = strings.TrimSuffix(strings.Trim(filepath.ToSlash(p), "/"), ".git")
	name := path.Base(p)
	if owner := path.Base(path.Dir(p)); isContainer(name) && owner != "." && owner != "/" {
		return owner + "-" + name // "docs" alone says nothing about whose they are
	}
	if name == "." || name == "/" {
		return ""
	}
	return name
}

// ImportedFrom returns the path of the file that a document was imported from, and the assistant that reads it, "" for
// none, if its source is the work tree at a folder, an absolute path.
func ImportedFrom(d knowledge.Document, dir string) (name, assistant string, ok bool) {
	o, ok := originOf(d)
	if source, root := namedAnchor(filepath.ToSlash(dir)); !ok || root != "" || o.source != source {
		return "", "", false
	}
	if a, _ := adapterFor(o.path); a != nil {
		assistant = a.Target
	}
	return o.path, assistant, true
}

// SaysTheSame reports whether the file that a document was imported from has the document's text, as an import would
// read it. Of a file that holds none or several it can't be told, and counts as true.
func SaysTheSame(d knowledge.Document, text []byte) bool {
	o, ok := originOf(d)
	if !ok {
		return true
	}
	files := &memFiles{list: []treeFile{{path: o.path}}, data: map[string][]byte{o.path: text}}
	it := newReader(&Source{name: o.source, root: o.path, tree: files, single: true}).item(files.list[0])
	if it.Err != nil || len(it.Entries) != 1 || it.Entries[0].Doc == nil || it.Entries[0].Key.Kind != d.Key().Kind {
		return true
	}
	all := func(string) bool { return true }
	return withoutImports(mainText(d), all) == withoutImports(mainText(it.Entries[0].Doc), all)
}

// originOfTree returns the address of origin of the work tree whose top a folder is, or "".
func originOfTree(dir string) string {
	git := filepath.Join(dir, ".git")
	info, err := os.Stat(git)
	if err != nil {
		return ""
	}
	if !info.IsDir() { // a second work tree: the file says where its git lies
		data, err := readSmall(git)
		if err != nil {
			return ""
		}
		at, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir:")
		if !ok {
			return ""
		}
		git = strings.TrimSpace(at)
		if !filepath.IsAbs(git) {
			git = filepath.Join(dir, git)
		}
		if common, err := readSmall(filepath.Join(git, "commondir")); err == nil {
			git = filepath.Join(git, strings.TrimSpace(string(common)))
		}
	}
	data, err := readSmall(filepath.Join(git, "config"))
	if err != nil {
		return ""
	}
	return originIn(string(data))
}

// originIn returns the address of origin in the text of a git configuration.
func originIn(config string) string {
	section := ""
	for line := range strings.Lines(config) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && section == `[remote "origin"]` && strings.TrimSpace(key) == "url" {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}
