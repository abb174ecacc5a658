package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// agentToken is the token of a maintainer that is marked as an agent.
const agentToken = "agent"

// TestEveryOperationObeysTheTable sends every operation as every role, and as an agent, and holds the answer against
// what the table of rights says of the documents as they are at that moment.
func TestEveryOperationObeysTheTable(t *testing.T) {
	callers := map[string]*access.Caller{agentToken: {ID: "the-agent", Role: knowledge.RoleMaintainer, Agent: true}}
	for _, role := range knowledge.Roles() {
		callers[role] = &access.Caller{ID: "the-" + role, Role: role}
	}
	refusedOf := map[string]int{}
	for token, caller := range callers {
		n := newTenet(t, func(o *Options) {
			o.Store.(*access.Store).WithPolicy(access.Policy{RefuseAgents: true})
		})
		for _, rt := range n.h.routes {
			// What a review and an application need beside rights, TestWhoMayDecideAboutAProposal of package access
			// tells.
			if rt.id == "" || rt.public || rt.path == livePath || rt.id == "review-proposal" ||
				rt.id == "apply-proposal" {
				continue
			}
			a := base(rt)
			var want string
			refused := false
			for _, act := range n.acts(rt, a) {
				if no := access.Decide(caller, act); no != nil {
					want, refused = no.Right, true
					break
				}
			}
			a.token = token
			r := n.do(a)
			got := r.status == http.StatusForbidden
			if got != refused {
				t.Errorf("%s as %s: status %d, and the table says refused: %v (%s)\n%s", rt.name, token, r.status,
					refused, want, r.body)
			}
			if n.told = slices.DeleteFunc(n.told, func(r access.Refusal) bool {
				return r.Method == access.MethodEnter || r.Method == access.MethodPropose // which are no refusals
			}); got != (len(n.told) > 0) {
				t.Errorf("%s as %s: status %d, and the record has %+v", rt.name, token, r.status, n.told)
			}
			for _, told := range n.told {
				if told.Caller == nil || told.Caller.ID != caller.ID || told.Reason == "" || told.Peer == "" {
					t.Errorf("%s as %s: the record does not say who, why and from where: %+v", rt.name, token, told)
				}
			}
			n.told = nil
			if got && rt.kind != knowledge.KindProposal { // which its own state closes, for everybody
				refusedOf[token]++
			}
			if got && want != "" {
				r.holds(t, `{"code":"forbidden","right":"`+want+`"}`)
			}
		}
	}
	if refusedOf[knowledge.RoleAdmin] > 0 || refusedOf[knowledge.RoleMaintainer] == 0 ||
		refusedOf[knowledge.RoleViewer] <= refusedOf[knowledge.RoleContributor] ||
		refusedOf[agentToken] <= refusedOf[knowledge.RoleMaintainer] {
		t.Errorf("refused operations: %v", refusedOf)
	}
}

// TestEveryOperationKnowsNoStrangers sends every operation without a token, with one that was never given out, and with
// one of a principal who was disabled.
func TestEveryOperationKnowsNoStrangers(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		authenticate := o.Authenticate
		o.Authenticate = func(token string) (*access.Caller, error) {
			if token == "off" {
				return nil, &store.UnauthenticatedError{Reason: access.ReasonDisabled, ID: "ann"}
			}
			return authenticate(token)
		}
	})
	tried := 0
	for token, actor := range map[string]string{"-": "", "never-given-out": "", "off": "ann"} {
		for _, rt := range n.h.routes {
			if rt.id == "" || rt.public {
				continue
			}
			tried++
			a := base(rt)
			a.token, n.told = token, nil
			r := n.do(a)
			if r.status != http.StatusUnauthorized || len(n.told) != 1 {
				t.Errorf("%s with the token %q: status %d, and the record has %+v", rt.name, token, r.status, n.told)
				continue
			}
			told := n.told[0]
			if told.Method != access.MethodAuthenticate || told.Peer == "" || !strings.Contains(told.Reason, rt.path) ||
				(actor != "") != (told.Caller != nil) || actor != "" && told.Caller.ID != actor {
				t.Errorf("%s with the token %q: the record does not say who, what and from where: %+v", rt.name, token,
					told)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d calls were tried", tried)
	}
}

// acts returns what a request to a route does.
func (n *tenet) acts(rt *route, a ask) []access.Act {
	n.t.Helper()
	verbs := map[string]knowledge.Verb{
		http.MethodPost: knowledge.VerbPut, http.MethodPut: knowledge.VerbPut, http.MethodPatch: knowledge.VerbPatch,
		http.MethodDelete: knowledge.VerbRetire,
	}
	key := knowledge.Key{Kind: rt.kind, ID: rt.sample}
	switch {
	case strings.HasPrefix(rt.path, mirrorPath), strings.HasPrefix(rt.path, jobsPath), rt.path == auditPath:
		return []access.Act{{Verb: access.VerbOperate}}
	case rt.path == erasuresPath:
		return []access.Act{{Verb: knowledge.VerbPurge, Key: knowledge.Key{Kind: knowledge.KindPrincipal}}}
	case strings.HasSuffix(rt.path, "/resolve"):
		return []access.Act{{Verb: access.VerbResolve, Key: knowledge.Key{Kind: knowledge.KindRule}}}
	case rt.id == "issue-token", rt.id == "rotate-token":
		return []access.Act{{Verb: knowledge.VerbPut, Key: knowledge.Key{Kind: knowledge.KindPrincipal}}}
	case rt.path == batchesPath:
		var body struct{ Ops []json.RawMessage }
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			n.t.Fatal(err)
		}
		var acts []access.Act
		for _, raw := range body.Ops {
			op, err := knowledge.DecodeOp(raw)
			if err != nil {
				n.t.Fatal(err)
			}
			acts = append(acts, n.act(op))
		}
		return acts
	case rt.kind == "" || rt.method == http.MethodGet:
		return []access.Act{{Verb: access.VerbRead, Key: knowledge.Key{Kind: rt.kind}}}
	case strings.HasSuffix(rt.path, "/restore"):
		return []access.Act{n.act(knowledge.Op{Verb: knowledge.VerbRestore, Key: key})}
	}
	op := knowledge.Op{Verb: verbs[rt.method], Key: key, Patch: []byte(a.body)}
	if op.Verb == knowledge.VerbPut {
		d, err := knowledge.Decode(rt.kind, []byte(a.body))
		if err != nil {
			n.t.Fatal(err)
		}
		if d.Key().ID == "" {
			setID(d, knowledge.NewBatchID().String())
		}
		op.Key, op.Doc = d.Key(), d
	}
	return []access.Act{n.act(op)}
}

// act returns what an op does to the documents as they are.
func (n *tenet) act(op knowledge.Op) access.Act {
	n.t.Helper()
	a := access.Act{Verb: op.Verb, Key: op.Key, Seen: true}
	if rec, err := n.store.next.Get(n.t.Context(), op.Key); err == nil {
		if a.Before, err = rec.Document(); err != nil {
			n.t.Fatal(err)
		}
	}
	a.After, _ = op.Next(a.Before) // what is no document the store refuses, whoever sends it
	return a
}
