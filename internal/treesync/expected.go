// Package treesync writes the documents for a work tree into the files that assistants read, and reports their state.
//
// One function computes the expected content, for writing and for checking. Each part of ours has a marker with a
// digest of itself, so that edits are detected without a record of what was written.
package treesync

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"tenet/internal/guidance"
	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/worktree"
)

// A Part is a file of ours, or our part of a file.
type Part struct {
	Path      string   `json:"path"`
	Target    string   `json:"target"`
	Mode      string   `json:"mode"` // own or block
	Digest    string   `json:"sha256"`
	Documents []string `json:"documents"`
	text      string   // with line feeds; for a block: the text between the markers
}

// document returns the key of the one document that a file of ours holds, "" for a part with several.
func (p *Part) document() string {
	if p.Mode != modeOwn || len(p.Documents) != 1 {
		return ""
	}
	key, _, _ := strings.Cut(p.Documents[0], "@")
	return key
}

// Modes of a part.
const (
	modeOwn   = "own"
	modeBlock = "block"
)

// An Omission is a document that a target does not get.
type Omission struct {
	Document string `json:"document"`
	Target   string `json:"target"`
	Why      string `json:"why"`
}

// The markers. The digest of our part follows the word begin.
const (
	markHead  = "<!-- tenet:"
	beginMark = interchange.OwnBegin
	endMark   = interchange.OwnEnd
	markTail  = " Written by tenet sync: edit the documents in tenet, and not here. -->"
)

// digestOf returns the digest of a part.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ownFile inserts a digest into the marker of a file that is entirely ours.
func ownFile(text string) string {
	return strings.Replace(text, beginMark, beginMark+interchange.OwnDigest(text), 1)
}

// An Expected is the expected content of a work tree.
type Expected struct {
	Parts    []Part
	LeftOut  []Omission
	Skills   []Omission        // documents that hold always or for files, and are a skill, which the model may pass over
	Cut      []Omission        // documents of which an assistant's reviews read the beginning alone
	Adapters map[string]string // by name, with the date when its documentation was read
	secret   []string          // confidential categories
	others   func(path string) int
}

// Targets returns the assistants that files can be written for.
func Targets() []string { return interchange.Targets() }

// adapterOf returns the adapters for writing an assistant's files: a folder of rules if it has one, else its one file.
// The first row of the table is used for writing.
func adapterOf(target string) (rules *interchange.Adapter, shared *interchange.Adapter) {
	all := interchange.Adapters()
	for i := range all {
		a := &all[i]
		if a.Target != target || a.Kind != knowledge.KindRule || a.Place != interchange.AtFolder {
			continue
		}
		switch {
		case a.Shared() && shared == nil:
			shared = a
		// else it can't say when a rule applies
		case !a.Shared() && rules == nil && (a.Means.Default == "always" || a.Means.Mode != "" ||
			len(a.Means.Globs) > 0):
			rules = a
		}
	}
	return rules, shared
}

// skillFolders are the folders where assistants look for skills, from their documentation in 2026-11.
//
//nolint:gochecknoglobals // a table, never written
var skillFolders = map[string]string{"claude": ".claude/skills", "codex": ".agents/skills", "copilot": ".github/skills"}

func skillsOf(target string) *interchange.Adapter {
	dir, ok := skillFolders[target]
	if !ok {
		return nil
	}
	all := interchange.Adapters()
	i := slices.IndexFunc(all, func(a interchange.Adapter) bool { return a.Format == interchange.FormatSkill })
	if i < 0 {
		return nil
	}
	all[i].Paths, all[i].Target = []string{dir + "/**/SKILL.md"}, target
	return &all[i]
}

// Expect computes the expected content for documents and targets. The same documents give the same bytes. Documents of
// the confidential categories are marked. The function others returns how many bytes of a shared file are somebody
// else's; nil for none.
func Expect(docs []knowledge.Document, targets, confidential []string,
	others func(path string) int,
) (*Expected, error) {
	x := &Expected{Adapters: map[string]string{}, secret: confidential, others: others}
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, byWeight)
	for _, target := range slices.Compact(slices.Sorted(slices.Values(targets))) {
		rules, shared := adapterOf(target)
		if rules == nil && shared == nil {
			return nil, fmt.Errorf("target %q: want one of %s", target, strings.Join(Targets(), ", "))
		}
		x.target(target, rules, shared, docs)
	}
	slices.SortFunc(x.Parts, func(a, b Part) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(x.LeftOut, func(a, b Omission) int {
		if c := strings.Compare(a.Target, b.Target); c != 0 {
			return c
		}
		return strings.Compare(a.Document, b.Document)
	})
	return x, nil
}

