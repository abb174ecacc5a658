package knowledge

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Violation statuses.
const (
	ViolationOpen     = "open"
	ViolationResolved = "resolved"
	ViolationWaived   = "waived"
)

// ViolationStatuses returns the statuses of a violation.
func ViolationStatuses() []string { return []string{ViolationOpen, ViolationResolved, ViolationWaived} }

// A Violation is one place where a rule is broken.
type Violation struct {
	ViolationID  string `json:"violation_id" doc:"The violation's id, a UUID (version 7 is advised)" format:"uuid"`
	RuleID       string `json:"rule_id" doc:"The rule that was broken" example:"SEC-001"`
	Source       string `json:"source" doc:"What found it: a linter, a review, an assistant" example:"golangci-lint"`
	Repository   string `json:"repository" doc:"Where: the repository" example:"payments-api"`
	Path         string `json:"path" doc:"Where: the file" example:"internal/auth/login.go"`
	Line         int64  `json:"line" doc:"Where: the line, from 1; 0 when it is about the whole file" minimum:"0"`
	Message      string `json:"message" doc:"What is wrong there"`
	Severity     string `json:"severity" doc:"How grave it is here" enum:"CRITICAL,ERROR,WARNING,INFO" default:"WARNING"`
	Status       string `json:"status" doc:"Where it stands" enum:"open,resolved,waived" default:"open"`
	WaiverReason string `json:"waiver_reason" doc:"Why it may stay; needed when waived"`
	WaiverExpiry Time   `json:"waiver_expiry" doc:"When the waiver ends; null for never"`
	ReportedBy   string `json:"reported_by" doc:"Who reported it; the writer when left out"`
	ReportedAt   Time   `json:"reported_at" doc:"When it was found; now when left out"`
	ResolvedAt   Time   `json:"resolved_at" doc:"When it was resolved; null while it is not"`
	ResolvedBy   string `json:"resolved_by" doc:"Who resolved it"`
	IsActive     bool   `json:"is_active" doc:"False once the report is retired" default:"true"`
	Stamp
}

// Key implements [Document].
func (v *Violation) Key() Key { return Key{KindViolation, v.ViolationID} }

// CategoryID implements [Document]; a violation has none.
func (v *Violation) CategoryID() string { return "" }

// Active implements [Document].
func (v *Violation) Active() bool { return v.IsActive }

// SetActive implements [Document].
func (v *Violation) SetActive(active bool) { v.IsActive = active }

// rankOfEpoch is the rank of a violation reported in 1970. It decreases by one each second, to 0 in 2514.
const rankOfEpoch = 1 << 34

// Rank implements [Document]: the newest first, by the second; times before 1970 or after 2514 count as those.
func (v *Violation) Rank() int64 { return rankOfEpoch - min(max(0, v.ReportedAt.Unix()), rankOfEpoch) }

// Text implements [Document]; violations are listed and not searched. The title, for lists by title, is the beginning
// of the message.
func (v *Violation) Text() Text { return Text{Title: firstRunes(v.Message, MaxTitle)} }

// Normalize implements [Document].
func (v *Violation) Normalize() {
	v.Severity = orDefault(v.Severity, SeverityWarning)
	v.Status = orDefault(v.Status, ViolationOpen)
	if id, err := uuid.Parse(v.ViolationID); err == nil {
		v.ViolationID = id.String()
	}
	v.WaiverExpiry, v.ReportedAt, v.ResolvedAt = At(v.WaiverExpiry.Time), At(v.ReportedAt.Time), At(v.ResolvedAt.Time)
}

