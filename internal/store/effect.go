package store

import (
	"context"

	"tenet/internal/knowledge"
)

// An EffectTally counts how a document was used.
type EffectTally struct {
	Served   int64 `json:"served" doc:"Answers of guidance that held it" minimum:"0"`
	Followed int64 `json:"followed" doc:"Runs of a check that looked for it and found nothing" minimum:"0"`
	Violated int64 `json:"violated" doc:"Runs of a check, and edits, that broke it" minimum:"0"`
	Exempted int64 `json:"exempted" doc:"Runs of a check that broke it where it need not hold" minimum:"0"`
}

// Add adds another tally.
func (t *EffectTally) Add(o EffectTally) {
	t.Served, t.Followed, t.Violated, t.Exempted = t.Served+o.Served, t.Followed+o.Followed, t.Violated+o.Violated,
		t.Exempted+o.Exempted
}

// An EffectDay counts how a document was used on one day, in UTC.
type EffectDay struct {
	Key string // kind and id
	Day string // as in 2026-01-31
	EffectTally
}

// Verdicts on a document.
const (
	EffectDead     = "dead"     // checks look for it, and nobody ever breaks it
	EffectNoisy    = "noisy"    // it is broken, or exempted from, more often than it is followed
	EffectUnserved = "unserved" // guidance never served it
)

// An Effect is the measured effect of a document, computed by a nightly job.
type Effect struct {
	Key  string `json:"key" doc:"Kind and id" example:"rule/GO-001"`
	Days int    `json:"days" doc:"The days that were counted, today not among them"`
	EffectTally
	AdoptionRate        *float64       `json:"adoption_rate" doc:"Share of the repositories that take it; null where there are too few of them" minimum:"0" maximum:"1"`
	AdoptionSample      int            `json:"adoption_sample" doc:"How many repositories there are"`
	EffectivenessScore  *float64       `json:"effectiveness_score" doc:"By how much the share of runs that break it has fallen, from the first 14 days of its count to the last; null where either were too few" minimum:"0" maximum:"1"`
	EffectivenessSample int64          `json:"effectiveness_sample" doc:"The runs of the smaller of the two parts"`
	Verdict             string         `json:"verdict,omitempty" doc:"What is worth a look; left out for nothing" enum:"dead,noisy,unserved"`
	Why                 string         `json:"why,omitempty" doc:"What the verdict comes from"`
	At                  knowledge.Time `json:"at" doc:"When this was worked out"`
}

// An EffectQuery selects effects, ordered by key.
type EffectQuery struct {
	Key     string // only this one; "" for all
	Verdict string // only these; "" for all
	After   string // only keys after this one
	Limit   int
}

// An EffectBook keeps counts of how documents are used. Counts have no versions.
type EffectBook interface {
	// AddEffects adds to the counts.
	AddEffects(ctx context.Context, list ...EffectDay) error
	// EffectDays calls fn with every count since a day, ordered by key and day.
	EffectDays(ctx context.Context, from string, fn func(EffectDay) error) error
	// ForgetEffects removes the counts of the days before a day.
	ForgetEffects(ctx context.Context, before string) error
	// PutEffects replaces all computed effects.
	PutEffects(ctx context.Context, list ...Effect) error
	// Effects returns a page of computed effects; a page shorter than its limit is the last.
	Effects(ctx context.Context, q EffectQuery) ([]Effect, error)
}
