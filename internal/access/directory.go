package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Reasons why a token is refused.
const (
	ReasonUnknown  = "no such token: ask an admin for one"
	ReasonExpired  = "the token has expired: ask an admin for a new one"
	ReasonDisabled = "the token was disabled by an admin"
)

// A Directory finds principals by token and by id. It answers from memory; while its store can't be reached, it goes on
// with the principals it knows.
type Directory struct {
	next  store.Store
	feed  store.Feed // the feed that Run follows
	log   *slog.Logger
	state atomic.Pointer[state] // the current snapshot; never nil

	mu      sync.Mutex // guards the fields below
	entries map[string]entry
	clock   int64 // counts what was learnt
}

// An entry is the last known version of a principal, from a write here or from the feed.
type entry struct {
	version int64
	learnt  int64 // the directory's clock at that time
	hash    [sha256.Size]byte
	caller  *Caller            // nil after a purge
	off     bool               // disabled
	erased  *knowledge.Erasure // of a principal that stands for an erased person; else nil
}

// A state is a read-only snapshot of the directory.
type state struct {
	byToken map[[sha256.Size]byte]*entry
	byID    map[string]*entry
}

// NewDirectory returns an empty directory of the principals in next. Load fills it, Run keeps it current.
func NewDirectory(next store.Store, log *slog.Logger) *Directory {
	d := &Directory{next: next, feed: next, log: log, entries: map[string]entry{}}
	d.state.Store(&state{})
	return d
}

// Authenticate returns the holder of a token, or a [*store.UnauthenticatedError]. The caller is shared and must not be
// modified.
func (d *Directory) Authenticate(token string) (*Caller, error) {
	// The lookup is by hash, so its time tells nothing about existing tokens.
	e := d.state.Load().byToken[hashToken(token)]
	switch {
	case e == nil:
		return nil, &store.UnauthenticatedError{Reason: ReasonUnknown}
	case e.off:
		return nil, &store.UnauthenticatedError{Reason: ReasonDisabled, ID: e.caller.ID}
	case expired(e.caller):
		return nil, &store.UnauthenticatedError{Reason: ReasonExpired, ID: e.caller.ID}
	}
	return e.caller, nil
}

func expired(c *Caller) bool { return !c.Expiry.IsZero() && !time.Now().Before(c.Expiry.Time) }

// hashToken hashes a token, without a heap copy if it has the length of one of ours.
func hashToken(token string) [sha256.Size]byte {
	var b [64]byte
	if len(token) > len(b) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(b[:copy(b[:], token)])
}

// Caller returns an actor's current caller; false if the actor is unknown, disabled or expired. The system always may
// do everything.
func (d *Directory) Caller(actor string) (*Caller, bool) {
	if actor == SystemID {
		return CallerFrom(System(context.Background())), true //nolint:forbidigo // only to name the system
	}
	e := d.state.Load().byID[actor]
	if e == nil || e.off || expired(e.caller) {
		return nil, false
	}
	return e.caller, true
}

// Empty reports whether no principal is known, so that nobody can be told from a stranger.
func (d *Directory) Empty() bool { return len(d.state.Load().byID) == 0 }

// Holds reports whether a caller is still current: false if its principal was changed, disabled, deleted or has
// expired. A stream opened with an outdated caller is closed when Holds turns false.
func (d *Directory) Holds(c *Caller) bool {
	e := d.state.Load().byID[c.ID]
	return e != nil && !e.off && !expired(e.caller) && e.version == c.version
}

// Load reads all principals. Newer versions learnt meanwhile stay.
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
		version: r.Version, off: p.Disabled, erased: p.Erasure,
		caller: &Caller{
			ID: p.PrincipalID, Name: p.Name, Role: p.Role, Agent: p.Agent, Expiry: p.Expiry,
			version: r.Version,
		},
	}
	if n, err := hex.Decode(e.hash[:], []byte(p.TokenHash)); err != nil || n != len(e.hash) {
		return entry{}, fmt.Errorf("%s: its token hash is no SHA-256", r.Key)
	}
	return e, nil
}

// CallerOf returns the caller that a principal's record describes; nil if it is disabled or expired.
func CallerOf(r *knowledge.Record) (*Caller, error) {
	e, err := entryOf(r)
	if err != nil || e.off || expired(e.caller) {
		return nil, err
	}
	return e.caller, nil
}

// publish swaps in a new read-only snapshot. If two principals have the same token, which is an admin's mistake, the
// token belongs to the first by id, whatever the order in which they were learnt. It needs d.mu.
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

// learn takes in a version of a principal. A nil record is a purge.
func (d *Directory) learn(id string, version int64, r *knowledge.Record) {
	e := entry{version: version}
	if r != nil {
		var err error
		if e, err = entryOf(r); err != nil {
			d.log.Error("principal can't be decoded: its token does not work on this instance",
				"principal", id, "error", err)
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
	if e.erased != nil {
		maps.DeleteFunc(d.entries, func(id string, _ entry) bool { return e.erased.IsID(id) })
	}
	d.publish()
}

// learnReceipt takes in the principals that a batch has written, so that a new token works at once.
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

// Intervals of Run.
const (
	retryAfter = time.Second
	// reloadAfter is how often all principals are read again. A reload drops versions learnt from a queued batch that
	// was parked.
	reloadAfter = time.Minute
)

// Follow makes the directory follow another feed than its store's.
func (d *Directory) Follow(feed store.Feed) { d.feed = feed }

// Run keeps the directory current until ctx ends or the store is closed.
func (d *Directory) Run(ctx context.Context) error {
	w := store.Watch{
		Name: "directory of principals", Feed: d.feed, Begin: d.begin, Changed: d.changed, Again: reloadAfter,
		Retry: retryAfter, Log: d.log,
	}
	return w.Run(ctx)
}

// begin reads all principals. If the feed fails, the store's current state is still used.
func (d *Directory) begin(ctx context.Context, _ error) (store.Place, error) {
	end, err := store.Newest(ctx, d.feed)
	if failed := d.Load(ctx); failed != nil {
		return end, failed
	}
	return end, err
}

// changed takes in changes of principals.
func (d *Directory) changed(list []knowledge.Change) error {
	for _, c := range slices.Backward(list) { // newest first: older versions are then skipped
		if c.Key.Kind == knowledge.KindPrincipal && (c.Record != nil || c.Verb == knowledge.VerbPurge) {
			d.learn(c.Key.ID, c.Version, c.Record)
		}
	}
	return nil
}
