package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Verbs beside those of operations.
const (
	VerbRead    knowledge.Verb = "read"    // read documents and their history, follow their changes
	VerbResolve knowledge.Verb = "resolve" // decide a conflict
	VerbDate    knowledge.Verb = "date"    // set a batch's time and actor
	VerbOperate knowledge.Verb = "operate" // operate the mirror and the jobs
)

// A Right allows an action on documents of a kind.
type Right struct {
	Do string
	// On is the kind; "" for every kind that is not hidden, and anyKind for all.
	On knowledge.Kind
}

const anyKind knowledge.Kind = "*"

// Actions of a [Right].
const (
	DoRead     = "read"
	DoDraft    = "draft"    // write rules that are drafts before and after
	DoReport   = "report"   // report violations, and edit one's own reports
	DoPublish  = "publish"  // write any document of a kind that is not hidden
	DoPropose  = "propose"  // propose changes, and edit and withdraw one's own proposals
	DoReview   = "review"   // review the proposals of others
	DoOverride = "override" // let a proposal be applied without its approvals, in an emergency
	DoResolve  = "resolve"  // decide conflicts
	DoManage   = "manage"   // read and write principals
	DoPurge    = "purge"    // delete a document with its history
	DoDate     = "date"     // set a batch's time and actor
	DoOperate  = "operate"  // operate the mirror, the jobs and the archive
)

// rights maps each role to its rights.
//
//nolint:gochecknoglobals // made once, never written
var rights = sync.OnceValue(func() map[string][]Right {
	all := map[string][]Right{}
	for _, role := range knowledge.Roles() {
		all[role] = rightsOf(role)
	}
	return all
})

// rightsOf returns the rights of a role: those of weaker roles, and its own.
func rightsOf(role string) []Right {
	var rights []Right
	for _, r := range knowledge.Roles() {
		switch r {
		case knowledge.RoleViewer:
			rights = append(rights, Right{DoRead, ""})
		case knowledge.RoleContributor:
			rights = append(rights, Right{DoDraft, knowledge.KindRule}, Right{DoReport, knowledge.KindViolation},
				Right{DoPropose, knowledge.KindProposal})
		case knowledge.RoleMaintainer:
			rights = append(rights, Right{DoPublish, ""}, Right{DoResolve, ""}, Right{DoReview, knowledge.KindProposal})
		case knowledge.RoleAdmin:
			rights = append(rights, Right{DoRead, anyKind}, Right{DoManage, anyKind}, Right{DoPurge, anyKind},
				Right{DoResolve, anyKind},
				Right{DoOverride, knowledge.KindProposal},
				Right{DoDate, anyKind}, Right{DoOperate, anyKind})
		}
		if r == role {
			return rights
		}
	}
	return nil
}

// agentMay reports whether an agent keeps a right of its role. A person publishes what an agent writes.
func agentMay(do string) bool { return do == DoRead || do == DoReport || do == DoPropose }

// May reports whether the caller has a right to documents of a kind. A nil caller has no rights.
func (c *Caller) May(do string, kind knowledge.Kind) bool {
	if c == nil || c.Agent && !agentMay(do) {
		return false
	}
	for _, r := range rights()[c.Role] {
		if r.Do == do && (r.On == anyKind || r.On == kind || r.On == "" && kind != anyKind && !hiddenKind(kind)) {
			return true
		}
	}
	return false
}

func hiddenKind(kind knowledge.Kind) bool {
	d := knowledge.Describe(kind)
	return d != nil && d.Hidden
}

// rolesWith returns the roles that have a right, the weakest first.
func rolesWith(do string, kind knowledge.Kind) []string {
	var roles []string
	for _, role := range knowledge.Roles() {
		if (&Caller{Role: role}).May(do, kind) {
			roles = append(roles, role)
		}
	}
	return roles
}

// An Act is an action that a caller wants to do on one document.
type Act struct {
	Verb knowledge.Verb
	Key  knowledge.Key
	// Before and After are the document before and after a write, nil for none. They count only if Seen is set. A door,
	// a replay and the conflict desk ask without them, and then only learn what may be allowed.
	Before, After knowledge.Document
	Seen          bool
}

// A row of the table allows the acts that it covers to callers with its right, unless it gives a reason against.
type row struct {
	covers func(a Act) bool
	do     string
	unless func(c *Caller, a Act) string // nil for no condition
}

