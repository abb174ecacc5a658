package knowledge

import "strings"

// Severities, the most severe first.
const (
	SeverityCritical = "CRITICAL"
	SeverityError    = "ERROR"
	SeverityWarning  = "WARNING"
	SeverityInfo     = "INFO"
)

// Severities returns every severity, the most severe first. Its index is its tier in house order.
func Severities() []string {
	return []string{SeverityCritical, SeverityError, SeverityWarning, SeverityInfo}
}

// Enforcements returns the enforcements of a rule, the strictest first.
func Enforcements() []string { return []string{"mandatory", "recommended", "optional"} }

// Rule statuses.
const (
	StatusDraft      = "DRAFT"
	StatusActive     = "ACTIVE"
	StatusDeprecated = "DEPRECATED"
)

// RuleStatuses returns the statuses of a rule in the order of its life.
func RuleStatuses() []string { return []string{StatusDraft, StatusActive, StatusDeprecated} }

// MaxPriority is the largest absolute value of a rule's priority.
const MaxPriority = 1_000_000

// Bounds of texts, in characters.
const (
	MaxTitle = 255
	MaxText  = 512 << 10
	MaxItems = 500 // entries of one list field
)

// A Rule says what must or should be done in a team's work, and why.
type Rule struct {
	RuleID                string    `json:"rule_id" doc:"The rule's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"SEC-001"`
	Category              string    `json:"category" doc:"The id of the rule's category" example:"security"`
	Title                 string    `json:"title" doc:"One line that says the rule" maxLength:"255"`
	Description           string    `json:"description" doc:"What the rule asks for, in Markdown"`
	Severity              string    `json:"severity" doc:"How grave a violation is" enum:"CRITICAL,ERROR,WARNING,INFO" default:"WARNING"`
	Enforcement           string    `json:"enforcement" doc:"How strictly the rule holds" enum:"mandatory,recommended,optional" default:"recommended"`
	Examples              []Example `json:"examples" doc:"What following the rule looks like"`
	AntiPatterns          []Example `json:"anti_patterns" doc:"What breaking the rule looks like"`
	ViolationsConsequence string    `json:"violations_consequence" doc:"What happens when the rule is broken"`
	Checks                []Check   `json:"checks,omitempty" doc:"How programs find breaches" maxItems:"50"`
	Priority              int64     `json:"priority" doc:"Greater comes first among rules of one severity" minimum:"-1000000" maximum:"1000000"`
	Status                string    `json:"status" doc:"Where the rule stands in its life" enum:"DRAFT,ACTIVE,DEPRECATED" default:"ACTIVE"`
	IsActive              bool      `json:"active" doc:"False once the rule is retired" default:"true"`
	Common
	Stamp
}

// An Example shows code or text, with a short explanation.
type Example struct {
	Title    string `json:"title,omitempty" doc:"One line about the example"`
	Language string `json:"language,omitempty" doc:"The language of the code, as on a Markdown fence" example:"go"`
	Code     string `json:"code,omitempty" doc:"The code or text itself"`
	Note     string `json:"note,omitempty" doc:"Why it is good or bad"`
}

// Common has the fields that rules, practices and templates share.
type Common struct {
	Tags  []string       `json:"tags" doc:"Free words to find the document by"`
	Scope Scope          `json:"scope" doc:"Where the document holds"`
	Extra map[string]any `json:"extra" doc:"Keys of an imported file that tenet has no field for"`
}

// A Scope says for which files and tools a document holds.
type Scope struct {
	Activation string   `json:"activation" doc:"When assistants get it" enum:"always,glob,model,manual" default:"model"`
	Globs      []string `json:"globs" doc:"Path patterns it holds for, as in **/*.go"`
	Languages  []string `json:"languages" doc:"Programming languages it holds for, in lower case"`
	Targets    []string `json:"targets" doc:"Assistants or tools it is meant for; all when empty"`
}

// Activations returns the ways in which a document is activated.
func Activations() []string { return []string{"always", "glob", "model", "manual"} }

// Key implements [Document].
func (r *Rule) Key() Key { return Key{KindRule, r.RuleID} }

// CategoryID implements [Document].
func (r *Rule) CategoryID() string { return r.Category }

// Active implements [Document].
func (r *Rule) Active() bool { return r.IsActive }

// SetActive implements [Document].
func (r *Rule) SetActive(active bool) { r.IsActive = active }

// Rank implements [Document]: by severity, then by priority.
func (r *Rule) Rank() int64 { return Rank(severityTier(r.Severity), r.Priority) }

// Text implements [Document].
func (r *Rule) Text() Text {
	lead := r.Description
	if when := r.described(); !strings.Contains(lead, when) {
		lead = joinText(when, lead)
	}
	return Text{
		Title: r.Title,
		Tags:  append([]string{r.RuleID, r.Category}, r.Tags...),
		Lead:  lead,
		Body:  joinText(exampleText(r.Examples), exampleText(r.AntiPatterns), r.ViolationsConsequence),
	}
}

