package access

import (
	"context"
	"fmt"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// MethodAuthenticate stands in a [Refusal] for the method of a call that came no further than a door.
const MethodAuthenticate = "Authenticate"

// A Refusal is a call that was not let through: what the audit log says about it.
type Refusal struct {
	Caller    *Caller        // nil when nobody known was calling
	Method    string         // of the store, or MethodAuthenticate
	Verb      knowledge.Verb // of the op that was refused, "" for reads
	Key       knowledge.Key  // what the call was about; the kind alone for a list, neither for a whole log
	Reason    string
	RequestID string
}

// A Store lets through what its caller may do:
//
//   - a viewer reads everything but principals;
//   - a contributor also creates and edits rules that are drafts before and after, and reports violations and edits those it
//     has created, but waives none;
//   - a maintainer also writes every document but principals;
//   - an admin also reads and writes principals, purges, and says when a batch took place and who wrote it.
//
// What was written carries the caller's id. A call without a caller is [store.ErrUnauthenticated].
type Store struct {
	next    store.Store
	dir     *Directory
	refused func(context.Context, Refusal)
	waits   func(context.Context, knowledge.BatchID) (bool, error) // nil where everything that was taken is in the log
}

var _ store.Store = (*Store)(nil)

// New returns a store over next. It tells dir of the principals that were written through it, and refused of every call that
// it does not let through; both may be nil.
func New(next store.Store, dir *Directory, refused func(context.Context, Refusal)) *Store {
	return &Store{next: next, dir: dir, refused: refused}
}

// WithJournal makes s ask waits whether the store below has taken a batch that its log does not have yet. It returns s, which
// must not be in use.
func (s *Store) WithJournal(waits func(context.Context, knowledge.BatchID) (bool, error)) *Store {
	s.waits = waits
	return s
}

// A call is one use of one method.
type call struct {
	s      *Store
	method string
	caller *Caller
}

// enter returns the call, or why nobody is calling.
func (s *Store) enter(ctx context.Context, method string) (call, error) {
	c := call{s, method, CallerFrom(ctx)}
	switch {
	case c.caller == nil:
		c.tell(ctx, "", knowledge.Key{}, "nobody known is calling")
		return c, store.ErrUnauthenticated
	case expired(c.caller): // a connection may outlive its token
		c.tell(ctx, "", knowledge.Key{}, ReasonExpired)
		return c, &TokenError{Reason: ReasonExpired, ID: c.caller.ID}
	case !c.caller.Has(knowledge.RoleViewer):
		return c, c.forbid(ctx, "", knowledge.Key{}, fmt.Sprintf("%q is no role that may do anything", c.caller.Role))
	}
	return c, nil
}

func (c call) tell(ctx context.Context, verb knowledge.Verb, key knowledge.Key, reason string) {
	if c.s.refused != nil {
		c.s.refused(ctx, Refusal{
			Caller: c.caller, Method: c.method, Verb: verb, Key: key, Reason: reason, RequestID: RequestID(ctx),
		})
	}
}

// forbid notes a refusal and returns it as an error.
func (c call) forbid(ctx context.Context, verb knowledge.Verb, key knowledge.Key, reason string) error {
	if !c.caller.Unsure {
		c.tell(ctx, verb, key, reason)
	}
	return c.caller.Deny(reason)
}

func (c call) admin() bool { return c.caller.Has(knowledge.RoleAdmin) }

const principalsAreHidden = "only an admin sees principals"

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	c, err := s.enter(ctx, "Get")
	if err != nil {
		return nil, err
	}
	if key.Kind == knowledge.KindPrincipal && !c.admin() {
		return nil, c.forbid(ctx, "", key, principalsAreHidden)
	}
	return s.next.Get(ctx, key)
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	c, err := s.enter(ctx, "List")
	if err != nil {
		return nil, err
	}
	if q.Kind == knowledge.KindPrincipal && !c.admin() {
		return nil, c.forbid(ctx, "", knowledge.Key{Kind: q.Kind}, principalsAreHidden)
	}
	return s.next.List(ctx, q)
}

// Search implements [store.Store]. No search covers principals, so there is nothing to leave out.
func (s *Store) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if _, err := s.enter(ctx, "Search"); err != nil {
		return nil, err
	}
	return s.next.Search(ctx, q)
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	c, err := s.enter(ctx, "Apply")
	if err != nil {
		return knowledge.Receipt{}, err
	}
	if b, err = c.judge(ctx, b); err != nil {
		return knowledge.Receipt{}, err
	}
	r, err := s.next.Apply(ctx, b)
	if err == nil && s.dir != nil {
		s.dir.learnReceipt(&b, &r)
	}
	return r, err
}

// Changes implements [store.Store].
func (s *Store) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	c, err := s.enter(ctx, "Changes")
	if err != nil {
		return nil, err
	}
	if c.admin() {
		return s.next.Changes(ctx, q)
	}
	if q.Kind == knowledge.KindPrincipal || q.Key.Kind == knowledge.KindPrincipal {
		return nil, c.forbid(ctx, "", knowledge.Key{Kind: knowledge.KindPrincipal, ID: q.Key.ID}, principalsAreHidden)
	}
	return s.visible(ctx, q)
}

// Wait implements [store.Store]. For a caller who sees no principals their changes are none: it waits on.
func (s *Store) Wait(ctx context.Context, after knowledge.Seq) error {
	c, err := s.enter(ctx, "Wait")
	if err != nil {
		return err
	}
	if c.admin() {
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
		if len(list) == 0 || len(shown(list)) > 0 {
			return nil // rung for nothing, or for something
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

// Close closes the store below. It is the server's to call, and has no caller to ask for.
func (s *Store) Close() error { return s.next.Close() }
