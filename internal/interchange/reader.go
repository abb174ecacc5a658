package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"tenet/internal/knowledge"
)

// A reader turns the files of a source into items.
type reader struct {
	s     *Source
	ids   map[knowledge.Kind]ids
	paths map[string]bool // what can be read in the tree
	known map[string]bool // what is there at all
	// imported holds the plain texts that an assistant's own file brings in.
	imported map[string]bringer
}

func newReader(s *Source) *reader {
	r := &reader{
		s: s, ids: map[knowledge.Kind]ids{}, paths: map[string]bool{}, known: map[string]bool{},
		imported: map[string]bringer{},
	}
	for _, k := range knowledge.Kinds() {
		r.ids[k] = ids{}
	}
	for _, f := range s.tree.files() {
		r.paths[f.path] = f.skip == "" && f.err == nil
		r.known[f.path] = true
	}
	r.findImports()
	return r
}

// A file is one file on its way to documents.
type file struct {
	path  string
	text  string
	notes []string
	ours  bool // a part of it was written by tenet
	// edited is true if somebody has edited that part.
	edited bool
}

func (f *file) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

func (f *file) noteSeparators(n int) {
	if n > 0 {
		f.note("%s taken out of the text", knowledge.Count(n, "separator (a control character) was",
			"separators (control characters) were"))
	}
}

// nothingError says that a file holds nothing to import, and why. It skips a file that was found and refuses one that
// was named.
type nothingError struct{ why string }

func (e *nothingError) Error() string { return e.why }

func nothing(format string, args ...any) error { return &nothingError{fmt.Sprintf(format, args...)} }

// item reads one file.
func (r *reader) item(t treeFile) Item {
	it := Item{Path: t.path}
	named := nameFormat(t.path)
	wanted := r.s.o.Format
	switch {
	case t.err != nil:
		it.Err = t.err
		return it
	case t.skip != "":
		it.Skipped = t.skip
		return it
	case named == examplesOf:
		return r.examplesItem(it)
	case r.overridden(t.path):
		it.Skipped = "AGENTS.override.md in its folder takes its place"
		return it
	case r.s.single && wanted != "":
		named = wanted
	case named == skipName:
		it.Skipped = skipReason(t.path)
		if r.s.single {
			it.Skipped, it.Err = "", errors.New(it.Skipped+": give the format that it has")
		}
		return it
	case wanted != "" && !fits(named, wanted):
		it.Skipped, it.kept = "not of the format "+string(wanted), true
		return it
	case wanted != "":
		named = wanted
	}
	r.read(&it, named)
	if none, ok := errors.AsType[*nothingError](it.Err); ok && !r.s.single {
		it.Skipped, it.Err, it.Format = none.why, nil, ""
	}
	return it
}

// read fills in an item from its file.
func (r *reader) read(it *Item, format Format) {
	it.Format = format
	if format == FormatJSONL {
		r.readJSONL(it)
		return
	}
	data, err := r.s.tree.read(it.Path)
	if err != nil {
		it.Err = readError(err)
		return
	}
	if format == FormatXML {
		data = fromLatin1(data)
	}
	text, err := cleanText(data)
	if err != nil {
		it.Err = err
		return
	}
	f := &file{path: it.Path, text: text}
	if format != FormatCSV { // a table notes it at its row
		var n int
		f.text, n = withoutSeparators(text)
		f.noteSeparators(n)
	}
	defer func() { it.Notes, it.Edited = append(it.Notes, f.notes...), f.edited }()
	switch format {
	case FormatRuleYAML:
		it.Entries, it.Err = r.ruleYAML(f)
	case FormatCSV:
		it.Entries, it.Err = r.csv(f)
	case FormatJSON:
		it.Entries, it.Err = r.jsonFile(f)
	case FormatXML:
		it.Entries, it.Err = r.xmlRules(f)
	case FormatPrompt:
		it.Format, it.Entries, it.Err = r.prompts(f, format)
	default:
		var e Entry
		it.Format, e, it.Err = r.markdown(f, format)
		if it.Err == nil {
			it.Entries = []Entry{e}
		}
	}
}

