package interchange

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"tenet/internal/knowledge"
)

// maxRows bounds the rows of a table.
const maxRows = 100_000

// columns maps the column names of tables of prompts to the fields of a template.
func columns() map[string][]string {
	return map[string][]string{
		"title":       {"act", "title", "name"},
		"content":     {"prompt", "template_content", "content", "template", "text", "body"},
		"description": {"description", "summary"},
		"category":    {"category", "topic"},
		"tags":        {"tags", "keywords", "labels"},
		"for_devs":    {"for_devs"},
		"type":        {"type"},
	}
}

// A table is a CSV file with its columns mapped to fields.
type table struct {
	header []string
	at     map[string]int // field of a template → column
	rows   []row
}

// A row is a record of a table; if it has a fault, its fields are empty.
type row struct {
	fields     []string
	lines      []int // on which line each field begins
	line       int
	separators int // taken out of its fields
	err        error
}

// csv reads a table of prompts: a template for each row.
func (r *reader) csv(f *file) ([]Entry, error) {
	t, err := readTable(f)
	if err != nil {
		return nil, err
	}
	if t.isExport() {
		return nil, nothing("a table that tenet export wrote, which is no way back: it lacks examples and extra. " +
			"Edit what `tenet export --format yaml` writes, or leave out its columns created_by and version")
	}
	if t.holdsRules(r.s.o.Columns) {
		return t.rules(r, f, r.s.o.Columns)
	}
	if err := t.find(r.s.o.Columns); err != nil {
		return nil, err
	}
	titles := t.rowIDs(r, f)
	entries := make([]Entry, 0, len(t.rows))
	for i, row := range t.rows {
		place := fmt.Sprintf("line %d", row.line)
		if row.err != nil {
			entries = append(entries, Entry{
				Key: knowledge.Key{Kind: knowledge.KindTemplate, ID: titles[i]}, Place: place, Err: row.err,
			})
			continue
		}
		one := &file{path: f.path}
		one.noteSeparators(row.separators)
		d := r.template(one, t, row, titles[i])
		e := r.entry(one, d, place)
		if e.Err != nil {
			e.Err = t.located(e.Err, row)
		}
		e.Notes = one.notes
		entries = append(entries, e)
	}
	return entries, nil
}

// isExport reports whether a table has the columns that only an export of tenet has. Read as a table of others it would
// make every document a second time.
func (t *table) isExport() bool {
	has := func(name string) bool { return slices.Contains(t.header, name) }
	return has("created_by") && has("updated_by") && has("version") &&
		(has("rule_id") || has("practice_id") || has("template_id"))
}

// located adds to an error where in the file the forbidden text of a row stands.
func (t *table) located(err error, row row) error {
	for i, s := range row.fields {
		if why := knowledge.TextFault(s); why != "" {
			return fmt.Errorf("%w (in the file: line %d, column %q)", err, row.lines[i]+faultLine(why)-1, t.header[i])
		}
	}
	return err
}

// faultLine returns the line that a fault of a text names.
func faultLine(why string) int {
	n := 1
	if _, err := fmt.Sscanf(why, "line %d", &n); err != nil {
		return 1
	}
	return n
}

// readTable splits the text into rows and finds its columns.
func readTable(f *file) (*table, error) {
	text, sep := separated(f)
	c := csv.NewReader(strings.NewReader(text))
	c.FieldsPerRecord = -1
	c.Comma = sep
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, nothing("a table without rows")
	}
	if err != nil {
		return nil, fmt.Errorf("not CSV: %w", err)
	}
	t := &table{header: header}
	if err := t.tidyHeader(); err != nil {
		return nil, err
	}
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not CSV: %w", err)
		}
		if len(t.rows) == maxRows {
			return nil, fmt.Errorf("more than %d rows: split the file", maxRows)
		}
		if !slices.ContainsFunc(fields, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			continue // a spreadsheet writes the empty rows below its table too
		}
		line, _ := c.FieldPos(0)
		row := row{fields: fields, line: line, lines: make([]int, len(fields))}
		for i, s := range fields {
			row.lines[i], _ = c.FieldPos(i)
			var n int
			fields[i], n = withoutSeparators(s)
			row.separators += n
		}
		if len(fields) != len(header) {
			row.err = fmt.Errorf("%s where the header has %d: is a text with commas not in quotes?",
				knowledge.Count(len(fields), "field", "fields"), len(header))
		}
		t.rows = append(t.rows, row)
	}
	if len(t.rows) == 0 {
		return nil, nothing("a table without rows")
	}
	if n := t.unnamed(); n > 0 {
		f.note("%s: left out", knowledge.Count(n, "value stands in a column without a name",
			"values stand in columns without a name"))
	}
	return t, nil
}