// table holds the rules of [Decide]: an act is allowed if any row that covers it allows it. The last rows are the most
// general.
//
//nolint:gochecknoglobals // made once, never written
var table = sync.OnceValue(func() []row {
	verb := func(v knowledge.Verb) func(Act) bool { return func(a Act) bool { return a.Verb == v } }
	writes := func(kind knowledge.Kind) func(Act) bool {
		return func(a Act) bool { return a.writes() && (kind == "" && !hiddenKind(a.Key.Kind) || a.Key.Kind == kind) }
	}
	return []row{
		{covers: verb(VerbRead), do: DoRead},
		{covers: verb(VerbResolve), do: DoResolve},
		{covers: verb(VerbDate), do: DoDate},
		{covers: verb(VerbOperate), do: DoOperate},
		{covers: verb(knowledge.VerbPurge), do: DoPurge},
		{covers: verb(knowledge.VerbArchive), do: DoOperate},
		{covers: func(a Act) bool { return a.writes() && hiddenKind(a.Key.Kind) }, do: DoManage},
		{covers: writes(knowledge.KindRule), do: DoDraft, unless: notADraft},
		{covers: writes(knowledge.KindViolation), do: DoReport, unless: notAReport},
		{covers: writes(knowledge.KindProposal), do: DoPropose, unless: notAProposer},
		{covers: writes(knowledge.KindProposal), do: DoReview, unless: notAReviewer},
		{covers: func(a Act) bool { return writes("")(a) && a.Key.Kind != knowledge.KindProposal }, do: DoPublish},
	}
})

// writes reports whether the act writes a document. An unknown verb counts; the store refuses it.
func (a Act) writes() bool {
	return !slices.Contains([]knowledge.Verb{
		VerbRead, VerbResolve, VerbDate, VerbOperate, knowledge.VerbArchive,
		knowledge.VerbPurge,
	}, a.Verb)
}

// Decide returns nil if the caller may do an act, and otherwise the reason and the missing right.
func Decide(c *Caller, a Act) *store.ForbiddenError {
	reason, right := "", ""
	for _, r := range table() {
		if !r.covers(a) {
			continue
		}
		why := ""
		if a.Seen && r.unless != nil {
			why = r.unless(c, a)
		}
		switch may := c.May(r.do, a.Key.Kind); {
		case may && why == "":
			return nil
		case may:
			reason = a.about(why)
		case right == "":
			right = r.do
		}
	}
	if reason == "" {
		reason = a.about(c.lacks(right, a.Key.Kind))
	}
	return &store.ForbiddenError{Reason: reason, Right: right}
}

// about begins a reason with the act's verb and document.
func (a Act) about(why string) string {
	switch {
	case a.Key.ID != "":
		return fmt.Sprintf("%s %s: %s", a.Verb, a.Key, why)
	case a.Key.Kind != "":
		return fmt.Sprintf("%s %s: %s", a.Verb, a.Key.Kind.Plural(), why)
	}
	return why
}

// lacks names the roles that have a right which the caller lacks.
func (c *Caller) lacks(do string, kind knowledge.Kind) string {
	roles := strings.Join(rolesWith(do, kind), " or ")
	switch {
	case c != nil && c.Agent && slices.Contains(rolesWith(do, kind), c.Role):
		return "an agent may not " + do + ": ask a person with the role " + roles
	case roles == "":
		return "nobody has the right to " + do
	}
	return "this needs the role " + roles
}

// notADraft returns why a contributor may not make this change to a rule, "" if it may. A draft belongs to its writer
// until it is published; others propose changes.
func notADraft(c *Caller, a Act) string {
	if was, ok := a.Before.(*knowledge.Rule); ok && was.Status != knowledge.StatusDraft {
		return "it is " + was.Status + ", and a contributor may only edit drafts: propose the change, or ask a " +
			"maintainer"
	}
	if was, ok := a.Before.(*knowledge.Rule); ok && was.CreatedBy != c.ID {
		return "it is a draft of " + was.CreatedBy +
			", and a contributor may only edit its own drafts: propose the change, or ask a maintainer"
	}
	if is, ok := a.After.(*knowledge.Rule); ok && is.Status != knowledge.StatusDraft {
		return "a contributor may only write drafts: set status to DRAFT; a maintainer publishes it"
	}
	return ""
}

// notAReport returns why a contributor may not make this change to a violation, "" if it may.
func notAReport(c *Caller, a Act) string {
	if was, ok := a.Before.(*knowledge.Violation); ok && was.CreatedBy != c.ID {
		return "it was reported by " + was.CreatedBy +
			", and a contributor may only edit its own reports: ask a maintainer"
	}
	if is, ok := a.After.(*knowledge.Violation); ok && is.Status == knowledge.ViolationWaived {
		// Otherwise anybody who breaks a rule, even a program, could report and waive the violation in one step.
		return "a contributor may report and resolve violations, but only a maintainer may waive them"
	}
	return ""
}

