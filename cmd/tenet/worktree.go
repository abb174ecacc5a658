package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"tenet/internal/bundle"
	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/worktree"
)

// treeConfig is .tenet.yaml: what a work tree takes.
type treeConfig struct {
	Server     string   `yaml:"server"`
	Repository string   `yaml:"repository"`
	Packs      []string `yaml:"packs"`
	Targets    []string `yaml:"targets"`
	Label      string   `yaml:"label"`
}

// read fills in what a file says, and names a field that there is not as its writer knows it.
func (c *treeConfig) read(text []byte) error {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return err
	}
	if len(root.Content) == 0 {
		return nil // nothing but comments
	}
	fields := root.Content[0]
	if fields.Kind != yaml.MappingNode {
		return errors.New("want fields, as in repository: acme.pay")
	}
	names := []string{"server", "repository", "packs", "targets", "label"}
	for i := 0; i+1 < len(fields.Content); i += 2 {
		name, value := fields.Content[i], fields.Content[i+1]
		list := name.Value == "packs" || name.Value == "targets"
		switch {
		case !slices.Contains(names, name.Value):
			hint := "there are " + strings.Join(names, ", ")
			if near := knowledge.Nearest(name.Value, slices.Values(names)); near != "" {
				hint = "did you mean " + near + "?"
			}
			return fmt.Errorf("line %d: there is no field %q: %s", name.Line, name.Value, hint)
		case list && value.Decode(new([]string)) != nil:
			return fmt.Errorf("line %d: %s: want a list of texts, as in %[2]s: [one, two]", value.Line, name.Value)
		case !list && value.Decode(new(string)) != nil:
			return fmt.Errorf("line %d: %s: want a text", value.Line, name.Value)
		}
	}
	return root.Decode(c)
}

const treeFile = ".tenet.yaml"

// A workTree is the work tree around the working directory.
type workTree struct {
	*worktree.Tree
	config treeConfig
	cache  string // where its bundle is kept
	alone  bool   // it is no work tree of git, but the folder itself
	kept   bool   // what it takes is what was kept, since the server is away or was not asked
}

// openTree finds the work tree around a folder: that of git, else the folder itself.
func openTree(a *app, dir string) (*workTree, error) {
	root, ok := worktree.Root(dir)
	if !ok {
		if worktree.Bare(dir) {
			return nil, usageError("%s is a bare repository and has no files: clone it, and run this there", dir)
		}
		root = dir
	}
	tree, err := worktree.At(root)
	if err != nil {
		return nil, err
	}
	w := &workTree{Tree: tree, alone: !ok}
	f, err := tree.Read(treeFile)
	if err != nil {
		return nil, usageError("%s: %s", treeFile, err)
	}
	if f.Exists {
		if err := w.config.read(f.Text); err != nil {
			return nil, usageError("%s: %s", filepath.Join(root, treeFile), err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = filepath.Join(a.DataDir, "cache-of-trees")
	}
	resolved, err := filepath.EvalSymlinks(tree.Dir()) // a tree is the same by every path that leads to it
	if err != nil {
		return nil, err
	}
	w.cache = bundle.Path(cache, resolved)
	return w, nil
}

// take returns what the work tree takes: fresh where the server answers, else what was kept, with a word about its age.
func takeBundle(ctx context.Context, a *app, w *workTree, offline bool) (*bundle.Bundle, error) {
	kept, err := bundle.Load(w.cache)
	if err != nil {
		return nil, err
	}
	if offline {
		if kept == nil {
			return nil, &store.UnavailableError{Reason: "nothing was taken for " + w.Dir() +
				" yet: run `tenet sync` or `tenet check` once while the server can be reached"}
		}
		w.kept = true
		return kept, nil
	}
	fresh, err := fetchBundle(ctx, a, w, kept)
	switch {
	case err == nil:
		return fresh, fresh.Save(w.cache)
	case kept != nil && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)):
		a.say("the server can't be reached (%s): what it said %s ago counts", err, ago(kept.Fetched))
		w.kept = true
		return kept, nil
	}
	return nil, err
}

// justNow is what [ago] says of the last two minutes.
const justNow = "a moment"

