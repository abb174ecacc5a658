package bundle

import (
	"bytes"
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Checked returns the rules with checks that a work tree takes, as strict as its packs make them, and the exemptions of
// its repository. The rules have only what a check needs: a server keeps those of many lists of packs.
func Checked(ctx context.Context, s store.Past, want Want) ([]*knowledge.Rule, []knowledge.Exemption, error) {
	b := &Bundle{Want: want}
	packs, label, err := b.subscribe(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	exempt, err := b.Exemptions()
	if err != nil {
		return nil, nil, err
	}
	v, err := stand(ctx, s, label)
	if err != nil {
		return nil, nil, err
	}
	chosen, err := v.compose(ctx, packs)
	if err != nil {
		return nil, nil, err
	}
	var rules []*knowledge.Rule
	err = v.each(ctx, func(r *knowledge.Record) error {
		if r.Key.Kind != knowledge.KindRule || !r.Active || !bytes.Contains(r.JSON, []byte(`"checks"`)) {
			return nil // most have none, and are not decoded
		}
		d, err := r.Document()
		if err != nil {
			return err
		}
		rule, ok := d.(*knowledge.Rule)
		if !ok || chosen != nil && chosen.Holding(d) == nil {
			return nil
		}
		slim := &knowledge.Rule{
			RuleID: rule.RuleID, Title: rule.Title, Severity: rule.Severity, Enforcement: rule.Enforcement,
			Status: rule.Status, IsActive: rule.IsActive, Checks: rule.Checks,
			Common: knowledge.Common{Scope: rule.Scope}, Stamp: knowledge.Stamp{Version: rule.Version},
		}
		if chosen != nil {
			slim.Severity, slim.Enforcement = chosen.Raised(r.Key, rule.Severity, rule.Enforcement)
		}
		rules = append(rules, slim)
		return nil
	})
	return rules, exempt, err
}
