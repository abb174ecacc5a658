package access

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// MethodAuthenticate is a [Refusal]'s method for a call that was refused during authentication.
const MethodAuthenticate = "Authenticate"

// MethodRequest is a [Refusal]'s method for a call that a door has refused by itself.
const MethodRequest = "Request"

// MethodEnter is a [Refusal]'s method for a write that was allowed but is reported all the same: it has another actor
// than its caller, or a given time.
const MethodEnter = "Enter"

// MethodOverride is a [Refusal]'s method for a proposal that was applied without its approvals, which is reported all
// the same.
const MethodOverride = "Override"

// MethodPropose is a [Refusal]'s method for a proposal that was made, which is reported all the same: the text that
// says which agent has made it can be edited.
const MethodPropose = "Propose"

// A Refusal is a refused call, for the audit log.
type Refusal struct {
	Caller    *Caller        // nil if the caller is unknown
	Method    string         // a store method, or MethodAuthenticate, MethodRequest, MethodEnter, MethodOverride or MethodPropose
	Verb      knowledge.Verb // of the refused operation, "" for reads
	Key       knowledge.Key  // the document of the call; only the kind for a list, empty for the whole log
	Reason    string
	RequestID string
	Peer      string // the remote address; "" if unknown
	Door      string // "" if unknown
}

// A Store allows each caller what its role allows:
//
//   - a viewer reads everything but principals;
//   - a contributor also creates rules that are drafts and edits its own, which stay drafts, and reports violations and
//     edits those it
//     has created, but waives none;
//   - a maintainer also writes every document but principals;
//   - a contributor proposes changes to anything, and a maintainer decides about the proposals of others; a proposal is
//     applied as one
//     batch, with as many approvals as the policy asks for;
//   - an agent reads, reports and proposes; its other writes become proposals;
//   - an admin also reads and writes principals, purges, and says when a batch took place and who wrote it.
//
// Writes carry the caller's id. A call without a caller is [store.ErrUnauthenticated].
type Store struct {
	next     store.Store
	dir      *Directory
	refused  func(context.Context, Refusal)
	meter    *meter                                                 // nil for no quotas
	waits    func(context.Context, knowledge.BatchID) (bool, error) // nil if every taken batch is in the log
	policy   Policy
	imported imported
	reads    Reads
}

var _ store.Store = (*Store)(nil)

// New returns a store over next. It tells dir of principals written through it, and refused of every refused call; both
// may be nil.
func New(next store.Store, dir *Directory, refused func(context.Context, Refusal)) *Store {
	return &Store{next: next, dir: dir, refused: refused}
}

// WithJournal sets a function that reports whether the store below has taken a batch that its log does not have yet. It
// returns s, and must be called before s is used.
func (s *Store) WithJournal(waits func(context.Context, knowledge.BatchID) (bool, error)) *Store {
	s.waits = waits
	return s
}

// WithQuotas limits the writes of principals. It returns s, and must be called before s is used.
func (s *Store) WithQuotas(q Quotas) *Store {
	s.meter = newMeter(q)
	return s
}

// WithPolicy sets the policy. It returns s, and must be called before s is used.
func (s *Store) WithPolicy(p Policy) *Store {
	s.policy = p
	return s
}

// WithReads sets a function that is called for each answered read. It returns s, and must be called before s is used.
func (s *Store) WithReads(tell Reads) *Store {
	s.reads = tell
	return s
}

// A call is one call of a store method.
type call struct {
	s      *Store
	method string
	caller *Caller
}

// enter returns the call, or an error if its caller is unknown, expired or without rights.
func (s *Store) enter(ctx context.Context, method string) (call, error) {
	c := call{s, method, CallerFrom(ctx)}
	switch {
	case c.caller == nil:
		c.tell(ctx, "", knowledge.Key{}, "no known caller")
		return c, store.ErrUnauthenticated
	case expired(c.caller): // a connection may live longer than its token
		c.tell(ctx, "", knowledge.Key{}, ReasonExpired)
		return c, &store.UnauthenticatedError{Reason: ReasonExpired, ID: c.caller.ID}
	case !c.caller.May(DoRead, ""):
		return c, c.forbid(ctx, "", knowledge.Key{}, noRole(c.caller))
	}
	return c, nil
}

func (c call) tell(ctx context.Context, verb knowledge.Verb, key knowledge.Key, reason string) {
	if c.s.refused != nil && !unrecorded(ctx) {
		r := Refusal{
			Caller: c.caller, Method: c.method, Verb: verb, Key: key, Reason: reason,
			RequestID: RequestID(ctx),
		}
		tellOf(ctx, &r)
		c.s.refused(ctx, r)
	}
}

