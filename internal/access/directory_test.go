package access

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newToken returns a token and a principal that holds it.
func newToken(t *testing.T, changes ...func(*knowledge.Principal)) (string, *knowledge.Principal) {
	t.Helper()
	token, hash, prefix, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	p := storetest.Principal(append(changes, func(p *knowledge.Principal) {
		p.TokenHash, p.TokenPrefix = hash, prefix
	})...)
	return token, p
}

func apply(t *testing.T, s store.Store, ops ...knowledge.Op) {
	t.Helper()
	if _, err := s.Apply(t.Context(), storetest.Batch(ops...)); err != nil {
		t.Fatal(err)
	}
}

func reasonOf(err error) string {
	var no *store.UnauthenticatedError
	if errors.As(err, &no) && errors.Is(err, store.ErrUnauthenticated) {
		return no.Reason
	}
	return ""
}

func TestTokensAreLongAndUnlike(t *testing.T) {
	a, hash, prefix, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	b, _, _, _ := NewToken()
	if a == b || len(a) != 49 || !strings.HasPrefix(a, "tenet_") || hash != HashToken(a) || prefix != a[:12] ||
		len(hash) != 64 {
		t.Errorf("tokens %q and %q, hash %q, prefix %q", a, b, hash, prefix)
	}
	if knowledge.TextFault("use "+a) == "" {
		t.Error("a token may stand in a document")
	}
	if got := HashToken("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("HashToken is %s", got)
	}
}

