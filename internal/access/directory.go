package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Why a token opens nothing.
const (
	ReasonUnknown  = "no such token: ask an admin for one"
	ReasonExpired  = "the token has expired: ask an admin for a new one"
	ReasonDisabled = "the token was disabled by an admin"
)

// A TokenError tells why a token opens nothing. It is [store.ErrUnauthenticated].
type TokenError struct {
	Reason string // one of ReasonUnknown, ReasonExpired, ReasonDisabled
	ID     string // the principal's id, for the log; "" when the token is unknown
}

// Error says why.
func (e *TokenError) Error() string { return "not authenticated: " + e.Reason }

// Is reports whether target is [store.ErrUnauthenticated].
func (e *TokenError) Is(target error) bool { return target == store.ErrUnauthenticated }

// A Directory knows every principal by its token and by its id. It answers from memory, whatever its store does: while that
// can't be reached, who was known last stays known.
type Directory struct {
	next  store.Store
	log   *slog.Logger
	state atomic.Pointer[state] // what is asked; never nil

	mu      sync.Mutex // guards all below
	entries map[string]entry
	clock   int64 // grows with everything learnt
}

// An entry is a principal as it was learnt last. Version decides between what was written here and what the feed brings.
type entry struct {
	version int64
	learnt  int64 // the directory's clock
	hash    [sha256.Size]byte
	caller  *Caller // nil after a purge
	off     bool    // disabled
}

// A state is what calls read. It never changes: another one takes its place.
type state struct {
	byToken map[[sha256.Size]byte]*entry
	byID    map[string]*entry
}

// NewDirectory returns an empty directory of the principals of next. Load fills it, Run keeps it current.
func NewDirectory(next store.Store, log *slog.Logger) *Directory {
	d := &Directory{next: next, log: log, entries: map[string]entry{}}
	d.state.Store(&state{})
	return d
}

// Authenticate returns who holds a token, or a [*TokenError]. The caller is shared: nobody writes on it.
func (d *Directory) Authenticate(token string) (*Caller, error) {
	// The token is looked up by its hash: how long that takes tells nothing about tokens that exist.
	e := d.state.Load().byToken[hashToken(token)]
	switch {
	case e == nil:
		return nil, &TokenError{Reason: ReasonUnknown}
	case e.off:
		return nil, &TokenError{Reason: ReasonDisabled, ID: e.caller.ID}
	case expired(e.caller):
		return nil, &TokenError{Reason: ReasonExpired, ID: e.caller.ID}
	}
	return e.caller, nil
}

func expired(c *Caller) bool { return !c.Expiry.IsZero() && !time.Now().Before(c.Expiry.Time) }

// hashToken hashes a token; one of ours without a copy on the heap.
func hashToken(token string) [sha256.Size]byte {
	var b [64]byte
	if len(token) > len(b) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(b[:copy(b[:], token)])
}

// Role returns the role that an actor has now; false for an actor that is unknown, disabled or expired. The system is always
// an admin.
func (d *Directory) Role(actor string) (string, bool) {
	if actor == SystemID {
		return knowledge.RoleAdmin, true
	}
	e := d.state.Load().byID[actor]
	if e == nil || e.off || expired(e.caller) {
		return "", false
	}
	return e.caller.Role, true
}

// Holds reports whether a caller is what its principal is now: not another version, disabled, expired or gone. A stream that
// was opened while the directory had not yet heard of a change ends by it.
func (d *Directory) Holds(c *Caller) bool {
	e := d.state.Load().byID[c.ID]
	return e != nil && !e.off && !expired(e.caller) && e.version == c.version
}

