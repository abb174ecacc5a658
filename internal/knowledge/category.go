package knowledge

// A Category groups rules, practices and templates. Its id is a slug that the three name.
type Category struct {
	ID          string `json:"category_id" doc:"The category's id, a slug" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"security"`
	Name        string `json:"name" doc:"The name to show" maxLength:"255"`
	Description string `json:"description" doc:"What belongs here"`
	IsActive    bool   `json:"is_active" doc:"False once the category is retired" default:"true"`
	Stamp
}

// Key implements [Document].
func (c *Category) Key() Key { return Key{KindCategory, c.ID} }

// CategoryID implements [Document]; a category has none.
func (c *Category) CategoryID() string { return "" }

// Active implements [Document].
func (c *Category) Active() bool { return c.IsActive }

// SetActive implements [Document].
func (c *Category) SetActive(active bool) { c.IsActive = active }

// Rank implements [Document]: it is constant, so that house order is by id.
func (c *Category) Rank() int64 { return Rank(3, 0) }

// Text implements [Document].
func (c *Category) Text() Text { return Text{Title: c.Name, Tags: []string{c.ID}, Lead: c.Description} }

// Normalize implements [Document].
func (c *Category) Normalize() { c.Name = orDefault(c.Name, c.ID) }

// Validate implements [Document].
func (c *Category) Validate() error {
	var f faults
	f.id("/category_id", c.ID)
	f.line("/name", c.Name)
	f.text("/description", c.Description)
	return f.document(c)
}

func (*Category) document() {}

// KindCategory is the kind of [*Category].
const KindCategory Kind = "category"

func describeCategory() *Description {
	return &Description{
		Kind: KindCategory, Plural: "categories", About: "What groups rules, practices and templates",
		New:         func() Document { return &Category{IsActive: true} },
		ActiveField: "is_active", TitleField: "name", TextField: "description", Searched: true,
		Needed: []string{"category_id"},
		Columns: []Column{
			column("ID", func(c *Category) string { return c.ID }),
			column("NAME", func(c *Category) string { return c.Name }),
			column("DESCRIPTION", func(c *Category) string { return c.Description }),
		},
		Example: func() Document {
			return &Category{ID: "security", Name: "Security", Description: "What keeps strangers out.", IsActive: true}
		},
		Patches: []Sample{{
			"description", "Another description", map[string]any{"description": "What to write down when it is over."},
		}},
		Changed: [3]string{"name", "Parameterized queries", "Use parameterized queries"},
	}
}
