package knowledge

import "encoding/hex"

// SeedActor is the actor of the starter set.
const SeedActor = "seed"

// Roles, each with the rights of those before it.
const (
	RoleViewer      = "viewer"      // reads
	RoleContributor = "contributor" // writes drafts, reports violations
	RoleMaintainer  = "maintainer"  // publishes
	RoleAdmin       = "admin"       // manages principals, purges
)

// Roles returns every role, the weakest first.
func Roles() []string { return []string{RoleViewer, RoleContributor, RoleMaintainer, RoleAdmin} }

// A Principal is a person or a program that calls the API with a token. Only admins see principals.
type Principal struct {
	PrincipalID string `json:"principal_id" doc:"The principal's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"ci-payments"`
	Name        string `json:"name" doc:"The name to show" maxLength:"255"`
	Role        string `json:"role" doc:"What it may do" enum:"viewer,contributor,maintainer,admin" default:"viewer"`
	TokenHash   string `json:"token_hash" doc:"SHA-256 of its token, which is kept nowhere" pattern:"^[0-9a-f]{64}$"`
	TokenPrefix string `json:"token_prefix" doc:"The first characters of its token, to tell tokens apart"`
	Expiry      Time   `json:"expiry" doc:"When the token expires; null for never"`
	Agent       bool   `json:"agent" doc:"True for a program that decides: it only reads, reports and proposes"`
	Disabled    bool   `json:"disabled" doc:"True once its token no longer opens anything"`
	// Erasure is set only by the store, when it erases a person.
	Erasure *Erasure `json:"erasure,omitempty" doc:"Where the principal stands for an erased person: the ledger's entry; else left out" readOnly:"true"`
	Stamp
}

// Key implements [Document].
func (p *Principal) Key() Key { return Key{KindPrincipal, p.PrincipalID} }

// CategoryID implements [Document]; a principal has none.
func (p *Principal) CategoryID() string { return "" }

// Active implements [Document].
func (p *Principal) Active() bool { return !p.Disabled }

// SetActive implements [Document].
func (p *Principal) SetActive(active bool) { p.Disabled = !active }

// Rank implements [Document]: it is constant, so that house order is by id.
func (p *Principal) Rank() int64 { return Rank(3, 0) }

// Text implements [Document]; principals are not searched.
func (p *Principal) Text() Text { return Text{Title: p.Name} }

// Normalize implements [Document].
func (p *Principal) Normalize() {
	p.Name = orDefault(p.Name, p.PrincipalID)
	p.Role = orDefault(p.Role, RoleViewer)
	p.Expiry = At(p.Expiry.Time)
}

// Validate implements [Document].
func (p *Principal) Validate() error {
	var f faults
	f.id("/principal_id", p.PrincipalID)
	f.line("/name", p.Name)
	f.oneOf("/role", p.Role, Roles())
	if b, err := hex.DecodeString(p.TokenHash); err != nil || len(b) != 32 || hex.EncodeToString(b) != p.TokenHash {
		f.add("/token_hash", "want the SHA-256 of the token as 64 lower-case hex digits")
	}
	f.short("/token_prefix", p.TokenPrefix)
	f.time("/expiry", p.Expiry)
	if p.Erasure != nil {
		p.Erasure.validate(&f, "/erasure")
	}
	return f.document(p)
}

func (*Principal) document() {}

// KindPrincipal is the kind of [*Principal].
const KindPrincipal Kind = "principal"

func describePrincipal() *Description {
	return &Description{
		Kind: KindPrincipal, Plural: "principals", About: "Who may call tenet; for admins",
		New:         func() Document { return &Principal{} },
		ActiveField: "disabled", Negated: true, TitleField: "name", TextField: "description", Hidden: true,
		NoMarkdown: true, Stays: true,
		Needed: []string{"principal_id", "token_hash"}, Nullable: []string{"expiry"},
		Columns: []Column{
			column("ID", func(p *Principal) string { return p.PrincipalID }),
			column("ROLE", func(p *Principal) string {
				if p.Agent {
					return p.Role + " (agent)"
				}
				return p.Role
			}),
			column("TOKEN", func(p *Principal) string { return p.TokenPrefix + "…" }),
			column("EXPIRES", func(p *Principal) string { return hour(p.Expiry, "never") }),
			column("NAME", func(p *Principal) string { return p.Name }),
		},
		Off: "revoked",
		Example: func() Document {
			return &Principal{ //nolint:gosec // the hash of an example
				PrincipalID: "ci-payments", Name: "CI of the payments team", Role: RoleContributor,
				TokenHash:   "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
				TokenPrefix: "tenet_4fK2",
			}
		},
		Patches: []Sample{{"disable", "Its token opens nothing any more", map[string]any{"disabled": true}}},
		Changed: [3]string{"name", "Parameterized queries", "Use parameterized queries"},
	}
}
