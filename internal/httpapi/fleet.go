package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const fleetPath = "/api/v1/fleet"

func standingOf(s *store.Standing) api.Standing {
	return api.Standing{
		Repository: s.Repository, State: s.State, Since: s.Since, LastSeen: s.At, Via: s.Via, By: s.By,
		Branch: s.Branch, Commit: s.Commit,
		Program: s.Program, Seq: s.Seq, Files: s.Files, Findings: s.Findings, Hooks: s.Hooks, Exemptions: s.Exempt,
		Fault: s.Fault,
	}
}

// checkInRequest is the body of POST /fleet/{id}.
type checkInRequest struct {
	At       knowledge.Time               `json:"at,omitzero" doc:"When it was so; now when left out. An older one than is known changes nothing"`
	Via      string                       `json:"via" doc:"The command that tells" enum:"sync,check" example:"sync"`
	Branch   string                       `json:"branch,omitempty" doc:"The branch of the work tree" maxLength:"255" example:"main"`
	Commit   string                       `json:"commit,omitempty" doc:"The commit of the work tree" maxLength:"255"`
	Program  string                       `json:"program,omitempty" doc:"The version of the command" maxLength:"255" example:"1.4.0"`
	Seq      knowledge.Seq                `json:"seq" doc:"The change of the log up to which it has what it takes" minimum:"0" example:"4711"`
	Takes    string                       `json:"takes,omitempty" doc:"A digest of what it took" maxLength:"255"`
	Packs    []string                     `json:"packs,omitempty" doc:"Packs besides those of the repository" maxItems:"500"`
	Label    string                       `json:"label,omitempty" doc:"The label at which it takes documents, where that is not the repository's" maxLength:"255"`
	Files    *store.FleetFiles            `json:"files,omitempty" doc:"Its files that are not as sync would write them"`
	Findings *int                         `json:"findings,omitempty" doc:"What was found" minimum:"0" example:"0"`
	Hooks    *store.FleetHookTally        `json:"hooks,omitempty" doc:"Edits that hooks judged since the last time"`
	Rules    map[string]store.EffectTally `json:"rules,omitempty" doc:"What became of rules, by their ids: runs and edits that followed them, broke them, or broke them where that is exempt"`
}

