package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// maxDecisions is how many conflicts one request decides.
const maxDecisions = 200

// resolveConflicts carries out one decision about many conflicts.
func resolveConflicts(c *call, _ *noParams) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	if no := access.Decide(c.request.Caller, access.Act{Verb: access.VerbResolve}); no != nil {
		return c.request.Caller.Deny(no)
	}
	decisions, err := decisionsOf(raw)
	if err != nil {
		return err
	}
	parked := make([]*store.Parked, len(decisions))
	for i := range decisions {
		if parked[i], err = parkedByID(c, decisions[i].ID); err != nil {
			return err
		}
	}
	done, err := c.h.o.Policy.ResolveConflicts(c.limited(), c.h.o.Store, c.h.o.Desk, c.request.Caller, parked,
		decisions)
	if err != nil && len(done) == 0 {
		return err
	}
	a := api.ResolveManyAnswer{Decided: make([]api.DecidedConflict, len(done))}
	for i := range done {
		a.Decided[i] = api.DecidedConflict{ID: done[i].ID, State: stateOf(&done[i].Receipt), Seq: done[i].Receipt.Seq}
	}
	if err != nil {
		a.Stopped = err.Error()
	}
	return c.json(http.StatusOK, &a)
}

// decisionsOf reads one decision about many conflicts.
func decisionsOf(raw []byte) ([]store.Decision, error) {
	var f faultList
	how := ""
	members := f.object("", raw, "resolution", "conflicts")
	f.member("/resolution", members["resolution"], &how, "theirs or ours")
	if how != store.ResolveTheirs && how != store.ResolveOurs {
		f.add("/resolution", "%q: want theirs or ours; a merged document is for one conflict", how)
	}
	var list []json.RawMessage
	f.member("/conflicts", members["conflicts"], &list, "a list of conflicts")
	if len(list) == 0 || len(list) > maxDecisions {
		f.add("/conflicts", "%d conflicts: want 1 to %d", len(list), maxDecisions)
		return nil, f.err(false)
	}
	decisions := make([]store.Decision, len(list))
	met := map[uuid.UUID]bool{}
	for i := range list {
		at, id := fmt.Sprintf("/conflicts/%d", i), ""
		d := &decisions[i]
		members := f.object(at, list[i], "id", "seen")
		f.member(at+"/id", members["id"], &id, "the UUID of a conflict")
		f.member(at+"/seen", members["seen"], &d.Seen, "the seen of the conflict")
		var err error
		switch d.ID, err = uuid.Parse(id); {
		case err != nil || len(id) != 36:
			f.add(at+"/id", "%q: want the UUID of a conflict", id)
		case met[d.ID]:
			f.add(at+"/id", "%s is there twice", id)
		case how == store.ResolveOurs && d.Seen == "":
			f.add(at+"/seen", "missing: ours needs the seen of the conflict")
		}
		d.How, met[d.ID] = how, true
	}
	return decisions, f.err(false)
}
