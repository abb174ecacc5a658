package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"tenet/internal/knowledge"
)

// A listing is an answer as programs get it: documents in the shape that the REST API has.
type listing struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

func listingOf(records []*knowledge.Record, next string) listing {
	l := listing{Items: make([]json.RawMessage, len(records)), Next: next}
	for i, r := range records {
		l.Items[i] = r.JSON
	}
	return l
}

// columns returns the heading of a table of documents of a kind, and which column gives way on a narrow terminal.
func columns(kind knowledge.Kind) *table {
	switch kind {
	case knowledge.KindRule:
		return &table{head: []string{"ID", "SEVERITY", "ENFORCEMENT", "CATEGORY", "TITLE"}, wide: 4}
	case knowledge.KindPractice:
		return &table{head: []string{"ID", "REQUIRED", "CATEGORY", "TITLE"}, wide: 3}
	case knowledge.KindTemplate:
		return &table{head: []string{"ID", "CATEGORY", "VARIABLES", "NAME"}, wide: 3}
	case knowledge.KindCategory:
		return &table{head: []string{"ID", "NAME", "DESCRIPTION"}, wide: 2}
	case knowledge.KindViolation:
		return &table{head: []string{"ID", "RULE", "SEVERITY", "STATUS", "WHERE", "MESSAGE"}, wide: 5}
	case knowledge.KindPrincipal:
		return &table{head: []string{"ID", "ROLE", "TOKEN", "EXPIRES", "NAME"}, wide: 4}
	}
	return &table{}
}

// row returns a document's cells below columns.
func row(r *knowledge.Record) ([]string, error) {
	d, err := r.Document()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Key, err)
	}
	var cells []string
	switch d := d.(type) {
	case *knowledge.Rule:
		cells = []string{d.RuleID, d.Severity, d.Enforcement, d.Category, d.Title}
		if d.Status != knowledge.StatusActive {
			cells[4] += " (" + strings.ToLower(d.Status) + ")"
		}
	case *knowledge.Practice:
		cells = []string{d.PracticeID, yesNo(d.IsRequired), d.Category, d.Title}
	case *knowledge.Template:
		names := make([]string, len(d.Variables))
		for i, v := range d.Variables {
			names[i] = v.Name
		}
		cells = []string{d.TemplateID, d.Category, shorten(strings.Join(names, " "), 40), d.Name}
	case *knowledge.Category:
		cells = []string{d.ID, d.Name, d.Description}
	case *knowledge.Violation:
		cells = []string{d.ViolationID, d.RuleID, d.Severity, d.Status, where(d), d.Message}
	case *knowledge.Principal:
		cells = []string{d.PrincipalID, d.Role, d.TokenPrefix + "…", day(d.Expiry, "never"), d.Name}
	}
	if !d.Active() {
		state := " (retired)"
		if r.Key.Kind == knowledge.KindPrincipal {
			state = " (revoked)"
		}
		cells[len(cells)-1] += state
	}
	return cells, nil
}

// where returns the place of a violation.
func where(v *knowledge.Violation) string {
	place := v.Path
	if v.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, v.Line)
	}
	return strings.Trim(v.Repository+" "+place, " ")
}

// title returns the words that a document is known by.
func title(r *knowledge.Record) string {
	d, err := r.Document()
	if err != nil {
		return ""
	}
	return d.Text().Title
}

// moment writes a time for people, to the second; never is what stands for no time.
func moment(t knowledge.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func day(t knowledge.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format("2006-01-02")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// idKinds returns the kinds by the id field that gives them away, a violation before the rule that it also names.
func idKinds() []knowledge.Kind {
	return []knowledge.Kind{
		knowledge.KindViolation, knowledge.KindRule, knowledge.KindPractice, knowledge.KindTemplate, knowledge.KindCategory, knowledge.KindPrincipal,
	}
}

// kindOf returns the kind of a document by the name of its id field.
func kindOf(raw json.RawMessage) (knowledge.Kind, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return "", knowledge.Invalid("", "want a document: an object with fields")
	}
	for _, k := range idKinds() {
		if _, ok := members[k.IDField()]; ok && (k != knowledge.KindCategory || members["name"] != nil || len(members) == 1) {
			return k, nil
		}
	}
	return "", knowledge.Invalid("", "no rule_id, practice_id, template_id, category_id or violation_id: name the kind with --kind")
}