type fleetParams struct {
	State string `query:"state" doc:"Only those in this state, as of the last look (every 15 minutes)" enum:"silent,edited,missing,behind,exempt,current" example:"behind"`
	After string `query:"after" doc:"Only ids after this: next of the page before" maxLength:"128" example:"acme.pay"`
	Limit int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"1000" default:"100" example:"50"`
}

// A fleetDoor answers about the fleet.
type fleetDoor struct{ h *Handler }

func (d fleetDoor) routes() []*route {
	sample := exampleStanding()
	return []*route{
		{
			method: http.MethodGet, path: fleetPath, id: "list-fleet", tag: "fleet",
			summary: "List how repositories stand",
			description: "Every repository with what it last told of itself: whether it has what it takes, " +
				"whether its files are as they were written, when it was last heard of. While PostgreSQL is down, a " +
				"copy answers.",
			handler: with(d.list), answers: []answer{jsonAnswer[api.FleetPage](http.StatusOK, "A page",
				exampleFleet())},
			refusals: []int{http.StatusForbidden},
		},
		{
			method: http.MethodGet, path: fleetPath + "/{id}", id: "get-fleet-news", tag: "fleet",
			summary:     "Ask what a repository has not taken yet",
			description: "How a repository stands, and which of the documents that it takes have changed since.",
			handler:     with(d.news), sample: sample.Repository,
			answers: []answer{jsonAnswer[api.FleetNews](http.StatusOK, "The repository",
				api.FleetNews{Standing: sample, Changed: []store.FleetMove{{
					Key: "rule/GO-001", Title: "Check errors", How: "changed", Version: 4, Seq: 4720, At: exampleTime(),
					By: "anna",
				}}})},
			refusals: []int{http.StatusForbidden, http.StatusNotFound},
		},
		{
			method: http.MethodPost, path: fleetPath + "/{id}", id: "check-in", tag: "fleet",
			summary: "Tell how a repository stands",
			description: "What tenet sync and tenet check tell after a run. It is a count of use and no version of " +
				"a document: who may read the repository may tell. While PostgreSQL is down, it waits on disk.",
			handler: with(d.checkIn), sample: sample.Repository,
			body: &payload{media: mediaJSON, body: typeOf[checkInRequest](), samples: exampleCheckIns()},
			answers: []answer{
				jsonAnswer[api.Standing](http.StatusOK, "How it stands", sample),
			},
			refusals: []int{
				http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge,
				http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity,
			},
		},
	}
}

// fleetFor returns the fleet if the caller may read it.
func (d fleetDoor) fleetFor(c *call) (Fleet, error) {
	if err := access.MayRead(c.request.Caller, knowledge.KindRepository); err != nil {
		return nil, err
	}
	if d.h.o.Fleet == nil {
		return nil, api.Refuse(api.ErrNoPath, "this server keeps no fleet")
	}
	return d.h.o.Fleet, nil
}

func (d fleetDoor) list(c *call, p *fleetParams) error {
	fleet, err := d.fleetFor(c)
	if err != nil {
		return err
	}
	if p.Limit, err = limitWithin(p.Limit, store.FleetLimit, store.MaxFleetLimit); err != nil {
		return err
	}
	state := store.FleetState(p.State)
	if state != "" && !slices.Contains(store.FleetStates(), state) {
		return knowledge.BadQuery("state", "%q: want one of silent, edited, missing, behind, exempt, current", p.State)
	}
	list, err := fleet.Page(c.limited(), store.FleetQuery{State: state, After: p.After, Limit: p.Limit + 1})
	if err != nil {
		return err
	}
	list, more := onePage(list, p.Limit)
	a := api.FleetPage{Repositories: make([]api.Standing, len(list)), Counts: []store.FleetCount{}}
	for i := range list {
		a.Repositories[i] = standingOf(&list[i])
	}
	if counts, at := fleet.Counts(); counts != nil {
		a.Counts, a.CountedAt = counts, at
	}
	if more {
		a.Next = list[len(list)-1].Repository
	}
	return c.json(http.StatusOK, a)
}

type repositoryPath struct {
	ID string `path:"id" doc:"The repository's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$"`
}

func (d fleetDoor) news(c *call, _ *repositoryPath) error {
	fleet, err := d.fleetFor(c)
	if err != nil {
		return err
	}
	n, err := fleet.News(c.limited(), d.h.o.Store, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, api.FleetNews{Standing: standingOf(&n.Standing), Changed: n.Moves, More: n.More})
}

func (d fleetDoor) checkIn(c *call, _ *repositoryPath) error {
	fleet, err := d.fleetFor(c)
	if err != nil {
		return err
	}
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	in, err := checkInOf(raw)
	if err != nil {
		return err
	}
	in.Repository = c.r.PathValue("id")
	s, err := fleet.CheckIn(c.limited(), d.h.o.Store, in)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, standingOf(s))
}

// checkInOf reads the body of a check-in.
func checkInOf(raw []byte) (store.CheckIn, error) {
	var in store.CheckIn
	var f faultList
	m := f.object("", raw, "at", "via", "branch", "commit", "program", "seq", "takes", "packs", "label", "files",
		"findings", "hooks", "rules")
	f.member("/at", m["at"], &in.At, "a time")
	if f.member("/seq", m["seq"], &in.Seq, "a whole number"); in.Seq < 0 {
		f.add("/seq", "%d: want 0 or more", in.Seq)
	}
	for name, into := range map[string]*string{
		"via": &in.Via, "branch": &in.Branch, "commit": &in.Commit, "program": &in.Program, "takes": &in.Takes,
		"label": &in.Label,
	} {
		f.member("/"+name, m[name], into, "text")
		if len(*into) > knowledge.MaxTitle || strings.ContainsFunc(*into, unicode.IsControl) ||
			!utf8.ValidString(*into) {
			f.add("/"+name, "want one line of at most %d bytes", knowledge.MaxTitle)
		}
	}
	const mostPacks = 500
	if f.member("/packs", m["packs"], &in.Packs, "a list of texts"); len(in.Packs) > mostPacks {
		f.add("/packs", "%d packs: at most %d", len(in.Packs), mostPacks)
	}
	for i, id := range in.Packs {
		if key := (knowledge.Key{Kind: knowledge.KindPack, ID: id}); !key.Sound() {
			f.add(fmt.Sprintf("/packs/%d", i), "%q: want the id of a pack", id)
		}
	}
	if in.Via != "sync" && in.Via != "check" {
		f.add("/via", "%q: want sync or check", in.Via)
	}
	in.Rules = f.outcomes("/rules", m["rules"])
	if isGiven(m["findings"]) {
		in.Findings = new(int)
		f.tally("", m, map[string]*int{"findings": in.Findings})
	}
	if isGiven(m["files"]) {
		in.Files = &store.FleetFiles{}
		o := f.object("/files", m["files"], "edited", "missing", "behind")
		f.tally("/files", o, map[string]*int{
			"edited": &in.Files.Edited, "missing": &in.Files.Missing,
			"behind": &in.Files.Behind,
		})
	}
	if isGiven(m["hooks"]) {
		in.Hooks = &store.FleetHookTally{}
		o := f.object("/hooks", m["hooks"], "edits", "denied", "last")
		f.member("/hooks/last", o["last"], &in.Hooks.Last, "a time")
		f.tally("/hooks", o, map[string]*int{"edits": &in.Hooks.Edits, "denied": &in.Hooks.Denied})
	}
	return in, f.err(false)
}

func isGiven(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// tally reads members that count something.
func (f *faultList) tally(pointer string, m map[string]json.RawMessage, into map[string]*int) {
	const most = 1 << 30
	for name, n := range into {
		if f.member(pointer+"/"+name, m[name], n, "a whole number"); *n < 0 || *n > most {
			f.add(pointer+"/"+name, "%d: want 0 to %d", *n, most)
		}
	}
}

func exampleCheckIns() []sample {
	none := 0
	return []sample{
		{"sync", "After tenet sync", checkInRequest{
			At: exampleTime(), Via: "sync", Branch: "main", Commit: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
			Program: "1.4.0", Seq: 4711,
			Takes: "3f786850e387550fdab836ed", Files: &store.FleetFiles{},
		}},
		{"check", "After tenet check, with what hooks have judged since the last time", checkInRequest{
			At: exampleTime(), Via: "check", Seq: 4711, Takes: "3f786850e387550fdab836ed", Findings: &none,
			Hooks: &store.FleetHookTally{Edits: 40, Denied: 1, Last: exampleTime()},
			Rules: map[string]store.EffectTally{"SEC-001": {Violated: 1}, "GO-001": {Followed: 1}},
		}},
	}
}

func exampleStanding() api.Standing {
	none := 0
	return api.Standing{
		Repository: "acme.pay", State: store.FleetBehind, Since: exampleTime(), LastSeen: exampleTime(), Via: "sync",
		By: "ci-payments", Branch: "main",
		Commit: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", Program: "1.4.0", Seq: 4711, Files: &store.FleetFiles{},
		Findings: &none,
	}
}

func exampleFleet() api.FleetPage {
	return api.FleetPage{
		Repositories: []api.Standing{exampleStanding()}, CountedAt: exampleTime(),
		Counts: []store.FleetCount{{State: store.FleetBehind, Repositories: 1, Since: exampleTime()}},
	}
}

// outcomes reads the counts of each rule.
func (f *faultList) outcomes(pointer string, raw json.RawMessage) map[string]store.EffectTally {
	var names map[string]json.RawMessage
	if f.member(pointer, raw, &names, "an object"); len(names) > maxRules {
		f.add(pointer, "%d rules: at most %d", len(names), maxRules)
		return nil
	}
	out := make(map[string]store.EffectTally, len(names))
	for id, text := range names {
		p := pointer + "/" + pointerToken(id)
		m := f.object(p, text, "served", "followed", "violated", "exempted")
		var followed, violated, exempted int
		f.tally(p, m, map[string]*int{"followed": &followed, "violated": &violated, "exempted": &exempted})
		out[id] = store.EffectTally{Followed: int64(followed), Violated: int64(violated), Exempted: int64(exempted)}
	}
	return out
}

// maxRules bounds the rules of a check-in.
const maxRules = 5000