// Normalize implements [Document].
func (r *Rule) Normalize() {
	r.Severity = orDefault(r.Severity, SeverityWarning)
	r.Enforcement = orDefault(r.Enforcement, "recommended")
	r.Status = orDefault(r.Status, StatusActive)
	r.Examples = orEmpty(r.Examples)
	r.AntiPatterns = orEmpty(r.AntiPatterns)
	r.normalize()
}

// Validate implements [Document].
func (r *Rule) Validate() error {
	var f faults
	f.id("/rule_id", r.RuleID)
	f.category("/category", r.Category)
	f.line("/title", r.Title)
	f.needed("/description", r.Description)
	f.oneOf("/severity", r.Severity, Severities())
	f.oneOf("/enforcement", r.Enforcement, Enforcements())
	f.examples("/examples", r.Examples)
	f.examples("/anti_patterns", r.AntiPatterns)
	f.text("/violations_consequence", r.ViolationsConsequence)
	f.between("/priority", float64(r.Priority), -MaxPriority, MaxPriority)
	f.oneOf("/status", r.Status, RuleStatuses())
	f.checks(r.Checks)
	f.common(&r.Common)
	return f.document(r)
}

func (*Rule) document() {}

func (c *Common) commonFields() *Common { return c }

func (c *Common) normalize() {
	c.Tags = orEmpty(c.Tags)
	c.Scope.Activation = orDefault(c.Scope.Activation, "model")
	c.Scope.Globs = orEmpty(c.Scope.Globs)
	c.Scope.Languages = orEmpty(c.Scope.Languages)
	c.Scope.Targets = orEmpty(c.Scope.Targets)
	if c.Extra == nil {
		c.Extra = map[string]any{}
	}
	tidyExtra(c.Extra)
}

func severityTier(s string) int {
	for i, v := range Severities() {
		if v == s {
			return i
		}
	}
	return len(Severities()) - 1
}

// KindRule is the kind of [*Rule].
const KindRule Kind = "rule"

func describeRule() *Description {
	return &Description{
		Kind: KindRule, Plural: "rules", About: "What must or should be done, and why",
		New:    func() Document { return &Rule{IsActive: true} },
		Parent: KindCategory, ParentField: "category", ActiveField: "active", TitleField: "title",
		TierField: "severity", TextField: "description", Searched: true,
		Filters: append(commonFilters(),
			Filter{
				Name: "severity", Field: "severity", Values: Severities(), Doc: "How grave a violation is",
				Example: SeverityCritical,
			},
			Filter{
				Name: "status", Field: "status", Values: RuleStatuses(), Doc: "Where they stand in their life",
				Example: StatusActive,
				Indexed: []Order{OrderHouse},
			},
			Filter{
				Name: "enforcement", Field: "enforcement", Values: Enforcements(), Doc: "How strictly they hold",
				Example: "mandatory",
				Indexed: []Order{OrderHouse},
			}),
		Needed: []string{"rule_id", "category", "title", "description"},
		Columns: []Column{
			column("ID", func(r *Rule) string { return r.RuleID }),
			column("SEVERITY", func(r *Rule) string { return r.Severity }),
			column("ENFORCEMENT", func(r *Rule) string { return r.Enforcement }),
			column("CATEGORY", func(r *Rule) string { return r.Category }),
			column("TITLE", func(r *Rule) string {
				if r.Status == StatusActive {
					return r.Title
				}
				return r.Title + " (" + strings.ToLower(r.Status) + ")"
			}),
		},
		Example: exampleRule,
		Patches: []Sample{
			{"title", "Another title", map[string]any{"title": "Never build SQL from text"}},
			{"reset", "A field back to its default", map[string]any{"priority": nil, "tags": []string{"sql"}}},
		},
		Changed: [3]string{"title", "Parameterized queries", "Use parameterized queries"},
	}
}

func exampleRule() Document {
	return &Rule{
		RuleID: "SEC-001", Category: "security", Title: "Use parameterized queries",
		Description: "Pass values to SQL as parameters. Never put them together with the text of the statement.",
		Severity:    SeverityCritical, Enforcement: "mandatory", Priority: 90,
		Examples: []Example{{
			Language: "go", Code: `db.Query("select * from users where id = $1", id)`,
			Note: "The driver sends the value apart.",
		}},
		AntiPatterns: []Example{{
			Language: "go", Code: `db.Query("select * from users where id = " + id)`,
			Note: "The caller who chooses the id writes SQL.",
		}},
		ViolationsConsequence: "The change is not merged.", IsActive: true,
		Checks: []Check{{
			ID: "glued", Kind: CheckForbid, Pattern: `Query\("[^"]*"\s*\+`, Globs: []string{"**/*.go"},
			Message: "A statement is put together from text.",
			Fix:     "Pass the value as a parameter.",
		}},
		Common: Common{
			Tags:  []string{"sql", "injection"},
			Scope: Scope{Activation: "glob", Globs: []string{"**/*.go"}, Languages: []string{"go"}},
		},
	}
}