func readError(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("can't be read: %w", p.Err)
	}
	return fmt.Errorf("can't be read: %w", err)
}

// examplesItem is the item of a file that is read with the rules beside it.
func (r *reader) examplesItem(it Item) Item {
	rules, _ := metadataBeside(it.Path)
	switch {
	case r.paths[rules]:
		it.Skipped = "examples of " + path.Base(rules) + ", read with it"
	case r.s.single:
		it.Err = errors.New("examples without the rule that they belong to: import " + path.Base(rules))
	default:
		it.Skipped = "examples without the rule that they belong to"
	}
	return it
}

// markdown reads a Markdown file: one document.
func (r *reader) markdown(f *file, format Format) (Format, Entry, error) {
	fm, body := splitFrontMatter(f.text)
	f.notes = append(f.notes, fm.notes...)
	if kind := ownKind(fm.values, shownKind); kind != "" && (r.s.o.Format == "" || r.s.o.Format == FormatMarkdown) {
		e, err := ownDocument(kind, fm.values, body)
		return FormatMarkdown, e, err
	}
	if format == FormatMarkdown && r.s.o.Format == "" {
		format = markdownFormat(f.path, fm, body)
	}
	if format == FormatAgents && r.s.o.Format == "" && !isAgentsFile(f.path) && showsRule(fm, body) {
		format = FormatRulePage
	}
	body = trimBlankLines(r.withoutOwnPart(f, body))
	if format == FormatAgents || format == FormatCopilot {
		if target := pointer(body); target != "" {
			why := r.missing(f.path, target)
			if why != "" {
				why = ", which " + why
			}
			return format, Entry{}, nothing("it only points at %s%s", shortQuote(target), why)
		}
		r.noteImports(f, body)
		whole := body
		if body = r.ownTexts(f, body); body == "" && whole != "" && len(fm.values) == 0 {
			return format, Entry{}, nothing("it only brings in other files, which are imported by themselves")
		}
	}
	if body == "" && len(f.text) > 0 && f.ours {
		if f.edited {
			return format, Entry{}, nothing(editedOwn)
		}
		return format, Entry{}, nothing("it holds only what tenet wrote into it")
	}
	if body == "" && len(fm.values) == 0 {
		return format, Entry{}, nothing("it is empty")
	}
	var d knowledge.Document
	switch format {
	case FormatSkill:
		d = r.skill(f, fm, body)
	case FormatPrompt:
		d = r.prompt(f, fm, body)
	case FormatMarkdown:
		d = r.practice(f, fm, body)
	case FormatRulePage:
		d = r.rulePage(f, fm, body)
	default:
		d = r.assistantRule(f, format, fm, body)
	}
	return format, r.entry(f, d, ""), nil
}

// prompts reads a file of prompts: Markdown, a form in YAML, or a command in TOML.
func (r *reader) prompts(f *file, format Format) (Format, []Entry, error) {
	var e Entry
	var err error
	switch strings.ToLower(path.Ext(f.path)) {
	case ".yml", ".yaml":
		e, err = r.issueForm(f)
	case ".toml":
		e, err = r.tomlCommand(f)
	default:
		format, e, err = r.markdown(f, format)
	}
	if err != nil {
		return format, nil, err
	}
	return format, []Entry{e}, nil
}

// overridden reports whether a file beside one takes its place.
func (r *reader) overridden(p string) bool {
	return strings.EqualFold(path.Base(p), "AGENTS.md") && r.paths[path.Join(path.Dir(p), "AGENTS.override.md")] &&
		!r.s.single
}

// pointer returns the target of a file whose only content is "@OTHER.md", or "".
func pointer(body string) string {
	body = strings.TrimSpace(body)
	if !strings.HasPrefix(body, "@") || strings.ContainsAny(body, " \n\t") {
		return ""
	}
	return body[1:]
}