// Load reads every principal. What was learnt of newer ones meanwhile stays.
func (d *Directory) Load(ctx context.Context) error {
	d.mu.Lock()
	begun := d.clock
	d.mu.Unlock()
	found := map[string]entry{}
	q := knowledge.Query{Kind: knowledge.KindPrincipal, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
	err := store.All(ctx, d.next, q, func(r *knowledge.Record) error {
		e, err := entryOf(r)
		if err != nil {
			return err
		}
		found[r.Key.ID] = e
		return nil
	})
	if err != nil {
		return fmt.Errorf("load principals: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, e := range d.entries {
		if e.learnt > begun && e.version >= found[id].version {
			found[id] = e
		}
	}
	d.entries = found
	d.publish()
	return nil
}

func entryOf(r *knowledge.Record) (entry, error) {
	doc, err := r.Document()
	if err != nil {
		return entry{}, err
	}
	p, ok := doc.(*knowledge.Principal)
	if !ok {
		return entry{}, fmt.Errorf("%s is no principal", r.Key)
	}
	e := entry{
		version: r.Version, off: p.Disabled,
		caller: &Caller{ID: p.PrincipalID, Name: p.Name, Role: p.Role, Expiry: p.Expiry, version: r.Version},
	}
	if n, err := hex.Decode(e.hash[:], []byte(p.TokenHash)); err != nil || n != len(e.hash) {
		return entry{}, fmt.Errorf("%s: its token hash is no SHA-256", r.Key)
	}
	return e, nil
}

// publish makes what is known what is asked. Two principals with one token are a mistake of an admin: the first by id has it,
// whatever the order in which they were learnt. The caller holds the lock.
func (d *Directory) publish() {
	s := &state{
		byToken: make(map[[sha256.Size]byte]*entry, len(d.entries)), byID: make(map[string]*entry, len(d.entries)),
	}
	for id, e := range d.entries {
		if e.caller == nil || id == SystemID {
			continue
		}
		s.byID[id] = &e
		if other := s.byToken[e.hash]; other == nil || id < other.caller.ID {
			s.byToken[e.hash] = &e
		}
	}
	d.state.Store(s)
}

// learn takes in what was written. A nil record is a purge.
func (d *Directory) learn(id string, version int64, r *knowledge.Record) {
	e := entry{version: version}
	if r != nil {
		var err error
		if e, err = entryOf(r); err != nil {
			d.log.Error("a principal can't be read: its token does not work here", "principal", id, "error", err)
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.entries[id]; ok && known.version > e.version {
		return
	}
	d.clock++
	e.learnt = d.clock
	d.entries[id] = e
	d.publish()
}

// learnReceipt takes in the principals that a batch has written, at once: who makes a token can use it at once.
func (d *Directory) learnReceipt(b *knowledge.Batch, r *knowledge.Receipt) {
	for i, op := range b.Ops {
		if op.Key.Kind != knowledge.KindPrincipal || i >= len(r.Records) {
			continue
		}
		if rec := r.Records[i]; rec != nil {
			d.learn(op.Key.ID, rec.Version, rec)
			continue
		}
		d.mu.Lock()
		version := d.entries[op.Key.ID].version + 1
		d.mu.Unlock()
		d.learn(op.Key.ID, version, nil)
	}
}

// Bounds of keeping current.
const (
	retryAfter = time.Second
	// reloadAfter is how often everything is read again: what was learnt from a batch that waited and was parked in the end
	// is forgotten then.
	reloadAfter = time.Minute
)

// Run keeps the directory current until ctx ends or the store is closed.
func (d *Directory) Run(ctx context.Context) error {
	for {
		err := d.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrClosed):
			return err
		case err == nil: // time to read everything again
			continue
		}
		d.log.WarnContext(ctx, "principals can't be followed: those known last stay in force", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryAfter):
		}
	}
}

// follow reads everything, then the changes since, for as long as reloadAfter.
func (d *Directory) follow(ctx context.Context) error {
	after, err := store.Tail(ctx, d.next)
	if err != nil {
		return fmt.Errorf("follow principals: %w", err)
	}
	if err := d.Load(ctx); err != nil {
		return err
	}
	some, cancel := context.WithTimeout(ctx, reloadAfter)
	defer cancel()
	err = store.Follow(some, d.next, after, 0, func(list []knowledge.Change) error {
		for _, c := range slices.Backward(list) { // the newest of each is enough, and comes first
			if c.Key.Kind == knowledge.KindPrincipal && (c.Record != nil || c.Verb == knowledge.VerbPurge) {
				d.learn(c.Key.ID, c.Version, c.Record)
			}
		}
		return nil
	})
	if some.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow principals: %w", err)
}