// byWeight orders documents as guidance does: mandatory first, then by severity, priority and id.
func byWeight(a, b knowledge.Document) int {
	if x, y := mandatory(a), mandatory(b); x != y {
		if x {
			return -1
		}
		return 1
	}
	if a.Rank() != b.Rank() {
		if a.Rank() < b.Rank() {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Key().String(), b.Key().String())
}

func mandatory(d knowledge.Document) bool {
	switch d := d.(type) {
	case *knowledge.Rule:
		return d.Enforcement == "mandatory"
	case *knowledge.Practice:
		return d.IsRequired
	}
	return false
}

// textOf returns the text of a document; false if no assistant reads it as a file. That it is confidential stands below
// its title, behind its key.
func (x *Expected) textOf(d knowledge.Document) (*interchange.Text, bool) {
	body := guidance.Text(d)
	if slices.Contains(x.secret, d.CategoryID()) {
		body = strings.Replace(body, "\n\n", ", confidential ("+d.CategoryID()+")\n\n", 1)
	}
	t := &interchange.Text{Key: d.Key(), Description: withoutMarks(knowledge.Summary(d)), Body: withoutMarks(body)}
	switch d := d.(type) {
	case *knowledge.Rule:
		if d.Status != knowledge.StatusActive {
			return nil, false
		}
		t.Scope = d.Scope
	case *knowledge.Practice:
		t.Scope = d.Scope
	default:
		return nil, false
	}
	return t, true
}

// withoutMarks returns a text in which nothing reads as a marker: a document about this program may quote them.
func withoutMarks(text string) string { return strings.ReplaceAll(text, markHead, "<!-- tenet ") }

func (x *Expected) target(target string, rules, shared *interchange.Adapter, docs []knowledge.Document) {
	skills := skillsOf(target)
	block := &blockOf{adapter: shared}
	if shared != nil && x.others != nil {
		block.size = x.others(shared.Paths[0])
	}
	for _, d := range docs {
		t, ok := x.textOf(d)
		if !ok || len(t.Scope.Targets) > 0 && !slices.Contains(t.Scope.Targets, target) {
			continue
		}
		id := fmt.Sprintf("%s@%d", d.Key(), d.Stamps().Version)
		var err error
		switch {
		case rules != nil:
			err = x.own(rules, target, t, id)
		case t.Scope.Activation == "always":
			err = block.add(t, id)
		default:
			err = fmt.Errorf("%s has one file, which holds for all files, and no place for a rule that holds for some", target)
		}
		if err != nil && skills != nil && t.Scope.Activation != "manual" {
			if len(t.Scope.Globs) > 0 {
				t.Description += " (for " + strings.Join(t.Scope.Globs, ", ") + ")"
			}
			why := err.Error()
			if err = x.own(skills, target, t, id); err == nil && t.Scope.Activation != "model" {
				x.Skills = append(x.Skills, Omission{d.Key().String(), target, why})
			}
		}
		if err != nil {
			x.LeftOut = append(x.LeftOut, Omission{d.Key().String(), target, err.Error()})
		}
	}
	if len(block.documents) > 0 {
		text := block.text()
		x.Parts = append(x.Parts, Part{shared.Paths[0], target, modeBlock, digestOf(text), block.documents, text})
		x.Adapters[shared.Name] = shared.Checked
	}
}

func (x *Expected) own(a *interchange.Adapter, target string, t *interchange.Text, id string) error {
	f, err := a.Write(t, beginMark+markTail)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(x.Parts, func(p Part) bool { return strings.EqualFold(p.Path, f.Path) }) {
		return errors.New("another document has a file of that name")
	}
	text := ownFile(string(f.Data))
	x.Parts = append(x.Parts, Part{f.Path, target, modeOwn, digestOf(text), []string{id}, text})
	if n := len([]rune(text)); a.Review > 0 && n > a.Review {
		x.Cut = append(x.Cut, Omission{
			t.Key.String(), target,
			fmt.Sprintf("its code reviews read the first %d of %d characters of %s", a.Review, n, f.Path),
		})
	}
	x.Adapters[a.Name] = a.Checked
	return nil
}

// A blockOf collects the content of a shared file's block.
type blockOf struct {
	adapter   *interchange.Adapter
	documents []string
	parts     []string
	size      int // of the file, in bytes
}

// blockHead is the heading of a block.
const blockHead = "# Rules of this team\n\n"

// add adds a document if there is room. Mandatory ones come first.
func (b *blockOf) add(t *interchange.Text, id string) error {
	n := len(t.Body) + strings.Count(t.Body, "\n") + 4 // where lines end with two characters
	if limit := b.adapter.Limit; limit > 0 && b.size+n+len(blockHead)+200 > limit {
		return fmt.Errorf("%s reads at most %d bytes of %s, and they are full", b.adapter.Target, limit,
			b.adapter.Paths[0])
	}
	b.size += n
	b.documents, b.parts = append(b.documents, id), append(b.parts, strings.TrimSpace(t.Body))
	return nil
}

func (b *blockOf) text() string { return "\n" + blockHead + strings.Join(b.parts, "\n\n") + "\n\n" }

// isOurs reports whether a file's name is one that we give.
func isOurs(name string) bool {
	if worktree.Temporary(name) {
		return false
	}
	return strings.HasPrefix(path.Base(name), interchange.OwnPrefix) || strings.HasPrefix(path.Base(path.Dir(name)),
		interchange.OwnPrefix)
}