// pathID returns the id of the one document that a file holds.
func (r *reader) pathID(kind knowledge.Kind, f *file) string {
	return r.ids[kind].forPath(r.s.name, f.path)
}

// category returns the category of a document: as asked for, from the front matter, the first telling folder, or
// "imported".
func (r *reader) category(f *file, own string) string {
	if r.s.o.Category != "" {
		return r.s.o.Category
	}
	if own != "" {
		return makeID(own)
	}
	dirs := strings.Split(path.Dir(f.path), "/")
	if strings.EqualFold(path.Base(f.path), "SKILL.md") {
		dirs = dirs[:len(dirs)-1] // the skill's own
	}
	for _, d := range dirs {
		if d != "" && !isContainer(d) {
			return makeID(d)
		}
	}
	return "imported"
}

const importedFrom = knowledge.ImportedFrom

// common fills in what rules, practices and templates share, from what is left of the front matter.
func (r *reader) common(f *file, c *knowledge.Common, fm *frontMatter, tags ...string) {
	for _, t := range append(tags, SourceTag(r.s.name)) {
		t, _ = shorten(t)
		if t != "" && !slices.Contains(c.Tags, t) {
			c.Tags = append(c.Tags, t)
		}
	}
	c.Extra = map[string]any{}
	for k, v := range fm.values {
		if k == importedFrom {
			continue
		}
		c.Extra[k] = asWritten(v)
	}
	c.Extra[importedFrom] = map[string]any{"source": r.s.name, "path": f.path}
}

// asWritten keeps a number as text where a store would write it otherwise: version 1.20 is not version 1.2.
func asWritten(v any) any {
	switch v := v.(type) {
	case json.Number:
		x, err := v.Float64()
		if err != nil || strings.ContainsAny(v.String(), ".eE") && strconv.FormatFloat(x, 'f', -1, 64) != v.String() {
			return v.String()
		}
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = asWritten(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = asWritten(e)
		}
		return out
	}
	return v
}

// entry checks a document that was made of a foreign file, and signs it with the digest of what was read.
func (r *reader) entry(f *file, d knowledge.Document, place string) Entry {
	e := Entry{Key: d.Key(), Place: place}
	d, err := settle(d)
	if err == nil {
		err = sign(d)
	}
	if err == nil {
		err = d.Validate()
	}
	if err != nil {
		e.Err = located(err, f, place)
		return e
	}
	e.Doc = d
	return e
}

// settle returns a document as a store would hand it out, or why it is too large for one.
func settle(d knowledge.Document) (knowledge.Document, error) {
	d.Normalize()
	b, err := knowledge.Canonical(d)
	if err != nil {
		return nil, err
	}
	if err := knowledge.CheckJSON(b); err != nil {
		return nil, err
	}
	return knowledge.DecodeStored(d.Key().Kind, b)
}

// located adds to an error where in the file the first forbidden text stands, if it stands there as it is.
func located(err error, f *file, place string) error {
	if place != "" || f.text == "" {
		return err
	}
	if why := knowledge.TextFault(f.text); why != "" {
		at, _, _ := strings.Cut(why, ":")
		return fmt.Errorf("%w (in the file: %s)", err, at)
	}
	return err
}

// jsonFault turns an error of a JSON decoder into one that a person can use.
func jsonFault(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON: %s (byte %d)", syntax.Error(), syntax.Offset)
	}
	return fmt.Errorf("not JSON: %w", err)
}

// jsonFaultIn is jsonFault of a text, with the line. Space around the text was not given to the decoder.
func jsonFaultIn(text string, err error) error {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return jsonFault(err)
	}
	begin := len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
	line := 1 + strings.Count(text[:min(len(text), begin+int(syntax.Offset))], "\n")
	return fmt.Errorf("not JSON: line %d: %s", line, syntax.Error())
}