// separated returns the text of a table and what separates its fields: as a first line says for Excel ("sep=;"), which
// is left empty; a tab in .tsv files; else whichever of the usual ones the header has most of.
func separated(f *file) (string, rune) {
	first, rest, _ := strings.Cut(f.text, "\n")
	if said, ok := strings.CutPrefix(strings.Trim(first, "\" "), "sep="); ok && len(said) == 1 &&
		strings.Contains(",;\t|", said) {
		return "\n" + rest, rune(said[0])
	}
	if strings.EqualFold(path.Ext(f.path), ".tsv") {
		return f.text, '\t'
	}
	best := ','
	for _, r := range ";\t|" {
		if strings.Count(first, string(r)) > strings.Count(first, string(best)) {
			best = r
		}
	}
	return f.text, best
}

// unnamed counts the values in columns without a name.
func (t *table) unnamed() int {
	n := 0
	for _, row := range t.rows {
		for i, s := range row.fields {
			if i < len(t.header) && t.header[i] == "" && strings.TrimSpace(s) != "" {
				n++
			}
		}
	}
	return n
}

// tidyHeader checks that no two columns have one name.
func (t *table) tidyHeader() error {
	seen := map[string]bool{}
	for i, name := range t.header {
		name = strings.ToLower(strings.TrimSpace(name))
		if seen[name] && name != "" { // empty columns beside a table
			return fmt.Errorf("line 1: two columns are called %q", shortQuote(name))
		}
		seen[name] = true
		t.header[i] = strings.TrimSpace(t.header[i])
	}
	return nil
}

// find finds the columns of templates: as the caller says, else by their names in the header.
func (t *table) find(given map[string]string) error {
	var err error
	if t.at, err = t.place(columns(), given); err != nil {
		return err
	}
	if _, ok := t.at["content"]; !ok {
		return nothing("line 1: no column for the text of a template: call it prompt, content, template, text or " +
			"body, or say which it is with --column")
	}
	if _, ok := t.at["title"]; !ok {
		return nothing("line 1: no column for the name of a template: call it act, title or name, or say which it " +
			"is with --column")
	}
	return nil
}

// value returns a field of a row, or "".
func (t *table) value(r row, field string) string {
	if i, ok := t.at[field]; ok && i < len(r.fields) {
		return r.fields[i]
	}
	return ""
}

// rowIDs returns the id of each row, made of the file's path and the row's title. Of rows with one title the first has
// the plain id and the others are numbered in their order: an edit of a text, or a row put between, changes no id.
func (t *table) rowIDs(r *reader, f *file) []string {
	given := r.ids[knowledge.KindTemplate]
	texts := append([]string{r.s.name}, pathTexts(f.path)...)
	out := make([]string, len(t.rows))
	first := map[string]bool{}
	var again []int
	for i, row := range t.rows {
		id := makeID(append(slices.Clone(texts), t.value(row, "title"))...)
		out[i] = id
		if first[id] {
			again = append(again, i)
			continue
		}
		first[id] = true
		out[i] = given.free(id)
	}
	for _, i := range again {
		out[i] = given.free(out[i])
	}
	return out
}

// template makes a template of a row.
func (r *reader) template(f *file, t *table, row row, id string) *knowledge.Template {
	fm := &frontMatter{values: map[string]any{}}
	mapped := map[int]bool{}
	for field, i := range t.at {
		mapped[i] = field != "for_devs" && field != "type"
	}
	for i, h := range t.header {
		if !mapped[i] && h != "" && row.fields[i] != "" {
			fm.values[h] = row.fields[i]
		}
	}
	d := &knowledge.Template{
		IsActive: true, TemplateID: id,
		Description: strings.TrimSpace(t.value(row, "description")),
	}
	d.Category = r.category(f, strings.TrimSpace(t.value(row, "category")))
	for _, tag := range listOf(t.value(row, "tags")) {
		tag, _ = shorten(tag)
		if !slices.Contains(d.Tags, tag) {
			d.Tags = append(d.Tags, tag)
		}
	}
	if strings.EqualFold(strings.TrimSpace(t.value(row, "for_devs")), "true") && !slices.Contains(d.Tags, "for-devs") {
		d.Tags = append(d.Tags, "for-devs")
	}
	title := strings.TrimSpace(t.value(row, "title"))
	short, cut := shorten(title)
	if cut {
		f.note("the name has more than %d characters: shortened, the whole one is kept", knowledge.MaxTitle)
		fm.values["title"] = title
		if d.Description == "" {
			d.Description = title
		}
	}
	d.Name = short
	var notes []string
	d.TemplateContent, d.Variables, notes = variables(t.value(row, "content"))
	f.notes = append(f.notes, notes...)
	kind, _ := shorten(strings.ToLower(t.value(row, "type")))
	if utf8.RuneCountInString(kind) > 64 {
		kind = ""
	}
	r.common(f, &d.Common, fm, kind)
	return d
}
