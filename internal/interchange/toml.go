package interchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// parseTOML returns the values of a TOML text as JSON has them.
func parseTOML(text string) (map[string]any, error) {
	var m map[string]any
	if err := toml.Unmarshal([]byte(text), &m); err != nil {
		if fault, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := fault.Position()
			return nil, fmt.Errorf("not TOML: line %d: %s", line, fault.Error())
		}
		return nil, fmt.Errorf("not TOML: %w", err)
	}
	m = nil
	if err := toml.Unmarshal(spelled([]byte(text)), &m); err != nil {
		return nil, fmt.Errorf("not TOML: %w", err)
	}
	for k, v := range m {
		m[k] = plainTOML(v)
	}
	return m, nil
}

// plainTOML returns a value of TOML as JSON has it.
func plainTOML(v any) any {
	switch v := v.(type) {
	case bool, nil:
		return v
	case string:
		number, ok := strings.CutPrefix(v, spelledMark)
		if ok && json.Valid([]byte(number)) {
			return json.Number(number)
		}
		return number
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plainTOML(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plainTOML(e)
		}
		return out
	}
	return fmt.Sprint(v)
}

var tomlRules = compiled(`(?m)^\[\[rules\]\]`)

// ruleTOML reads the rules of a TOML file, in the shapes that YAML has too.
func (r *reader) ruleTOML(f *file) ([]Entry, error) {
	m, err := parseTOML(f.text)
	if err != nil {
		if r.s.single || tomlRules().MatchString(f.text) {
			return nil, err
		}
		return nil, nothing("%s", err)
	}
	found, ok := rulesIn(f, yamlValue{value: m})
	if !ok || describesRule(m) && !graded([]any{m}) { // a manifest has a name and a description too
		return nil, nothing("TOML that describes no rules: want a list below rules, or levels below lints")
	}
	for i := range found {
		found[i].place = fmt.Sprintf("rule %d", i+1)
	}
	return r.foundEntries(f, found, true), nil
}
