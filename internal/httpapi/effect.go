package httpapi

import (
	"net/http"
	"slices"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const effectPath = "/api/v1/effect"

type effectParams struct {
	Verdict string `query:"verdict" doc:"Only what is dead (looked for and never broken), noisy (broken or exempt more often than not) or unserved (nobody was given it)" enum:"dead,noisy,unserved" example:"noisy"`
	Key     string `query:"key" doc:"Only this document, by kind and id" maxLength:"160" example:"rule/GO-001"`
	After   string `query:"after" doc:"After this key: next of the page before" maxLength:"160" example:"rule/GO-001"`
	Limit   int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"1000" default:"100" example:"50"`
}

// An effectDoor answers about effects.
type effectDoor struct{ h *Handler }

func (d effectDoor) routes() []*route {
	return []*route{{
		method: http.MethodGet, path: effectPath, id: "list-effects", tag: "fleet",
		summary: "Ask what rules and practices do",
		description: "For each of them how often it was served, followed, broken and exempt in the last 180 days, " +
			"and what follows " +
			"from that: the share of the repositories that take it, and by how much the share of runs that break it " +
			"has fallen. A night's work (the job " +
			"effect.work) makes it of the counts; a score whose sample is too small is null.",
		handler: with(d.list), answers: []answer{jsonAnswer[api.EffectPage](http.StatusOK, "A page", exampleEffects())},
		refusals: []int{http.StatusForbidden},
	}}
}

func (d effectDoor) list(c *call, p *effectParams) error {
	if err := access.MayRead(c.request.Caller, knowledge.KindRule, knowledge.KindPractice); err != nil {
		return err
	}
	if d.h.o.Effects == nil {
		return api.Refuse(api.ErrNoPath, "this server counts no effects")
	}
	var err error
	if p.Limit, err = limitWithin(p.Limit, store.FleetLimit, store.MaxFleetLimit); err != nil {
		return err
	}
	if verdicts := []string{"", store.EffectDead, store.EffectNoisy, store.EffectUnserved}; !slices.Contains(verdicts,
		p.Verdict) {
		return knowledge.BadQuery("verdict", "%q: want dead, noisy or unserved", p.Verdict)
	}
	if p.Key != "" {
		key, err := knowledge.ParseKey(p.Key)
		if err != nil {
			return knowledge.BadQuery("key", "%s", err)
		}
		p.Key = key.String()
	}
	list, err := d.h.o.Effects.Page(c.limited(), store.EffectQuery{
		Key: p.Key, Verdict: p.Verdict, After: p.After,
		Limit: p.Limit + 1,
	})
	if err != nil {
		return err
	}
	list, more := onePage(list, p.Limit)
	a := api.EffectPage{Documents: list}
	if more {
		a.Next = list[len(list)-1].Key
	}
	return c.json(http.StatusOK, a)
}

func exampleEffects() api.EffectPage {
	adoption, score := 0.8, 0.66
	return api.EffectPage{Documents: []store.Effect{{
		Key: "rule/GO-001", Days: 60, EffectTally: store.EffectTally{Served: 4000, Followed: 900, Violated: 60},
		AdoptionRate: &adoption, AdoptionSample: 40,
		EffectivenessScore: &score, EffectivenessSample: 210, At: exampleTime(),
	}}}
}