func TestAuthenticateTellsWhyATokenOpensNothing(t *testing.T) {
	s := openEngine(t)
	d := NewDirectory(s, quiet())
	soon := knowledge.At(time.Now().Add(time.Hour))
	good, p1 := newToken(t, func(p *knowledge.Principal) {
		p.Role, p.Expiry, p.Name = knowledge.RoleAdmin, soon, "Ünal"
	})
	old, p2 := newToken(t, func(p *knowledge.Principal) { p.Expiry = knowledge.At(time.Now().Add(-time.Second)) })
	off, p3 := newToken(t, func(p *knowledge.Principal) { p.Disabled = true })
	long := strings.Repeat("long", 50)
	p4 := storetest.Principal(func(p *knowledge.Principal) { p.TokenHash = HashToken(long) })
	apply(t, s, knowledge.Put(p1, 0), knowledge.Put(p2, 0), knowledge.Put(p3, 0), knowledge.Put(p4, 0))
	if _, err := d.Authenticate(good); reasonOf(err) != ReasonUnknown {
		t.Errorf("before Load: %v", err)
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := d.Authenticate(good)
	if want := (Caller{
		ID: p1.PrincipalID, Name: "Ünal", Role: knowledge.RoleAdmin, Expiry: soon,
		version: 1,
	}); err != nil || *c != want {
		t.Errorf("Authenticate = %+v, %v; want %+v", c, err, want)
	}
	if _, err := d.Authenticate(long); err != nil {
		t.Errorf("a long token of somebody's own: %v", err)
	}
	for token, want := range map[string]string{
		old: ReasonExpired, off: ReasonDisabled, "": ReasonUnknown, "tenet_": ReasonUnknown, good + "x": ReasonUnknown,
		good[:48]:    ReasonUnknown,
		p1.TokenHash: ReasonUnknown, strings.Repeat("x", 1<<20): ReasonUnknown, strings.ToUpper(good): ReasonUnknown,
		long + "x": ReasonUnknown,
	} {
		if _, err := d.Authenticate(token); reasonOf(err) != want {
			t.Errorf("Authenticate(%.20q) = %v, want %s", token, err, want)
		}
	}
	for actor, want := range map[string]string{
		p1.PrincipalID: knowledge.RoleAdmin, p2.PrincipalID: "", p3.PrincipalID: "", "nobody": "", "": "",
		SystemID: knowledge.RoleAdmin,
	} {
		if got, ok := roleOf(d, actor); got != want || ok != (want != "") {
			t.Errorf("Role(%q) = %q, %v; want %q", actor, got, ok, want)
		}
	}
}

func TestOneTokenOfTwoPrincipalsOpensTheSameAlways(t *testing.T) {
	s := openEngine(t)
	token, p := newToken(t)
	for _, id := range []string{"b", "a", "c"} {
		apply(t, s, knowledge.Put(storetest.Principal(func(q *knowledge.Principal) {
			q.PrincipalID, q.TokenHash = id, p.TokenHash
		}), 0))
	}
	for range 5 {
		d := NewDirectory(s, quiet())
		if err := d.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c, err := d.Authenticate(token); err != nil || c.ID != "a" {
			t.Fatalf("Authenticate = %+v, %v; want a", c, err)
		}
	}
}

func TestNobodyCanBeTheSystem(t *testing.T) {
	s := openEngine(t)
	token, p := newToken(t, func(p *knowledge.Principal) { p.PrincipalID = SystemID })
	apply(t, s, knowledge.Put(p, 0))
	d := NewDirectory(s, quiet())
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Authenticate(token); reasonOf(err) != ReasonUnknown {
		t.Errorf("the system's token: %+v, %v", c, err)
	}
}

func TestRunFollowsWhatOthersWriteThroughAnOutage(t *testing.T) {
	s := newFaulty(openEngine(t))
	d := NewDirectory(s, quiet())
	token, p := newToken(t)
	s.down.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	apply(t, s, knowledge.Put(p, 0))
	s.down.Store(false)
	known := func() bool { _, err := d.Authenticate(token); return err == nil }
	eventually(t, "the store is back, and its principal known", known)

	apply(t, s, knowledge.Op{Verb: knowledge.VerbRetire, Key: p.Key()})
	eventually(t, "a disabled token opens nothing", func() bool { return !known() })
	apply(t, s, knowledge.Op{Verb: knowledge.VerbRestore, Key: p.Key()})
	eventually(t, "an enabled one does", known)

	s.down.Store(true)
	if !known() {
		t.Error("a token is forgotten while the store is away")
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
}

func TestRunEndsWithItsStore(t *testing.T) {
	s := openEngine(t)
	d := NewDirectory(s, quiet())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(t.Context()) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("Run ended with %v, want ErrClosed", err)
	}
}

func TestWhatIsNewerStaysWhateverComesLate(t *testing.T) {
	d := NewDirectory(nil, quiet())
	token, p := newToken(t)
	record := func(version int64, role string) *knowledge.Record {
		p.Role, p.Version = role, version
		r, err := knowledge.NewRecord(p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	role := func() string {
		r, _ := roleOf(d, p.PrincipalID)
		return r
	}
	d.learn(p.PrincipalID, 2, record(2, knowledge.RoleAdmin))
	d.learn(p.PrincipalID, 1, record(1, knowledge.RoleViewer)) // the feed is behind
	if role() != knowledge.RoleAdmin {
		t.Errorf("an older version took effect: %s", role())
	}
	b := storetest.Batch(knowledge.Op{Verb: knowledge.VerbPurge, Key: p.Key()})
	d.learnReceipt(&b, &knowledge.Receipt{Records: []*knowledge.Record{nil}})
	d.learn(p.PrincipalID, 2, record(2, knowledge.RoleAdmin))
	if _, err := d.Authenticate(token); err == nil {
		t.Error("a purged principal came back with a change from before")
	}
	d.learn(p.PrincipalID, 4, record(4, knowledge.RoleViewer))
	if role() != knowledge.RoleViewer {
		t.Error("a principal made anew is not known")
	}
}

func TestLoadKeepsWhatWasLearntMeanwhile(t *testing.T) {
	engine := openEngine(t)
	s := &duringList{newFaulty(engine), nil}
	d := NewDirectory(s, quiet())
	token, p := newToken(t)
	s.act = func() {
		receipt, err := engine.Apply(t.Context(), storetest.Batch(knowledge.Put(p, 0)))
		if err != nil {
			t.Error(err)
			return
		}
		d.learn(p.PrincipalID, 1, receipt.Records[0])
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(token); err != nil {
		t.Errorf("what was written while Load was reading: %v", err)
	}
	// What the store has no longer, though nobody said so, ends with the next Load.
	d.learn("ghost", 9, mustRecord(t, storetest.Principal(func(p *knowledge.Principal) { p.PrincipalID = "ghost" })))
	if _, ok := roleOf(d, "ghost"); !ok {
		t.Error("what was learnt is not known")
	}
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := roleOf(d, "ghost"); ok {
		t.Error("what the store does not have is still known after Load")
	}
}

func mustRecord(t *testing.T, d knowledge.Document) *knowledge.Record {
	t.Helper()
	d.Stamps().Version = 9
	r, err := knowledge.NewRecord(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// duringList acts after a list was read and before it is handed out.
type duringList struct {
	*faulty
	act func()
}

func (s *duringList) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	page, err := s.faulty.List(ctx, q)
	if s.act != nil {
		s.act()
		s.act = nil
	}
	return page, err
}

func TestAuthenticateAllocatesNothing(t *testing.T) {
	token, p := newToken(t, func(p *knowledge.Principal) { p.Expiry = knowledge.At(time.Now().Add(time.Hour)) })
	d := NewDirectory(nil, quiet())
	d.learn(p.PrincipalID, 9, mustRecord(t, p))
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := d.Authenticate(token); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for each call", n)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	token, hash, prefix, err := NewToken()
	if err != nil {
		b.Fatal(err)
	}
	d := NewDirectory(nil, quiet())
	for range 1000 {
		p := storetest.Principal()
		p.Version = 1
		r, err := knowledge.NewRecord(p)
		if err != nil {
			b.Fatal(err)
		}
		e, err := entryOf(r)
		if err != nil {
			b.Fatal(err)
		}
		d.entries[p.PrincipalID] = e
	}
	p := storetest.Principal(func(p *knowledge.Principal) { p.TokenHash, p.TokenPrefix = hash, prefix })
	r, err := knowledge.NewRecord(p)
	if err != nil {
		b.Fatal(err)
	}
	d.learn(p.PrincipalID, 1, r)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Authenticate(token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestACallerHoldsUntilItsPrincipalIsAnother(t *testing.T) {
	s := openEngine(t)
	token, p := newToken(t)
	apply(t, s, knowledge.Put(p, knowledge.NoVersion))
	d := NewDirectory(s, quiet())
	caller := func(token string) *Caller {
		t.Helper()
		if err := d.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := d.Authenticate(token)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := caller(token)
	if caller(token); !d.Holds(first) {
		t.Error("a principal that was read again is another")
	}
	other, rotated := newToken(t)
	p.TokenHash, p.TokenPrefix = rotated.TokenHash, rotated.TokenPrefix
	apply(t, s, knowledge.Put(p, knowledge.AnyVersion))
	second := caller(other)
	if d.Holds(first) || !d.Holds(second) {
		t.Errorf("with another token the first caller holds: %v, the second: %v", d.Holds(first), d.Holds(second))
	}
	p.Disabled = true
	apply(t, s, knowledge.Put(p, knowledge.AnyVersion))
	if err := d.Load(t.Context()); err != nil || d.Holds(second) || d.Holds(&Caller{ID: "nobody"}) {
		t.Errorf("disabled, and unknown, callers hold: %v", err)
	}
}

func TestTheDirectoryBeginsAnewInANewHistory(t *testing.T) {
	storetest.RunFollower(t, func() store.Store { return openEngine(t) }, func(s store.Store) storetest.Follower {
		d := NewDirectory(s, quiet())
		return storetest.Follower{Run: d.Run, Name: func(id string) string {
			if e := d.state.Load().byID[id]; e != nil {
				return e.caller.Name
			}
			return ""
		}}
	})
}
