package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/access"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/sqlite"
	"tenet/internal/store"
)

// A tenet is a door on a real port with a store that holds the example document of every kind.
type tenet struct {
	t      *testing.T
	h      *Handler
	store  *faulty
	auth   *authority
	url    string
	client *http.Client
	close  func()        // ends it before its test does
	seeded knowledge.Seq // the seq of the last change that seeding made

	mu   sync.Mutex // guards what follows
	seen map[pair]bool
	told []access.Refusal // of every refused call
}

// A pair is an answer of a route.
type pair struct {
	route  string
	status int
}

// An authority knows a token for every role, by the role's name.
type authority struct {
	mu  sync.Mutex // guards err
	err error
}

func (a *authority) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *authority) Authenticate(token string) (*access.Caller, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return nil, a.err
	}
	if token == agentToken {
		return &access.Caller{ID: "the-agent", Name: "The agent", Role: knowledge.RoleMaintainer, Agent: true}, nil
	}
	if !slices.Contains(knowledge.Roles(), token) {
		return nil, store.ErrUnauthenticated
	}
	return &access.Caller{ID: "the-" + token, Name: "The " + token, Role: token}, nil
}

func (n *tenet) refused(_ context.Context, r access.Refusal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, r)
}

// newTenet starts a tenet; change may alter its options.
func newTenet(t *testing.T, change func(*Options)) *tenet {
	t.Helper()
	n := &tenet{t: t, auth: &authority{}, seen: map[pair]bool{}}
	n.store = &faulty{next: seededStore(t)}
	o := Options{
		Seq:   func() knowledge.Seq { return n.seeded },
		Store: access.New(n.store, nil, n.refused), Refused: n.refused, Authenticate: n.auth.Authenticate,
		Version: "1.2.3", Desk: desk{n.store}, Mirror: &mirrorBell{}, Jobs: jobs{n.store}, Fleet: aFleet{n.store},
		Effects: someEffects{n.store}, Check: aCheck{n.store}.Check, Audit: jobs{n.store}, Erase: jobs{n.store}.erase,
		Archive: jobs{n.store}, Labels: someLabels{n.store}, LiveDescription: []byte(`{"asyncapi":"3.0.0"}`),
		MetricsHandler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "tenet_up 1")
		}),
		Observe: func(route string) func(int, time.Duration) {
			return func(status int, _ time.Duration) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.seen[pair{route, status}] = true
			}
		},
	}
	o.Guidance = guidance.New(guidance.Options{Store: n.store.next, Feed: n.store.next, TextBytes: 1})
	if change != nil {
		change(&o)
	}
	following, stop := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	followers.Go(func() { o.Guidance.Run(following) })
	n.h = New(o)
	server := httptest.NewServer(n.h)
	n.close = sync.OnceFunc(func() {
		server.Close()
		stop()
		followers.Wait()
		n.store.Close()
	})
	t.Cleanup(n.close)
	n.url, n.client = server.URL, server.Client()
	n.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	n.client.Transport.(*http.Transport).DisableCompression = true
	n.seeded = n.tail()
	return n
}

// counting makes a tenet that counts the uses of templates.
func counting(o *Options) { o.Uses = newCounter() }

func (n *tenet) tail() knowledge.Seq {
	n.t.Helper()
	seq, err := store.Tail(n.t.Context(), n.store.next)
	if err != nil {
		n.t.Fatalf("read the end of the log: %v", err)
	}
	return seq
}

// changesSince returns the changes behind a seq, as "verb kind/id version actor".
func (n *tenet) changesSince(after knowledge.Seq) []string {
	n.t.Helper()
	changes, err := n.store.next.Changes(n.t.Context(), knowledge.ChangeQuery{After: after})
	if err != nil {
		n.t.Fatalf("read the log: %v", err)
	}
	list := []string{}
	for _, c := range changes {
		list = append(list, fmt.Sprintf("%s %s %d %s", c.Verb, c.Key, c.Version, c.Actor))
	}
	return list
}

// An ask is a request of a test. The token is that of an admin unless it says otherwise; "-" is none.
type ask struct {
	drip         io.Reader // in place of the body
	method, path string
	token        string
	header       map[string]string
	body         string
}

// A reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (n *tenet) do(a ask) *reply {
	n.t.Helper()
	return n.doWith(n.t.Context(), a)
}

func (n *tenet) doWith(ctx context.Context, a ask) *reply {
	n.t.Helper()
	var body io.Reader = strings.NewReader(a.body)
	if a.drip != nil {
		body = a.drip
	}
	req, err := http.NewRequestWithContext(ctx, a.method, n.url+a.path, body)
	if err != nil {
		n.t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	switch a.token {
	case "":
		req.Header.Set("Authorization", "Bearer "+knowledge.RoleAdmin)
	case "-":
	default:
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.body != "" {
		req.Header.Set("Content-Type", mediaJSON)
		if a.method == http.MethodPatch {
			req.Header.Set("Content-Type", mediaPatch)
		}
	}
	for name, value := range a.header {
		if value == "" {
			req.Header.Del(name)
			continue
		}
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatalf("%s %s: read the answer: %v", a.method, a.path, err)
	}
	return &reply{resp.StatusCode, resp.Header, text}
}

// get decodes the body of a reply.
func decode[T any](t *testing.T, r *reply) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("answer %d is not JSON: %v\n%s", r.status, err, r.body)
	}
	return v
}

