package postgres

import (
	"bytes"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tenet/internal/knowledge"
)

//nolint:gochecknoglobals // the layout of the tables, made once and never written
var (
	rules = newTable(table{
		kind: knowledge.KindRule, inUse: "active", title: "t.title",
		columns: `t.rule_id, t.category, t.title, t.description, t.severity, t.enforcement, t.examples, t.anti_patterns,
t.violations_consequence, t.priority, t.status, t.active` + commonColumns,
		scan: scanRule,
	})
	practices = newTable(table{
		kind: knowledge.KindPractice, inUse: "is_active", title: "t.title",
		columns: `t.practice_id, t.category, t.title, t.description, t.benefits, t.implementation_guide, t.anti_patterns, t."references",
t.examples, t.effectiveness_score::float8, t.adoption_rate::float8, t.is_required, t.is_active` + commonColumns,
		scan: scanPractice,
	})
	templates = newTable(table{
		kind: knowledge.KindTemplate, inUse: "is_active", title: "t.name",
		columns: `t.template_id, t.name, t.description, t.category, t.template_content, t.variables, t.is_active` + commonColumns,
		scan:    scanTemplate,
	})
	categories = newTable(table{
		kind: knowledge.KindCategory, inUse: "is_active", title: "t.name",
		columns: `t.category_id, t.name, t.description, t.is_active`,
		scan:    scanCategory,
	})
	violations = newTable(table{
		kind: knowledge.KindViolation, inUse: "is_active", title: `left(t.message, 255) COLLATE "C"`,
		columns: `t.violation_id::text, t.rule_id, t.source, t.repository, t.path, t.line, t.message, t.severity, t.status, t.waiver_reason,
t.waiver_expiry, t.reported_by, t.reported_at, t.resolved_at, t.resolved_by, t.is_active`,
		scan: scanViolation,
	})
	principals = newTable(table{
		kind: knowledge.KindPrincipal, inUse: "disabled", title: "t.name",
		columns: `t.principal_id, t.name, t.role, t.token_hash, t.token_prefix, t.expiry, t.disabled`,
		scan:    scanPrincipal,
	})
)

func scanRule(r pgx.Rows) (knowledge.Document, error) {
	d := &knowledge.Rule{}
	var examples, antiPatterns pgtype.DriverBytes
	var c common
	var s stamp
	into := append([]any{
		&d.RuleID, &d.Category, &d.Title, &d.Description, &d.Severity, &d.Enforcement, &examples, &antiPatterns,
		&d.ViolationsConsequence, &d.Priority, &d.Status, &d.IsActive,
	}, c.into()...)
	if err := r.Scan(append(into, s.into(&d.Stamp)...)...); err != nil {
		return nil, err
	}
	s.done(&d.Stamp)
	if err := decodeAll(jsonColumn{examples, &d.Examples}, jsonColumn{antiPatterns, &d.AntiPatterns}); err != nil {
		return nil, err
	}
	return d, c.done(&d.Common)
}

func scanPractice(r pgx.Rows) (knowledge.Document, error) {
	d := &knowledge.Practice{}
	var benefits, antiPatterns, references, examples pgtype.DriverBytes
	var c common
	var s stamp
	into := append([]any{
		&d.PracticeID, &d.Category, &d.Title, &d.Description, &benefits, &d.ImplementationGuide, &antiPatterns, &references,
		&examples, &d.EffectivenessScore, &d.AdoptionRate, &d.IsRequired, &d.IsActive,
	}, c.into()...)
	if err := r.Scan(append(into, s.into(&d.Stamp)...)...); err != nil {
		return nil, err
	}
	s.done(&d.Stamp)
	err := decodeAll(jsonColumn{benefits, &d.Benefits}, jsonColumn{antiPatterns, &d.AntiPatterns},
		jsonColumn{references, &d.References}, jsonColumn{examples, &d.Examples})
	if err != nil {
		return nil, err
	}
	return d, c.done(&d.Common)
}

func scanTemplate(r pgx.Rows) (knowledge.Document, error) {
	d := &knowledge.Template{}
	var variables pgtype.DriverBytes
	var c common
	var s stamp
	into := append([]any{&d.TemplateID, &d.Name, &d.Description, &d.Category, &d.TemplateContent, &variables, &d.IsActive}, c.into()...)
	if err := r.Scan(append(into, s.into(&d.Stamp)...)...); err != nil {
		return nil, err
	}
	s.done(&d.Stamp)
	if len(variables) > 2 {
		dec := json.NewDecoder(bytes.NewReader(variables))
		dec.UseNumber() // a default keeps the number that was written
		if err := dec.Decode(&d.Variables); err != nil {
			return nil, &scanError{err}
		}
	}
	return d, c.done(&d.Common)
}

func scanCategory(r pgx.Rows) (knowledge.Document, error) {
	d := &knowledge.Category{}
	var s stamp
	if err := r.Scan(append([]any{&d.ID, &d.Name, &d.Description, &d.IsActive}, s.into(&d.Stamp)...)...); err != nil {
		return nil, err
	}
	s.done(&d.Stamp)
	return d, nil
}

func scanViolation(r pgx.Rows) (knowledge.Document, error) {
	d := &knowledge.Violation{}
	var expiry, reported, resolved pgtype.Timestamptz
	var s stamp
	into := []any{
		&d.ViolationID, &d.RuleID, &d.Source, &d.Repository, &d.Path, &d.Line, &d.Message, &d.Severity, &d.Status, &d.WaiverReason,
		&expiry, &d.ReportedBy, &reported, &resolved, &d.ResolvedBy, &d.IsActive,
	}
	if err := r.Scan(append(into, s.into(&d.Stamp)...)...); err != nil {
		return nil, err
	}
	s.done(&d.Stamp)
	d.WaiverExpiry, d.ReportedAt, d.ResolvedAt = timeOf(expiry), timeOf(reported), timeOf(resolved)
	return d, nil
}

func scanPrincipal(r pgx.Rows) (knowledge.Document, error) {
	d := &knowledge.Principal{}
	var expiry pgtype.Timestamptz
	var s stamp
	into := []any{&d.PrincipalID, &d.Name, &d.Role, &d.TokenHash, &d.TokenPrefix, &expiry, &d.Disabled}
	if err := r.Scan(append(into, s.into(&d.Stamp)...)...); err != nil {
		return nil, err
	}
	s.done(&d.Stamp)
	d.Expiry = timeOf(expiry)
	return d, nil
}