// forbid reports a refusal and returns it as an error.
func (c call) forbid(ctx context.Context, verb knowledge.Verb, key knowledge.Key, no *store.ForbiddenError) error {
	if !c.caller.Unsure {
		c.tell(ctx, verb, key, no.Reason)
	}
	return c.caller.Deny(no)
}

// mayRead returns nil if the caller may read documents of a key's kind.
func (c call) mayRead(ctx context.Context, key knowledge.Key) error {
	if no := Decide(c.caller, Act{Verb: VerbRead, Key: key}); no != nil {
		return c.forbid(ctx, "", key, no)
	}
	return nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	c, err := s.enter(ctx, "Get")
	if err != nil {
		return nil, err
	}
	if err := c.mayRead(ctx, key); err != nil {
		return nil, err
	}
	rec, err := s.next.Get(ctx, key)
	if err == nil && len(s.policy.Confidential) > 0 {
		err = c.hide(ctx, rec)
	}
	if err != nil {
		return nil, s.missing(ctx, err)
	}
	if s.reads != nil {
		s.reads.Tell(ctx, Read{Action: ReadGet, Key: key, Count: 1})
	}
	return rec, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	c, err := s.enter(ctx, "List")
	if err != nil {
		return nil, err
	}
	if err := c.mayRead(ctx, knowledge.Key{Kind: q.Kind}); err != nil {
		return nil, err
	}
	q.Without = s.policy.Confidential.Without(ctx)
	page, err := s.next.List(ctx, q)
	if err == nil {
		err = s.policy.Confidential.mark(ctx, s.next, slices.Values(page.Records))
	}
	if err == nil && s.reads != nil {
		s.reads.Tell(ctx, ListRead(&q, "", len(page.Records)))
	}
	return page, err
}

// Search implements [store.Store]. No search covers principals.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if _, err := s.enter(ctx, "Search"); err != nil {
		return nil, err
	}
	q.Without = s.policy.Confidential.Without(ctx)
	hits, err := s.next.Search(ctx, q)
	if err == nil {
		err = s.policy.Confidential.mark(ctx, s.next, found(hits))
	}
	if err == nil && s.reads != nil {
		s.reads.Tell(ctx, SearchRead(&q, "", len(hits.Hits)))
	}
	return hits, err
}

// found returns the records of hits.
func found(hits *knowledge.Hits) iter.Seq[*knowledge.Record] {
	return func(yield func(*knowledge.Record) bool) {
		for i := range hits.Hits {
			if !yield(hits.Hits[i].Record) {
				return
			}
		}
	}
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	c, err := s.enter(ctx, "Apply")
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if s.meter != nil { // before judging, which costs more than refusing
		if err := s.meter.take(c.caller, &b); err != nil {
			return knowledge.Receipt{}, err
		}
		leave, err := s.meter.enter(ctx, c.caller)
		if err != nil {
			return knowledge.Receipt{}, err
		}
		defer leave()
	}
	if err := c.confine(ctx, &b); err != nil {
		return knowledge.Receipt{}, err
	}
	if b, err = c.signed(ctx, b); err != nil {
		return knowledge.Receipt{}, err
	}
	asked := b
	if b, err = c.judge(ctx, b); err != nil {
		return c.instead(ctx, &asked, err)
	}
	if made, err := c.repeated(ctx, &b); err != nil {
		return knowledge.Receipt{}, s.missing(ctx, err)
	} else if made != nil {
		return knowledge.Receipt{}, made
	}
	r, err := s.next.Apply(ctx, b)
	if b.Dry {
		return r, s.missing(ctx, err)
	}
	if err == nil {
		s.reads.Tell(ctx, Read{Action: Wrote})
		c.entered(ctx, &b)
		c.tellOverride(ctx, &b, &r)
		c.tellProposed(ctx, &b)
	}
	if err == nil && s.dir != nil {
		s.dir.learnReceipt(&b, &r)
	}
	return r, s.missing(ctx, err)
}