func decideOps(c *Caller, b *knowledge.Batch) (int, *store.ForbiddenError) {
	for i := range b.Ops {
		if no := Decide(c, Act{Verb: b.Ops[i].Verb, Key: b.Ops[i].Key}); no != nil {
			return i, no
		}
	}
	return 0, nil
}

// DecideConflict decides whether a caller may read, or with [VerbResolve] resolve, a parked batch. A resolution is
// written without judging its operations again, so the caller needs the rights for all of them.
func DecideConflict(c *Caller, verb knowledge.Verb, b *knowledge.Batch) *store.ForbiddenError {
	for i := range b.Ops {
		acts := []Act{{Verb: verb, Key: b.Ops[i].Key}}
		if verb == VerbResolve && b.Ops[i].Verb == knowledge.VerbPurge {
			acts = append(acts, Act{Verb: knowledge.VerbPurge, Key: b.Ops[i].Key})
		}
		for _, a := range acts {
			if no := Decide(c, a); no != nil {
				return no
			}
		}
	}
	return nil
}

// noRole refuses a caller without a valid role.
func noRole(c *Caller) *store.ForbiddenError {
	return &store.ForbiddenError{Reason: fmt.Sprintf("role %q has no rights", c.Role), Right: DoRead}
}

// Enter returns nil if the caller may do anything at all.
func Enter(c *Caller) error {
	if !c.May(DoRead, "") {
		return noRole(c)
	}
	return nil
}

// Sees reports whether a caller may read documents of a kind.
func Sees(c *Caller, kind knowledge.Kind) bool {
	return Decide(c, Act{Verb: VerbRead, Key: knowledge.Key{Kind: kind}}) == nil
}

// MayRead returns why a caller may not read documents of these kinds, nil if the caller may. It is for answers that
// come from memory, where no store checks.
func MayRead(c *Caller, kinds ...knowledge.Kind) error {
	for _, kind := range kinds {
		if !Sees(c, kind) {
			return c.Deny(&store.ForbiddenError{Reason: "you may not read " + kind.Plural()})
		}
	}
	return Enter(c)
}

// SeesAll reports whether a caller may read documents of every kind.
func SeesAll(c *Caller) bool { return c.May(DoRead, anyKind) }

// attribution lists the fields of a violation that say who did what and when. Only callers that may set a batch's time
// and actor, such as an import, may write them. For others the store stamps them and ignores the values in the request,
// like the other stamps.
func attribution() []string {
	return []string{"reported_by", "reported_at", "resolved_by", "resolved_at"}
}

// stampless returns the batch without the attribution that its writer has set; attribution already stored stays.
func (c call) stampless(ctx context.Context, b knowledge.Batch) (knowledge.Batch, error) {
	copied := false
	for i := range b.Ops {
		if b.Ops[i].Key.Kind != knowledge.KindViolation {
			continue
		}
		op := b.Ops[i]
		changed, err := c.restamp(ctx, &op)
		if err != nil {
			return b, err
		}
		if !changed {
			continue
		}
		if !copied {
			// On a retry the stored document is another one: the fingerprint of the writer's own batch identifies the
			// batch.
			if b.Origin, err = b.Fingerprint(); err != nil {
				return b, err
			}
			b.Ops, copied = slices.Clone(b.Ops), true
		}
		b.Ops[i] = op
	}
	return b, nil
}

// restamp removes the attribution from an operation, and reports whether there was any.
func (c call) restamp(ctx context.Context, op *knowledge.Op) (bool, error) {
	if op.Verb == knowledge.VerbPatch {
		var members map[string]json.RawMessage
		if json.Unmarshal(op.Patch, &members) != nil {
			return false, nil //nolint:nilerr // the store reports the fault
		}
		before := len(members)
		for _, name := range attribution() {
			delete(members, name)
		}
		if len(members) == before {
			return false, nil
		}
		patch, err := json.Marshal(members)
		op.Patch = patch
		return true, err
	}
	v, ok := op.Doc.(*knowledge.Violation)
	if !ok || v.ReportedBy == "" && v.ResolvedBy == "" && v.ReportedAt.IsZero() && v.ResolvedAt.IsZero() {
		return false, nil
	}
	own := *v
	own.ReportedBy, own.ReportedAt, own.ResolvedBy, own.ResolvedAt = "", knowledge.Time{}, "", knowledge.Time{}
	op.Doc = &own
	rec, err := c.s.next.Get(ctx, op.Key)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	d, err := rec.Document()
	if err != nil {
		return false, err
	}
	if was, ok := d.(*knowledge.Violation); ok {
		own.ReportedBy, own.ReportedAt, own.ResolvedBy, own.ResolvedAt = was.ReportedBy, was.ReportedAt,
			was.ResolvedBy, was.ResolvedAt
	}
	return true, nil
}
