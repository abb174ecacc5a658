package knowledge

import "math"

// A Practice is a way of working that a team has found good.
type Practice struct {
	PracticeID          string      `json:"practice_id" doc:"The practice's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$" example:"small-pull-requests"`
	Category            string      `json:"category" doc:"The id of the practice's category" example:"reviews"`
	Title               string      `json:"title" doc:"One line that says the practice" maxLength:"255"`
	Description         string      `json:"description" doc:"What the practice is, in Markdown"`
	Benefits            []string    `json:"benefits" doc:"What it is good for"`
	ImplementationGuide string      `json:"implementation_guide" doc:"How to take it up, in Markdown"`
	AntiPatterns        []Example   `json:"anti_patterns" doc:"How it goes wrong"`
	References          []Reference `json:"references" doc:"Where to read on"`
	Examples            []Example   `json:"examples" doc:"What it looks like"`
	EffectivenessScore  *float64    `json:"effectiveness_score" doc:"How well it works, 0 to 1, two decimals; null when nobody knows" minimum:"0" maximum:"1"`
	AdoptionRate        *float64    `json:"adoption_rate" doc:"How much of the team follows it, 0 to 1, two decimals; null when nobody knows" minimum:"0" maximum:"1"`
	IsRequired          bool        `json:"is_required" doc:"True when it is expected of everybody"`
	IsActive            bool        `json:"is_active" doc:"False once the practice is retired" default:"true"`
	Common
	Stamp
}

// A Reference points at something to read.
type Reference struct {
	Title string `json:"title,omitempty" doc:"What it is called"`
	URL   string `json:"url,omitempty" doc:"Where it is"`
}

// Key implements [Document].
func (p *Practice) Key() Key { return Key{KindPractice, p.PracticeID} }

// CategoryID implements [Document].
func (p *Practice) CategoryID() string { return p.Category }

// Active implements [Document].
func (p *Practice) Active() bool { return p.IsActive }

// SetActive implements [Document].
func (p *Practice) SetActive(active bool) { p.IsActive = active }

// Rank implements [Document]: required practices beside ERROR rules, the others beside WARNING rules, the most
// effective first.
func (p *Practice) Rank() int64 {
	tier := 2
	if p.IsRequired {
		tier = 1
	}
	var weight int64
	if p.EffectivenessScore != nil {
		weight = int64(math.Round(*p.EffectivenessScore * 100))
	}
	return Rank(tier, weight)
}

// Text implements [Document].
func (p *Practice) Text() Text {
	refs := make([]string, len(p.References))
	for i, r := range p.References {
		refs[i] = r.Title
	}
	return Text{
		Title: p.Title,
		Tags:  append([]string{p.PracticeID, p.Category}, p.Tags...),
		Lead:  p.Description,
		Body: joinText(p.ImplementationGuide, joinText(p.Benefits...), exampleText(p.Examples),
			exampleText(p.AntiPatterns),
			joinText(refs...)),
	}
}

// Normalize implements [Document].
func (p *Practice) Normalize() {
	p.Benefits = orEmpty(p.Benefits)
	p.AntiPatterns = orEmpty(p.AntiPatterns)
	p.References = orEmpty(p.References)
	p.Examples = orEmpty(p.Examples)
	p.EffectivenessScore = hundredths(p.EffectivenessScore)
	p.AdoptionRate = hundredths(p.AdoptionRate)
	p.normalize()
}

// hundredths rounds to the two decimals that numeric(3,2) keeps, so that both engines store the same number.
func hundredths(v *float64) *float64 {
	if v == nil {
		return nil
	}
	r := math.Round(*v*100)/100 + 0 // no -0, which numeric does not have
	return &r
}

// Validate implements [Document].
func (p *Practice) Validate() error {
	var f faults
	f.id("/practice_id", p.PracticeID)
	f.category("/category", p.Category)
	f.line("/title", p.Title)
	f.needed("/description", p.Description)
	f.texts("/benefits", p.Benefits)
	f.text("/implementation_guide", p.ImplementationGuide)
	f.examples("/anti_patterns", p.AntiPatterns)
	f.count("/references", len(p.References))
	for i, r := range p.References {
		f.text(at("/references", i)+"/title", r.Title)
		f.text(at("/references", i)+"/url", r.URL)
	}
	f.examples("/examples", p.Examples)
	if p.EffectivenessScore != nil {
		f.between("/effectiveness_score", *p.EffectivenessScore, 0, 1)
	}
	if p.AdoptionRate != nil {
		f.between("/adoption_rate", *p.AdoptionRate, 0, 1)
	}
	f.common(&p.Common)
	return f.document(p)
}

func (*Practice) document() {}

// KindPractice is the kind of [*Practice].
const KindPractice Kind = "practice"

func describePractice() *Description {
	return &Description{
		Kind: KindPractice, Plural: "practices", About: "Ways of working that a team has found good",
		New:    func() Document { return &Practice{IsActive: true} },
		Parent: KindCategory, ParentField: "category", ActiveField: "is_active", TitleField: "title",
		TextField: "implementation_guide",
		Searched:  true, Filters: commonFilters(),
		Needed: []string{"practice_id", "category", "title", "description"},
		Columns: []Column{
			column("ID", func(p *Practice) string { return p.PracticeID }),
			column("REQUIRED", func(p *Practice) string { return yesNo(p.IsRequired) }),
			column("CATEGORY", func(p *Practice) string { return p.Category }),
			column("TITLE", func(p *Practice) string { return p.Title }),
		},
		Example: examplePractice,
		Patches: []Sample{{"required", "Expected of everybody from now on", map[string]any{
			"is_required":   true,
			"adoption_rate": 0.4,
		}}},
		Changed: [3]string{"title", "Parameterized queries", "Use parameterized queries"},
	}
}

func examplePractice() Document {
	score := 0.85
	return &Practice{
		PracticeID: "small-pull-requests", Category: "security", Title: "Keep pull requests small",
		Description:         "A change of 200 lines gets read; one of 2,000 gets approved.",
		Benefits:            []string{"Faults are found while they are cheap.", "Reviews take minutes."},
		ImplementationGuide: "Split by layer or by behaviour; merge behind a flag what is not ready to be seen.",
		EffectivenessScore:  &score, IsActive: true,
		References: []Reference{{Title: "The art of the small change", URL: "https://example.org/small-changes"}},
		Common:     Common{Tags: []string{"review"}},
	}
}
