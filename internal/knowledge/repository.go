package knowledge

import (
	"strconv"
	"strings"
	"time"
)

// A Repository is a work tree that gets rules from packs.
type Repository struct {
	RepositoryID string      `json:"repository_id" doc:"The repository's id, a slug" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"acme.pay"`
	Name         string      `json:"name" doc:"The name to show" maxLength:"255"`
	URL          string      `json:"url" doc:"Where it is cloned from" example:"https://git.example.com/acme/pay"`
	Packs        []string    `json:"packs" doc:"The ids of the packs that it takes, what matters most first; everything when empty" maxItems:"500"`
	Targets      []string    `json:"targets" doc:"The assistants that work in it" maxItems:"500" example:"[\"claude\"]"`
	Label        string      `json:"label" doc:"The id of the label at which it takes documents; as they are now when empty" example:"production"`
	Owner        string      `json:"owner" doc:"Who answers for it" maxLength:"255"`
	Exemptions   []Exemption `json:"exemptions" doc:"Rules that need not hold in it for a while" maxItems:"500"`
	IsActive     bool        `json:"is_active" doc:"False once the repository is retired" default:"true"`
	Stamp
}

// An Exemption exempts a repository from a rule until a date.
type Exemption struct {
	Rule   string   `json:"rule" doc:"The id of the rule" example:"SEC-001"`
	Paths  []string `json:"paths" doc:"Path patterns for which it counts; everywhere when empty" maxItems:"500"`
	Reason string   `json:"reason" doc:"Why"`
	Until  Time     `json:"until" doc:"When it ends by itself"`
	By     string   `json:"by" doc:"Who granted it" maxLength:"255"`
}

// Ended reports whether the exemption has expired.
func (e *Exemption) Ended(now time.Time) bool { return !now.Before(e.Until.Time) }

// Key implements [Document].
func (r *Repository) Key() Key { return Key{KindRepository, r.RepositoryID} }

// CategoryID implements [Document]; a repository has none.
func (r *Repository) CategoryID() string { return "" }

// Active implements [Document].
func (r *Repository) Active() bool { return r.IsActive }

// SetActive implements [Document].
func (r *Repository) SetActive(active bool) { r.IsActive = active }

// Rank implements [Document]: it is constant, so that house order is by id.
func (r *Repository) Rank() int64 { return Rank(3, 0) }

// Text implements [Document]; repositories are not searched.
func (r *Repository) Text() Text { return Text{Title: r.Name} }

// Normalize implements [Document].
func (r *Repository) Normalize() {
	r.Name = orDefault(r.Name, r.RepositoryID)
	r.Packs, r.Targets, r.Exemptions = orEmpty(r.Packs), orEmpty(r.Targets), orEmpty(r.Exemptions)
	for i := range r.Exemptions {
		e := &r.Exemptions[i]
		e.Paths, e.Until = orEmpty(e.Paths), At(e.Until.Time)
	}
}

// Validate implements [Document].
func (r *Repository) Validate() error {
	var f faults
	f.id("/repository_id", r.RepositoryID)
	f.line("/name", r.Name)
	f.short("/url", r.URL)
	f.distinct("/packs", r.Packs, f.ref)
	f.distinct("/targets", r.Targets, f.line)
	if r.Label != "" {
		f.id("/label", r.Label)
	}
	f.short("/owner", r.Owner)
	f.count("/exemptions", len(r.Exemptions))
	for i := range r.Exemptions {
		p, e := at("/exemptions", i), &r.Exemptions[i]
		f.ref(p+"/rule", e.Rule)
		f.globs(p+"/paths", e.Paths)
		f.needed(p+"/reason", e.Reason)
		if e.Until.IsZero() {
			f.add(p+"/until", "missing: an exemption has an end; want a time such as 2027-01-31T00:00:00Z")
		}
		f.time(p+"/until", e.Until)
		f.short(p+"/by", e.By)
	}
	return f.document(r)
}

// named implements namer.
func (r *Repository) named() []*string {
	fields := []*string{&r.Owner}
	for i := range r.Exemptions {
		fields = append(fields, &r.Exemptions[i].By)
	}
	return fields
}

func (*Repository) document() {}

// KindRepository is the kind of [*Repository].
const KindRepository Kind = "repository"

func describeRepository() *Description {
	return &Description{
		Kind: KindRepository, Plural: "repositories", About: "Work trees that take guidance",
		New:         func() Document { return &Repository{IsActive: true} },
		ActiveField: "is_active", TitleField: "name", TextField: "url", NoMarkdown: true,
		Needed: []string{"repository_id"},
		Columns: []Column{
			column("ID", func(r *Repository) string { return r.RepositoryID }),
			column("PACKS", func(r *Repository) string { return strings.Join(r.Packs, " ") }),
			column("LABEL", func(r *Repository) string { return r.Label }),
			column("EXEMPTIONS", func(r *Repository) string { return strconv.Itoa(len(r.Exemptions)) }),
			column("NAME", func(r *Repository) string { return r.Name }),
		},
		Example: func() Document {
			return &Repository{
				RepositoryID: "acme.pay", Name: "Payments", URL: "https://git.example.com/acme/pay",
				Packs:   []string{"backend"},
				Targets: []string{"claude"}, Label: "production", Owner: "payments", IsActive: true,
				Exemptions: []Exemption{{
					Rule: "SEC-001", Paths: []string{"legacy/**"}, Reason: "It is replaced this quarter.",
					By:    "security",
					Until: At(time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)),
				}},
			}
		},
		Patches: []Sample{{"label", "It takes documents at another label", map[string]any{"label": "staging"}}},
		Changed: [3]string{"name", "Parameterized queries", "Use parameterized queries"},
	}
}
