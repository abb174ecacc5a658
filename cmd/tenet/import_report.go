package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"tenet/internal/interchange"
	"tenet/internal/knowledge"
)

// A stepShown is a step of an import as programs get it.
type stepShown struct {
	Source   string              `json:"source"`
	Path     string              `json:"path"`
	Place    string              `json:"place,omitempty"`
	Format   interchange.Format  `json:"format"`
	Key      string              `json:"key"`
	Outcome  interchange.Outcome `json:"outcome"`
	Reason   string              `json:"reason,omitempty"`
	Changes  []string            `json:"changes,omitempty"`
	Notes    []string            `json:"notes,omitempty"`
	Versions int                 `json:"versions,omitempty"`
	Invalid  []string            `json:"invalid,omitempty"`
}

// reportPlan prints what an import will do: every step for programs. People get the sums and what they must look at; a
// dry run and
// --verbose list every document and file.
func reportPlan(a *app, plan *interchange.Plan, s *importSettings) error {
	steps := []stepShown{}
	t := &table{head: []string{"OUTCOME", "KEY", "FILE", "WHY"}, wide: 3, wrap: true}
	if s.Verbose {
		t.head, t.wide = slices.Insert(t.head, 3, "HOLDS"), 4
	}
	notes := 0
	for _, st := range plan.Steps() {
		key := ""
		if st.Key.ID != "" {
			key = st.Key.String()
		}
		steps = append(steps, stepShown{
			st.Source, st.Path, st.Place, st.Format, key, st.Outcome, st.Reason,
			st.Changes(), st.Notes, st.Versions, st.Invalid,
		})
		// that a category was created is no note on a text, and what stays as it was brings its notes when it changes
		if !st.Implied() && st.Outcome != interchange.Unchanged {
			notes += len(st.Notes)
		}
		if s.DryRun != dryNone || s.Verbose || st.Outcome == interchange.Refused || st.Outcome == interchange.Pruned ||
			len(st.Invalid) > 0 || st.Edited {
			cells := []string{string(st.Outcome), key, strings.TrimSpace(st.Path + " " + st.Place), why(&st)}
			if s.Verbose {
				cells = slices.Insert(cells, 3, holdsFor(&st))
			}
			t.add(cells...)
		}
	}
	return a.print(struct {
		Steps []stepShown                 `json:"steps"`
		Count map[interchange.Outcome]int `json:"count"`
	}{steps, plan.Count()}, func(w io.Writer, sc screen) error {
		if len(t.rows) > 0 {
			if err := t.write(w, sc); err != nil {
				return err
			}
		}
		if s.Verbose {
			if err := writeDetails(w, plan); err != nil {
				return err
			}
		} else if notes > 0 && s.DryRun == dryNone && plan.Writes() > 0 {
			a.say("%s on what was repaired, guessed or left out: --verbose shows them",
				plural(int64(notes), "note", "notes"))
		}
		if s.DryRun != dryNone || plan.Blocked() {
			return writeSums(w, sc, plan, ahead)
		}
		return nil // once it is done
	})
}

// holdsFor says for which files a document will hold; "" for a step that writes none, and for kinds that hold for none.
func holdsFor(st *interchange.Step) string {
	var scope knowledge.Scope
	switch _, will := st.Documents(); d := will.(type) {
	case *knowledge.Rule:
		scope = d.Scope
	case *knowledge.Practice:
		scope = d.Scope
	case *knowledge.Template:
		scope = d.Scope
	default:
		return ""
	}
	switch scope.Activation {
	case "glob":
		return strings.Join(scope.Globs, " ")
	case "manual":
		return "by hand"
	}
	return scope.Activation
}

// why says in a line what a person wants to know of a step.
func why(st *interchange.Step) string {
	parts := []string{}
	if st.Reason != "" {
		parts = append(parts, st.Reason)
	}
	if st.Versions > 1 {
		parts = append(parts, fmt.Sprintf("%d versions", st.Versions))
	}
	parts = append(append(parts, st.Changes()...), st.Invalid...)
	return strings.Join(append(parts, st.Notes...), "; ")
}

// writeSums prints how many documents will be what, or have become it: called says how an outcome is headed.
func writeSums(w io.Writer, sc screen, plan *interchange.Plan, called func(interchange.Outcome) string) error {
	count := plan.Count()
	sums := &table{}
	var cells []string
	for _, o := range interchange.Outcomes() {
		sums.head = append(sums.head, called(o))
		cells = append(cells, itoa(int64(count[o])))
	}
	sums.add(cells...)
	return sums.write(w, sc)
}

// done is the heading of an outcome after everything was written.
func done(o interchange.Outcome) string {
	if o == interchange.Pruned {
		return "RETIRED"
	}
	return strings.ToUpper(string(o))
}

// ahead is the heading of an outcome before anything is written.
func ahead(o interchange.Outcome) string {
	switch o {
	case interchange.Created:
		return "TO CREATE"
	case interchange.Changed:
		return "TO CHANGE"
	case interchange.Pruned:
		return "TO RETIRE"
	case interchange.Unchanged, interchange.Skipped, interchange.Refused:
	}
	return strings.ToUpper(string(o))
}

// writeDetails prints what changes in each document, line by line.
func writeDetails(w io.Writer, plan *interchange.Plan) error {
	for _, st := range plan.Steps() {
		was, will := st.Documents()
		if was == nil || will == nil {
			continue
		}
		older, err := interchange.Plain(was)
		if err != nil {
			return err
		}
		newer, err := interchange.Plain(will)
		if err != nil {
			return err
		}
		if bytes.Equal(older, newer) {
			continue
		}
		name := st.Key.String()
		if _, err := io.WriteString(w, cleanLines(diff.Diff(name+" as it is", older, name+" as imported",
			newer))); err != nil {
			return err
		}
	}
	return nil
}

// cleanLines returns a text of several lines that can do nothing to a terminal.
func cleanLines(text []byte) string {
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		lines[i] = cell(l)
	}
	return strings.Join(lines, "\n")
}