// Validate implements [Document].
func (v *Violation) Validate() error {
	var f faults
	if _, err := uuid.Parse(v.ViolationID); err != nil || len(v.ViolationID) != 36 {
		f.add("/violation_id", "want a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")
	}
	f.ref("/rule_id", v.RuleID)
	f.short("/source", v.Source)
	f.short("/repository", v.Repository)
	f.text("/path", v.Path)
	f.between("/line", float64(v.Line), 0, 1<<31-1)
	f.needed("/message", v.Message)
	f.oneOf("/severity", v.Severity, Severities())
	f.oneOf("/status", v.Status, ViolationStatuses())
	f.text("/waiver_reason", v.WaiverReason)
	if v.Status == ViolationWaived && blank(v.WaiverReason) {
		f.add("/waiver_reason", "a waived violation says why: give a reason")
	}
	f.time("/waiver_expiry", v.WaiverExpiry)
	f.short("/reported_by", v.ReportedBy)
	f.time("/reported_at", v.ReportedAt)
	f.time("/resolved_at", v.ResolvedAt)
	f.short("/resolved_by", v.ResolvedBy)
	return f.document(v)
}

// named implements namer.
func (v *Violation) named() []*string { return []*string{&v.ReportedBy, &v.ResolvedBy} }

func (*Violation) document() {}

// stamped implements [stamper].
func (v *Violation) stamped(actor string, now Time) {
	v.ReportedBy = orDefault(v.ReportedBy, v.CreatedBy)
	if v.ReportedAt.IsZero() {
		v.ReportedAt = v.CreatedAt
	}
	if v.Status != ViolationResolved {
		v.ResolvedAt, v.ResolvedBy = Time{}, ""
	} else if v.ResolvedAt.IsZero() {
		v.ResolvedAt, v.ResolvedBy = now, orDefault(v.ResolvedBy, actor)
	}
}

// KindViolation is the kind of [*Violation].
const KindViolation Kind = "violation"

func describeViolation() *Description {
	orders := []Order{OrderHouse, OrderUpdated}
	return &Description{
		Kind: KindViolation, Plural: "violations", About: "Places where a rule was found broken",
		New:    func() Document { return &Violation{IsActive: true} },
		Parent: KindRule, ParentField: "rule_id", ActiveField: "is_active", TitleField: "message", LongTitle: true,
		TextField: "message",
		Filters: []Filter{
			{
				Name: "rule", Field: "rule_id", Doc: "The id of the rule that was broken", Example: "SEC-001",
				Indexed: orders,
			},
			{
				Name: "repository", Field: "repository", Doc: "Where it was broken", Example: "payments-api",
				Indexed: orders,
			},
			{
				Name: "status", Field: "status", Values: ViolationStatuses(), Doc: "Where they stand",
				Example: ViolationOpen,
				Indexed: orders,
			},
			{
				Name: "severity", Field: "severity", Values: Severities(), Doc: "How grave they are",
				Example: SeverityError,
			},
		},
		UUID: true, NoMarkdown: true,
		Needed: []string{"rule_id", "message"}, Nullable: []string{"waiver_expiry", "reported_at", "resolved_at"},
		Columns: []Column{
			column("ID", func(v *Violation) string { return v.ViolationID }),
			column("RULE", func(v *Violation) string { return v.RuleID }),
			column("SEVERITY", func(v *Violation) string { return v.Severity }),
			column("STATUS", func(v *Violation) string { return v.Status }),
			column("WHERE", func(v *Violation) string {
				place := v.Path
				if v.Line > 0 {
					place = fmt.Sprintf("%s:%d", place, v.Line)
				}
				return strings.Trim(v.Repository+" "+place, " ")
			}),
			column("MESSAGE", func(v *Violation) string { return v.Message }),
		},
		Example: func() Document {
			return &Violation{
				ViolationID: "01890a5d-ac96-774b-bcce-b302099a8057", RuleID: "SEC-001", Source: "golangci-lint",
				Repository: "payments-api", Path: "internal/auth/login.go", Line: 42,
				Message:  "SQL is put together from text.",
				Severity: SeverityError, IsActive: true,
			}
		},
		Patches: []Sample{
			{"resolve", "It is mended", map[string]any{"status": "resolved"}},
			{"waive", "It may stay", map[string]any{
				"status":        "waived",
				"waiver_reason": "The table holds nothing that is secret.",
			}},
		},
		Changed: [3]string{"message", "Parameterized queries", "Use parameterized queries"},
	}
}