// part reports where got lacks something of want, "" when it holds all of it. The text "*" in want stands for anything.
func part(want, got any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: got %v, want an object", at, got)
		}
		for name, value := range w {
			if missing := part(value, g[name], at+"/"+name); missing != "" {
				return missing
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: got %v, want %v", at, got, want)
		}
		for i := range w {
			if missing := part(w[i], g[i], fmt.Sprintf("%s/%d", at, i)); missing != "" {
				return missing
			}
		}
		return ""
	case string:
		if w == "*" && got != nil {
			return ""
		}
		if s, ok := got.(string); ok && len(w) > 2 && strings.HasPrefix(w, "~") && strings.Contains(s, w[1:]) {
			return ""
		}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: got %v, want %v", at, got, want)
	}
	return ""
}

// holds checks that a reply's body holds the JSON want.
func (r *reply) holds(t *testing.T, want string) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("the test wants no JSON: %v", err)
	}
	if err := json.Unmarshal(r.body, &g); err != nil {
		t.Errorf("the answer is no JSON: %v\n%s", err, r.body)
		return
	}
	if missing := part(w, g, ""); missing != "" {
		t.Errorf("answer: %s\n%s", missing, bytes.TrimSpace(r.body))
	}
}

// seed writes the example document of every kind.
func seed(ctx context.Context, s store.Store) error {
	b := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "seed"}
	// A proposal is changed by its writer alone: it is the admin's, as whom most tests ask.
	own := knowledge.Batch{ID: knowledge.NewBatchID(), Actor: "the-admin"}
	for _, k := range knowledge.Kinds() {
		into := &b
		if k == knowledge.KindProposal {
			into = &own
		}
		into.Ops = append(into.Ops, knowledge.Put(exampleDocument(k), knowledge.NoVersion))
	}
	_, err := s.Apply(ctx, b)
	if err == nil {
		_, err = s.Apply(ctx, own)
	}
	return err
}

// seededFile makes the file that every test's store is a copy of, once.
//
//nolint:gochecknoglobals // made once for all tests, never written again
var seededFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "tenet-httpapi")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "seeded.db")
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if err := seed(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// seededStore returns a store that holds the example document of every kind.
func seededStore(t testing.TB) store.Store {
	t.Helper()
	file, err := seededFile()
	if err != nil {
		t.Fatalf("make the seeded store: %v", err)
	}
	path := filepath.Join(t.TempDir(), "tenet.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{CheckLimit: -1, Frozen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// A faulty store answers with an error, or as in an outage, when it is told to.
type faulty struct {
	next store.Store

	mu      sync.Mutex // guards what follows
	err     error      // of every method
	queuing bool       // writes wait for the primary
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) queue(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queuing = on
}

func (f *faulty) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *faulty) Get(ctx context.Context, key knowledge.Key) (*knowledge.Record, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.next.Get(ctx, key)
}

func (f *faulty) List(ctx context.Context, q knowledge.Query) (*knowledge.Page, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.next.List(ctx, q)
}

func (f *faulty) Search(ctx context.Context, q knowledge.SearchQuery) (*knowledge.Hits, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.next.Search(ctx, q)
}

func (f *faulty) Apply(ctx context.Context, b knowledge.Batch) (knowledge.Receipt, error) {
	if err := f.fault(); err != nil {
		return knowledge.Receipt{}, err
	}
	r, err := f.next.Apply(ctx, b)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.queuing {
		r.Queued, r.Seq, r.Records = true, 0, slices.Clone(r.Records)
		for i, rec := range r.Records {
			if rec != nil {
				pending := *rec
				pending.Pending, pending.Source = b.ID, knowledge.SourceMirror
				r.Records[i] = &pending
			}
		}
	}
	return r, err
}

func (f *faulty) Changes(ctx context.Context, q knowledge.ChangeQuery) ([]knowledge.Change, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.next.Changes(ctx, q)
}

func (f *faulty) Wait(ctx context.Context, after knowledge.Seq) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.next.Wait(ctx, after)
}

func (f *faulty) Ping(ctx context.Context) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.next.Ping(ctx)
}

func (f *faulty) Close() error { return f.next.Close() }

// newHandler returns a door that has every path.
func newHandler(s store.Store) *Handler {
	return New(Options{
		Store: s, Authenticate: (&authority{}).Authenticate, MetricsHandler: http.NotFoundHandler(),
		LiveDescription: []byte("{}"),
	})
}

// as asks with the token of another role.
func as(role string, a ask) ask {
	a.token = role
	return a
}