// instead answers for a batch that judge has refused: with a proposal made of an agent's batch, or else with the
// refusal.
func (c call) instead(ctx context.Context, b *knowledge.Batch, refused error) (knowledge.Receipt, error) {
	d, ok := errors.AsType[*denied](refused)
	if !ok {
		return knowledge.Receipt{}, c.s.missing(ctx, refused)
	}
	if c.caller.Unsure {
		return knowledge.Receipt{}, c.caller.Deny(d.no)
	}
	if err := c.targets(ctx, b); err != nil {
		return knowledge.Receipt{}, c.s.missing(ctx, err)
	}
	next, p, ok := c.propose(ctx, b)
	if !ok || next.Validate() != nil {
		return knowledge.Receipt{}, c.forbid(ctx, d.verb, d.key, d.no)
	}
	same, err := c.tryOut(ctx, p)
	if err != nil {
		// Sent again it gets the answer of the first time, whatever has become of the documents since.
		if again, failed := c.taken(ctx, b.ID); failed != nil {
			return knowledge.Receipt{}, failed
		} else if !again {
			return knowledge.Receipt{}, err
		}
	}
	if same != nil { // nobody needs to read what changes nothing
		if again, failed := c.taken(ctx, b.ID); failed != nil {
			return knowledge.Receipt{}, failed
		} else if !again {
			return knowledge.Receipt{Batch: b.ID, Records: same.Records, Dry: b.Dry, Unchanged: true}, nil
		}
	}
	if made := c.waiting(ctx, c.caller.ID, p); made != nil && !b.Dry {
		return knowledge.Receipt{}, made
	}
	if next.Origin, err = b.Fingerprint(); err != nil {
		return knowledge.Receipt{}, err
	}
	r, err := c.s.next.Apply(ctx, next)
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if b.Dry {
		return knowledge.Receipt{}, c.forbid(ctx, d.verb, d.key, &store.ForbiddenError{Reason: "it would become a " +
			"proposal, which waits for a person: an agent writes no other way"})
	}
	c.tellProposed(ctx, &next)
	made := &store.ProposedError{Key: p.Key(), Receipt: r}
	if len(r.Records) > 0 && r.Records[0] != nil {
		made.Key = r.Records[0].Key
	}
	return knowledge.Receipt{}, made
}

// targets returns an error for a batch of an agent that changes a document which is not there, or leaves it invalid: a
// proposal of it could never be applied.
func (c call) targets(ctx context.Context, b *knowledge.Batch) error {
	made := map[knowledge.Key]bool{}
	for i := range b.Ops {
		op := &b.Ops[i]
		made[op.Key] = made[op.Key] || op.Verb == knowledge.VerbPut
		if !c.caller.Agent || made[op.Key] || op.Verb.Removes() || hiddenKind(op.Key.Kind) {
			continue
		}
		there, err := c.there(ctx, op)
		if err == nil && !there {
			err = &store.NotFoundError{Key: op.Key}
		}
		if err != nil {
			return err
		}
		no, err := c.unfit(ctx, op)
		if err != nil {
			return err
		}
		if no != nil {
			return no.Below("/ops/" + strconv.Itoa(i) + "/patch")
		}
		made[op.Key] = true // what is done to it later begins with another text
	}
	return nil
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	list, err := s.changes(ctx, q)
	if s.reads != nil && len(list) > 0 {
		s.reads.Tell(ctx, changesRead(&q, len(list)))
	}
	return list, err
}

func (s *Store) changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	c, err := s.enter(ctx, "Changes")
	if err != nil {
		return nil, err
	}
	may := c.keeper(ctx)
	if may == nil {
		return s.next.Changes(ctx, q)
	}
	for _, key := range []knowledge.Key{q.Key, {Kind: q.Kind}} {
		if err := c.mayRead(ctx, key); err != nil {
			return nil, err
		}
	}
	return s.visible(ctx, q, may)
}

// Wait implements [store.Store]. Changes that the caller may not see don't end the wait.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	c, err := s.enter(ctx, "Wait")
	if err != nil {
		return err
	}
	may := c.keeper(ctx)
	if may == nil {
		return s.next.Wait(ctx, after)
	}
	for {
		if err := s.next.Wait(ctx, after); err != nil {
			return err
		}
		list, err := s.next.Changes(ctx, knowledge.ChangeQuery{After: after, Limit: 1})
		if err != nil {
			return err
		}
		seen, err := shown(list, may)
		if err != nil {
			return err
		}
		if len(list) == 0 || len(seen) > 0 {
			return nil // woken without a change, or by one that the caller may see
		}
		after = list[len(list)-1].Seq
	}
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error {
	if _, err := s.enter(ctx, "Ping"); err != nil {
		return err
	}
	return s.next.Ping(ctx)
}

// Close closes the store below. Only the server calls it, so there is no caller to check.
func (s *Store) Close() error { return s.next.Close() }