func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < 2*time.Minute:
		return justNow
	case d < 2*time.Hour:
		return plural(int(d.Minutes()), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour", "hours")
	}
	return plural(int(d.Hours()/24), "day", "days")
}

// askServer makes the server that .tenet.yaml names the one that is asked. The address there is somebody else's word: a
// token goes there only when its holder names the same address.
func (w *workTree) askServer(ctx context.Context, a *app) error {
	s := strings.TrimSuffix(w.config.Server, "/")
	if s == "" || strings.TrimSuffix(a.URL, "/") == s {
		return nil
	}
	if a.URL != "" {
		return usageError("%s says that this work tree takes from %s, and --url or TENET_URL says %s: they must be the "+
			"same", treeFile, s, a.URL)
	}
	if token, from, err := a.givenToken(ctx); err != nil || token != "" {
		return errors.Join(err, usageError(
			"%s names the server %s, and the token comes from %s: to send it there, set TENET_URL=%s", treeFile, s,
			from, s))
	}
	a.URL = s
	return nil
}

// take fills in the repository and the packs of a question that names neither, and the label of one that names none.
func (c *treeConfig) take(repository *string, packs *[]string, label *string) {
	if *repository == "" && len(*packs) == 0 {
		*repository, *packs = c.Repository, c.Packs
	}
	if *label == "" {
		*label = c.Label
	}
}

func fetchBundle(ctx context.Context, a *app, w *workTree, kept *bundle.Bundle) (*bundle.Bundle, error) {
	if err := w.askServer(ctx, a); err != nil {
		return nil, err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return nil, err
	}
	defer a.close(d)
	server, want := "", bundle.Want{Repository: w.config.Repository, Packs: w.config.Packs, Label: w.config.Label}
	if d.remote != nil {
		server, want.As = d.remote.URL(), client.CallerOf(d.remote)
	}
	b, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (*bundle.Bundle, error) {
		return bundle.Fetch(store.WithLeaving(ctx), d.Store, server, want, kept)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w\n%s", err, w.toTake(err))
	}
	if err != nil {
		return nil, err
	}
	if d.remote != nil { // its copy may be older than the question
		if l := d.remote.Level(); l.Mode != knowledge.ModeNormal && !l.AsOf.IsZero() && l.AsOf.Before(b.Fetched) {
			b.Fetched = l.AsOf.Time
		}
	}
	return b, nil
}

// toTake says how what a work tree takes comes to be there, and where it is named.
func (w *workTree) toTake(err error) string {
	none, _ := errors.AsType[*store.NotFoundError](err)
	repository := w.config.Repository
	switch {
	case none != nil && none.Key.Kind == knowledge.KindLabel && w.config.Label == "":
		return fmt.Sprintf("repository/%[2]s names that label: `tenet label set %[1]s` makes it, `tenet list labels` "+
			"shows those that there are, and `tenet patch repository/%[2]s --set label=ID` names one of them",
			none.Key.ID, repository)
	case none != nil && none.Key.Kind == knowledge.KindLabel:
		return fmt.Sprintf("`tenet label set %s` makes that label, and `tenet list labels` shows those that there are",
			none.Key.ID)
	case none != nil && none.Key.Kind == knowledge.KindPack && repository != "" &&
		!slices.Contains(w.config.Packs, none.Key.ID):
		return fmt.Sprintf("repository/%s takes that pack: `tenet new pack` prints one to fill in, and `tenet put FILE` "+
			"writes it; `tenet list packs` shows those that there are, and `tenet patch repository/%[1]s --set "+
			"'packs=[\"ID\"]'` names others", repository)
	}
	return fmt.Sprintf("What %s takes must stand in the server first: `tenet new repository` and `tenet new "+
		"pack` print one to fill in, and `tenet put FILE` writes it", treeFile)
}

// relative returns a path from the work tree's root, false for one outside of it.
func (w *workTree) relative(path string) (string, bool) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	for dir := filepath.Dir(whole); ; dir = filepath.Dir(dir) { // the folders of a new file may not be there yet
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			whole = filepath.Join(resolved, strings.TrimPrefix(whole, dir))
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	root, err := filepath.EvalSymlinks(w.Dir())
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(root, whole)
	if err != nil || !fs.ValidPath(filepath.ToSlash(rel)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}
