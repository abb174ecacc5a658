package interchange

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
)

// jsonRules reads the rules of a linter in a JSON file: SARIF, or settings and lists in the shapes that YAML has too.
// False for a file that holds none.
func (r *reader) jsonRules(f *file) ([]Entry, bool, error) {
	if found, ok, err := sarifRules(f); ok || err != nil {
		return r.foundEntries(f, found, false), ok, err
	}
	if len(f.text) > 8<<20 {
		return nil, false, nil // larger than any linter's settings and lists: not worth unfolding
	}
	docs, err := parseYAML(withoutComments(f.text)) // JSON is YAML, and a node of YAML knows its line
	if err != nil || len(docs) != 1 {
		return nil, false, nil //nolint:nilerr // the caller says what is wrong with the JSON
	}
	switch v := docs[0].value.(type) {
	case []any:
		if _, published := publishedRules(v, nil); !published && !graded(v) {
			return nil, false, nil
		}
	case map[string]any: // package.json and its like have a name and a description too
		if describesRule(v) && !graded([]any{v}) {
			return nil, false, nil
		}
	}
	found, ok := rulesIn(f, docs[0])
	if !ok {
		return nil, false, nil
	}
	return r.foundEntries(f, found, true), true, nil
}

// ruleLines reads rules of a linter as JSON lines, one on each; false when the first is none.
func (r *reader) ruleLines(p string) ([]Entry, bool) {
	data, err := r.s.tree.read(p)
	if err != nil || len(data) > 2<<20 {
		return nil, false
	}
	f := &file{path: p}
	var found []foundRule
	for l, err := range lines(bytes.NewReader(data)) {
		var m map[string]any
		dec := json.NewDecoder(bytes.NewReader(l.data))
		dec.UseNumber()
		switch {
		case err != nil:
			return nil, false
		case dec.Decode(&m) != nil:
			found = append(found, foundRule{line: int(l.n), listed: true, err: errors.New("not JSON")})
		case len(found) == 0 && !graded([]any{m}):
			return nil, false
		default:
			y := genericRule(m, int(l.n))
			if y.listed = true; y.err == nil && !describesRule(m) && !halfRule(m) {
				y.err = errors.New("no rule: want a title and a severity, a description or an id")
			}
			found = append(found, y)
		}
	}
	return r.foundEntries(f, found, false), true
}

// withoutComments returns JSON without comments and without commas behind the last member, which settings often have.
// Lines stay where they are.
func withoutComments(text string) string {
	if json.Valid([]byte(text)) {
		return text
	}
	b := []byte(text)
	comma := -1 // the last comma, if nothing followed it yet
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			comma = -1
		case c == '/' && i+1 < len(b) && b[i+1] == '/':
			for ; i < len(b) && b[i] != '\n'; i++ {
				b[i] = ' '
			}
		case c == '/' && i+1 < len(b) && b[i+1] == '*':
			end := len(text)
			if n := strings.Index(text[i+2:], "*/"); n >= 0 {
				end = i + 2 + n + 2
			}
			for ; i < end; i++ {
				if b[i] != '\n' {
					b[i] = ' '
				}
			}
			i--
		case c == ',':
			comma = i
		case (c == ']' || c == '}') && comma >= 0:
			b[comma], comma = ' ', -1
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			comma = -1
		}
	}
	return string(b)
}

// A sarifText is a text as SARIF has it.
type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
}

func (t sarifText) best() string { return orElse(t.Markdown, t.Text) }

// A sarifRule is a rule of a tool, the part of SARIF 2.1.0 that is read.
type sarifRule struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Short   sarifText `json:"shortDescription"`
	Full    sarifText `json:"fullDescription"`
	Help    sarifText `json:"help"`
	HelpURI string    `json:"helpUri"`
	Default struct {
		Enabled *bool  `json:"enabled"`
		Level   string `json:"level"`
	} `json:"defaultConfiguration"`
	Properties map[string]any `json:"properties"`
}

type sarifTool struct {
	Name  string            `json:"name"`
	Rules []json.RawMessage `json:"rules"`
}

// sarifRules reads the rules of the tools of a SARIF file; its results are findings and no rules.
func sarifRules(f *file) ([]foundRule, bool, error) {
	if !strings.Contains(f.text, `"runs"`) || !strings.Contains(f.text, `"driver"`) {
		return nil, false, nil
	}
	var log struct {
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver     sarifTool   `json:"driver"`
				Extensions []sarifTool `json:"extensions"`
			} `json:"tool"`
		} `json:"runs"`
	}
	if err := json.Unmarshal([]byte(f.text), &log); err != nil || log.Version == "" || len(log.Runs) == 0 {
		return nil, false, nil //nolint:nilerr // another kind of JSON: the caller says what
	}
	var found []foundRule
	seen := map[string]*foundRule{}
	for _, run := range log.Runs {
		for _, tool := range append([]sarifTool{run.Tool.Driver}, run.Tool.Extensions...) {
			for i, raw := range tool.Rules {
				y := sarifFound(tool.Name, raw)
				y.place = fmt.Sprintf("rule %d of %s", i+1, orElse(shortQuote(tool.Name), "the tool"))
				if y.ident == "" {
					y.err = errors.New("a rule without an id")
				}
				first := seen[y.ident]
				if first != nil && y.err == nil { // runs of one tool repeat its rules
					if first.title != y.title || first.text != y.text || first.severity != y.severity {
						f.note("%s has the id %q, and says something else than the first of it: passed over",
							y.place, shortQuote(y.ident))
					}
					continue
				}
				found = append(found, y)
				seen[y.ident] = &y
			}
		}
	}
	if len(found) == 0 {
		return nil, false, nothing("SARIF without rules: findings alone are none")
	}
	return found, true, nil
}

func sarifFound(tool string, raw json.RawMessage) foundRule {
	var s sarifRule
	y := foundRule{listed: true}
	if err := json.Unmarshal(raw, &s); err != nil {
		y.err = jsonFault(err)
		return y
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&y.values); err != nil {
		y.err = jsonFault(err)
		return y
	}
	y.values["tool"] = tool
	y.ident, y.title = s.ID, orElse(s.Short.Text, orElse(s.Name, s.ID))
	if len([]rune(y.title)) > knowledge.MaxTitle || strings.Contains(y.title, "\n") {
		y.title = orElse(s.Name, s.ID)
	}
	y.text = orElse(s.Full.best(), orElse(s.Help.best(), s.Short.best()))
	if y.text == "" {
		y.text = fmt.Sprintf("%s's rule %s.", orElse(tool, "The tool"), s.ID)
		y.notes = append(y.notes, "no description: its name stands for it")
	}
	if help := s.Help.best(); help != "" && help != y.text {
		y.text += "\n\n" + help
	}
	y.severity = s.Default.Level
	if pick(s.Properties, "problem.severity") != "" && y.severity == "" {
		y.severity = pick(s.Properties, "problem.severity")
	}
	y.off = strings.EqualFold(y.severity, "none") || s.Default.Enabled != nil && !*s.Default.Enabled
	if strings.EqualFold(y.severity, "none") {
		y.severity = ""
	}
	tags, _ := s.Properties["tags"].([]any)
	y.tags = listOf(tags)
	y.used = []string{"shortDescription", "fullDescription", "help"}
	return y
}

// eslintFile reports whether a name without an ending is one of a linter's settings.
func eslintFile(base string) bool {
	return slices.Contains([]string{".eslintrc", ".stylelintrc", ".markdownlintrc", ".commitlintrc"}, base)
}
