package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Policy says which writes must be reviewed, and by how many, and what is confidential. The zero value asks for one
// approval of each proposal, forbids approving one's own, allows direct writes to those with the right, turns agents'
// writes into proposals, and hides nothing.
type Policy struct {
	// Rules select documents that only proposals may change. If several cover a document, the highest number of
	// approvals counts.
	Rules []PolicyRule
	// OwnApproval lets people approve their own proposals: for people who work alone.
	OwnApproval bool
	// Confidential lists the categories that not everybody reads.
	Confidential Classification
	// RefuseAgents refuses agents' writes instead of turning them into proposals.
	RefuseAgents bool
}

// PolicyOptions are the settings of a [Policy].
type PolicyOptions struct {
	// Review holds a rule of the policy in each text.
	Review []string `name:"review" doc:"What only proposals may write, as in kind=rule,approvals=2; repeatable"`
	// Confidential holds a category that not everybody reads in each text.
	Confidential []string `name:"confidential" doc:"A category that few read, as in category=payroll,role=maintainer,taker=bot; repeatable"`
	// OwnApproval lets people approve their own proposals.
	OwnApproval bool `name:"review-own" doc:"Let people approve of what they have proposed themselves"`
	// RefuseAgents refuses agents' writes.
	RefuseAgents bool `name:"agent-writes" words:"propose,refuse" default:"propose" doc:"What agents' writes become: proposals, or 403"`
}

// Policy returns the policy, or what is wrong with one of its rules.
func (o *PolicyOptions) Policy() (Policy, error) {
	p := Policy{OwnApproval: o.OwnApproval, RefuseAgents: o.RefuseAgents}
	for _, text := range o.Review {
		r, err := ParsePolicyRule(text)
		if err != nil {
			return p, fmt.Errorf("review %w", err)
		}
		p.Rules = append(p.Rules, r)
	}
	for _, text := range o.Confidential {
		r, err := ParseConfidential(text)
		if err != nil {
			return p, fmt.Errorf("confidential %w", err)
		}
		p.Confidential = append(p.Confidential, r)
	}
	return p, nil
}

// A PolicyRule covers documents. An empty field covers all values.
type PolicyRule struct {
	Kind        knowledge.Kind
	Category    string
	Enforcement string
	ID          string
	Approvals   int // at least 1
}

// ParsePolicyRule parses a rule such as "kind=rule,enforcement=mandatory,approvals=2".
func ParsePolicyRule(text string) (PolicyRule, error) {
	r := PolicyRule{Approvals: 1}
	err := pairs(text, "kind=rule,enforcement=mandatory,approvals=2", func(part, name, value string) (err error) {
		switch name {
		case "kind":
			if r.Kind, err = knowledge.ParseKind(value); err == nil && !reviewed(r.Kind) {
				err = fmt.Errorf("%q: a %s is not reviewed", part, r.Kind)
			}
		case "category":
			r.Category = value
		case "enforcement":
			if !slices.Contains(knowledge.Enforcements(), value) {
				return fmt.Errorf("%q: want one of %s", part, strings.Join(knowledge.Enforcements(), ", "))
			}
			r.Enforcement = value
		case "id":
			r.ID = value
		case "approvals":
			if r.Approvals, err = strconv.Atoi(value); err != nil || r.Approvals < 1 || r.Approvals > 100 {
				err = fmt.Errorf("%q: want a number from 1 to 100", part)
			}
		default:
			err = fmt.Errorf("%q: want kind, category, enforcement, id or approvals", name)
		}
		return err
	})
	return r, err
}

// pairs calls fn with the name and the value of each part of a rule such as "kind=rule,approvals=2".
func pairs(text, as string, fn func(part, name, value string) error) error {
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || value == "" {
			return fmt.Errorf("%q: want name=value, as in %s", part, as)
		}
		if err := fn(part, name, value); err != nil {
			return err
		}
	}
	return nil
}

// Missing names what the policy's rules name and a store does not have, as a mistyped category: such a rule does
// nothing, and nobody would notice.
func (p *Policy) Missing(ctx context.Context, s store.Reader) ([]string, error) {
	var list []string
	look := func(rule string, kind knowledge.Kind, ids ...string) error {
		for _, id := range ids {
			key := knowledge.Key{Kind: kind, ID: id}
			_, err := s.Get(ctx, key)
			if errors.Is(err, store.ErrNotFound) {
				list = append(list, rule+" names "+key.String()+", which is not there")
			} else if err != nil {
				return err
			}
		}
		return nil
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Category != "" {
			if err := look("review "+r.String(), knowledge.KindCategory, r.Category); err != nil {
				return nil, err
			}
		}
	}
	for i := range p.Confidential {
		r := &p.Confidential[i]
		rule := "confidential category=" + r.Category
		if err := look(rule, knowledge.KindCategory, r.Category); err != nil {
			return nil, err
		}
		if err := look(rule, knowledge.KindPrincipal, append(slices.Clone(r.Readers), r.Takers...)...); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// reviewed reports whether a policy can cover a kind: not principals, and not reports and proposals, whose ids are
// generated.
func reviewed(kind knowledge.Kind) bool {
	d := knowledge.Describe(kind)
	return d != nil && !d.Hidden && !d.UUID
}

// covers reports whether the rule covers a document.
func (r *PolicyRule) covers(d knowledge.Document) bool {
	key := d.Key()
	if !reviewed(key.Kind) || r.Kind != "" && r.Kind != key.Kind ||
		r.ID != "" && r.ID != key.ID || r.Category != "" && r.Category != d.CategoryID() {
		return false
	}
	_, enforcement := knowledge.Strictness(d)
	return r.Enforcement == "" || r.Enforcement == enforcement
}

// Approvals returns how many approvals a write of a document needs, given its states before and after; 0 for none.
func (p *Policy) Approvals(before, after knowledge.Document) int {
	n := 0
	for i := range p.Rules {
		for _, d := range []knowledge.Document{before, after} {
			if d != nil && p.Rules[i].covers(d) {
				n = max(n, p.Rules[i].Approvals)
			}
		}
	}
	return n
}

// String returns the rule in the form that [ParsePolicyRule] parses.
func (r *PolicyRule) String() string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"kind", string(r.Kind)},
		{"category", r.Category},
		{"enforcement", r.Enforcement},
		{"id", r.ID},
		{"approvals", strconv.Itoa(r.Approvals)},
	} {
		if p.value != "" {
			parts = append(parts, p.name+"="+p.value)
		}
	}
	return strings.Join(parts, ",")
}
