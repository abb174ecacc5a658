package knowledge

// Severities, from the gravest to the lightest.
const (
	SeverityCritical = "CRITICAL"
	SeverityError    = "ERROR"
	SeverityWarning  = "WARNING"
	SeverityInfo     = "INFO"
)

// Severities returns every severity, gravest first. A severity's index is its tier in house order.
func Severities() []string {
	return []string{SeverityCritical, SeverityError, SeverityWarning, SeverityInfo}
}

// Enforcements returns how strictly a rule can hold, strictest first.
func Enforcements() []string { return []string{"mandatory", "recommended", "optional"} }

// Rule statuses.
const (
	StatusDraft      = "DRAFT"
	StatusActive     = "ACTIVE"
	StatusDeprecated = "DEPRECATED"
)

// RuleStatuses returns the life of a rule in order.
func RuleStatuses() []string { return []string{StatusDraft, StatusActive, StatusDeprecated} }

// MaxPriority bounds a rule's priority on both sides.
const MaxPriority = 1_000_000

// Bounds of texts, in characters.
const (
	MaxTitle = 255
	MaxText  = 512 << 10
	MaxItems = 500 // entries of one list field
)

// A Rule is something that holds in a team's work: what must or should be done, and why.
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
	Priority              int64     `json:"priority" doc:"Greater comes first among rules of one severity" minimum:"-1000000" maximum:"1000000"`
	Status                string    `json:"status" doc:"Where the rule stands in its life" enum:"DRAFT,ACTIVE,DEPRECATED" default:"ACTIVE"`
	IsActive              bool      `json:"active" doc:"False once the rule is retired" default:"true"`
	Common
	Stamp
}

// An Example shows code or text, with a word about it.
type Example struct {
	Title    string `json:"title,omitempty" doc:"One line about the example"`
	Language string `json:"language,omitempty" doc:"The language of the code, as on a Markdown fence" example:"go"`
	Code     string `json:"code,omitempty" doc:"The code or text itself"`
	Note     string `json:"note,omitempty" doc:"Why it is good or bad"`
}

// Common is what rules, practices and templates share.
type Common struct {
	Tags  []string       `json:"tags" doc:"Free words to find the document by"`
	Scope Scope          `json:"scope" doc:"Where the document holds"`
	Extra map[string]any `json:"extra" doc:"Keys of an imported file that tenet has no field for"`
}

// A Scope says for which files and tools a document holds.
type Scope struct {
	Activation string   `json:"activation" doc:"When an assistant takes it up" enum:"always,glob,model,manual" default:"model"`
	Globs      []string `json:"globs" doc:"Path patterns it holds for, as in **/*.go"`
	Languages  []string `json:"languages" doc:"Programming languages it holds for, in lower case"`
	Targets    []string `json:"targets" doc:"Assistants or tools it is meant for; all when empty"`
}

// Activations returns the ways a document can be taken up.
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
	return Text{
		Title: r.Title,
		Tags:  append([]string{r.RuleID, r.Category}, r.Tags...),
		Lead:  r.Description,
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
	f.ref("/category", r.Category)
	f.line("/title", r.Title)
	f.needed("/description", r.Description)
	f.oneOf("/severity", r.Severity, Severities())
	f.oneOf("/enforcement", r.Enforcement, Enforcements())
	f.examples("/examples", r.Examples)
	f.examples("/anti_patterns", r.AntiPatterns)
	f.text("/violations_consequence", r.ViolationsConsequence)
	f.between("/priority", float64(r.Priority), -MaxPriority, MaxPriority)
	f.oneOf("/status", r.Status, RuleStatuses())
	f.common(&r.Common)
	return f.document(r)
}

func (*Rule) document() {}

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
