package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// ruleYAML reads a YAML file that describes rules: one, a list, a list below the key "rules", or as a linter or a
// policy engine writes them.
func (r *reader) ruleYAML(f *file) ([]Entry, error) {
	if strings.EqualFold(path.Ext(f.path), ".toml") {
		return r.ruleTOML(f)
	}
	if isEditorConfig(f.path) {
		found, err := editorConfig(f)
		return r.foundEntries(f, found, false), err
	}
	docs, err := parseYAML(f.text)
	if err != nil {
		if r.s.single || isMetadata(f.path) || r.s.o.Format != "" || meansRules(f.text) {
			return nil, err
		}
		return nil, nothing("%s", err)
	}
	if own, ok := ownDocuments(docs); ok {
		return own, nil
	}
	var found []foundRule
	var strays []yamlValue
	said := false
	for _, d := range docs {
		if d.value == nil {
			continue
		}
		said = true
		some, ok := rulesIn(f, d)
		if !ok {
			strays = append(strays, d)
			continue
		}
		found = append(found, some...)
	}
	switch {
	case !said:
		return nil, nothing("YAML without content")
	case len(found) == 0:
		return nil, nothing("YAML that describes no rules: want a title and a severity, a description or an id")
	}
	for _, d := range strays {
		if m, ok := d.value.(map[string]any); ok && halfRule(m) {
			found = append(found, genericRule(m, d.line))
			continue
		}
		f.note("line %d: a YAML document that describes no rule: passed over", d.line)
	}
	return r.foundEntries(f, found, len(docs) == 1), nil
}

// meansRules reports whether a text that is not YAML was meant to be rules, so that it is not passed over.
func meansRules(text string) bool {
	return rulesHead().MatchString(text) && severityLine().MatchString(text) && !strings.Contains(text, "{{")
}

var (
	rulesHead = compiled(`(?m)^(?:rules:|\s*-?\s*(?:id|rule_id|rule):|[A-Z]\w*/[A-Z]\w*:|extends: *\w+ *$|` +
		`kind: *(?:ClusterPolicy|Policy|ConstraintTemplate|ValidatingAdmissionPolicy)\b)`)
	severityLine = compiled(`(?m)^\s*-?\s*(?:severity|message|level|priority|title|desc|Enabled|spec):`)
)

// foundEntries makes entries of rules. The id of a rule that has one in the file is made of it, however many others
// stand there; alone says that the file holds one YAML document.
func (r *reader) foundEntries(f *file, found []foundRule, alone bool) []Entry {
	examples := r.exampleSets(f)
	entries := make([]Entry, 0, len(found))
	first := map[string]string{}
	alike := alikeNames(found)
	mine := map[string]bool{}
	for _, y := range found {
		one := &file{path: f.path, text: f.text}
		place, at := "", orElse(y.place, fmt.Sprintf("line %d", y.line))
		if len(found) > 1 {
			one.text, place = "", at
		}
		name := y.entryName()
		id := r.foundID(f, &y, alone)
		if alike[name] {
			id = id[:min(len(id), knowledge.MaxID-9)] + "-" + shortHash(name)
		}
		key := knowledge.Key{Kind: knowledge.KindRule, ID: id}
		if was, twice := first[name]; twice && y.ident != "" && y.err == nil {
			y.err = fmt.Errorf("the id %q stands there twice, first in %s: each rule needs one of its own",
				shortQuote(y.ident), was)
			key.ID = ""
		} else if !twice {
			first[name] = at
		}
		if y.err != nil {
			entries = append(entries, Entry{Key: key, Place: at, Err: y.err})
			continue
		}
		if r.ids[knowledge.KindRule][id] > 0 && !mine[id] { // by another file: a number would depend on that
			id = id[:min(len(id), knowledge.MaxID-9)] + "-" + shortHash(f.path)
		}
		mine[id] = true
		key.ID = r.ids[knowledge.KindRule].free(id)
		d := r.ruleOf(one, y, key.ID, examples)
		if y.ident != "" || y.listed {
			setEntry(d, name)
		}
		e := r.entry(one, d, place)
		e.Notes = append(one.notes, y.notes...)
		entries = append(entries, e)
	}
	if len(found) == 1 {
		f.notes = append(f.notes, entries[0].Notes...)
		entries[0].Notes = nil
	}
	return entries
}

// alikeNames returns those of the rules' names that would give the id of another one of the file (Net-1, NET-1). Each
// then adds a hash, so that no id depends on the order; the one that is spelled like the id keeps it.
func alikeNames(found []foundRule) map[string]bool {
	by := map[string]string{}
	out := map[string]bool{}
	for i := range found {
		name := found[i].entryName()
		s := makeID(name)
		if was, ok := by[s]; ok && was != name {
			out[name], out[was] = true, true
		}
		by[s] = name
	}
	maps.DeleteFunc(out, func(name string, _ bool) bool { return makeID(name) == name })
	return out
}

// foundID returns the id of a rule: the file's path and what names the rule in it. A rule that is all of its file, and
// has no id, is named by the path alone, and so is one that is called like its file.
func (r *reader) foundID(f *file, y *foundRule, alone bool) string {
	texts := append([]string{r.s.name}, pathTexts(f.path)...)
	name := y.entryName()
	a, _ := slug(texts[len(texts)-1])
	b, _ := slug(name)
	if y.ident == "" && alone && !y.listed || name == "" || a == b {
		id := makeID(texts...)
		if r.ids[knowledge.KindRule][id] > 0 {
			id = id[:min(len(id), knowledge.MaxID-9)] + "-" + shortHash(f.path)
		}
		return id
	}
	return makeID(append(texts, name)...)
}

func isMetadata(p string) bool {
	_, ok := examplesBeside(p)
	return ok
}

// ruleOf makes a rule of what was found. Keys without a field go into extra.
func (r *reader) ruleOf(f *file, y foundRule, id string, examples []exampleSet) *knowledge.Rule {
	fm := &frontMatter{values: maps.Clone(y.values)}
	d := &knowledge.Rule{IsActive: true, RuleID: id}
	if y.category != "" && textOf(fm.values["category"]) == "" {
		fm.values["category"] = y.category
	}
	d.Category = r.category(f, firstOf(fm.list("category")))
	d.Tags = tagsOf(fm)
	for _, t := range y.tags {
		if t, _ = shorten(t); t != "" && !slices.Contains(d.Tags, t) {
			d.Tags = append(d.Tags, t)
		}
	}
	y.grade(f, d, fm)
	for _, key := range y.used {
		delete(fm.values, key)
	}
	title := plain(y.title)
	if title == "" {
		title = orElse(y.ident, humanName(stem(f.path)))
	}
	text := trimBlankLines(y.text)
	if text == "" {
		text = described(f, "", title)
	}
	if y.action != "" {
		text += "\n\n## Recommended action\n\n" + y.action
	}
	d.Title, d.Description = fitTitle(f, title, text, fm)
	d.Scope = y.scope(f)
	d.Examples, d.AntiPatterns = y.good, y.bad
	for _, set := range examples {
		d.Examples = append(d.Examples, set.good...)
		d.AntiPatterns = append(d.AntiPatterns, set.bad...)
		if len(set.links) > 0 {
			links, _ := fm.values["example_links"].(map[string]any)
			if links == nil {
				links = map[string]any{}
			}
			links[set.name] = set.links
			fm.values["example_links"] = links
		}
	}
	r.common(f, &d.Common, fm, y.ident)
	if y.off {
		f.note("its tool has it switched off: it is retired here")
		d.IsActive = false
	}
	return d
}

// An exampleSet is what a file of examples shows for one technology.
type exampleSet struct {
	name      string
	good, bad []knowledge.Example
	links     []any
}

// exampleSets reads the examples that stand beside a file of metadata.
func (r *reader) exampleSets(f *file) []exampleSet {
	p, ok := examplesBeside(f.path)
	if !ok || !r.paths[p] {
		return nil
	}
	sets, err := r.readExamples(p)
	if err != nil {
		f.note("its examples in %s were left out: %s", path.Base(p), err)
	}
	return sets
}

func (r *reader) readExamples(p string) ([]exampleSet, error) {
	data, err := r.s.tree.read(p)
	if err != nil {
		return nil, readError(err)
	}
	text, err := cleanText(data)
	if err != nil {
		return nil, err
	}
	text, _ = withoutSeparators(text)
	if why := knowledge.TextFault(text); why != "" {
		return nil, errors.New(why)
	}
	docs, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	var sets []exampleSet
	for _, d := range docs {
		m, ok := d.value.(map[string]any)
		if !ok {
			return nil, errors.New("want good and bad examples below the name of a technology")
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			of, ok := m[name].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("want good and bad examples below %q", name)
			}
			set := exampleSet{name: name, good: codeExamples(name, of["good"]), bad: codeExamples(name, of["bad"])}
			set.links, _ = of["links"].([]any)
			sets = append(sets, set)
		}
	}
	return sets, nil
}

func codeExamples(technology string, v any) []knowledge.Example {
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v}
	}
	var out []knowledge.Example
	for _, e := range list {
		code := ""
		switch e := e.(type) {
		case string:
			code = strings.Trim(e, "\n")
		case nil:
		default:
			if b, err := json.MarshalIndent(e, "", "  "); err == nil {
				code = string(b)
			}
		}
		if code != "" {
			out = append(out, knowledge.Example{
				Title: humanName(technology), Language: languageOf(technology, code),
				Code: code,
			})
		}
	}
	return out
}

// languageOf returns the language in which a technology is configured.
func languageOf(technology, code string) string {
	switch technology {
	case "terraform":
		return "hcl"
	case "cloudformation", "kubernetes", "helm", "azure-arm":
		if strings.HasPrefix(strings.TrimSpace(code), "{") {
			return "json"
		}
		return "yaml"
	}
	return strings.ToLower(technology)
}
