package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// answering returns a client of a server that answers with fn.
func answering(t *testing.T, fn http.HandlerFunc) *client.Store {
	t.Helper()
	srv := httptest.NewServer(fn)
	t.Cleanup(srv.Close)
	s, err := client.New(client.Options{URL: srv.URL, Token: "tenet_test", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

//nolint:gochecknoglobals // never written
var key = knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"}

func TestAnAddressThatIsNoTenetsIsRefused(t *testing.T) {
	for _, url := range []string{
		"", "localhost:8420", "ftp://x", "http://", "http://user:secret@host",
		"http://host/?a=b", "http://[::1", "http://host/#x",
	} {
		_, err := client.New(client.Options{URL: url})
		if err == nil {
			t.Errorf("%q was taken for an address", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error for %q shows a password: %v", url, err)
		}
	}
}

func TestErrorsAreRebuiltFromProblems(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"not found", 404, `{"code":"not_found","kind":"rule","id":"SEC-001"}`, &store.NotFoundError{Key: key}},
		{
			"conflict", 409, `{"code":"conflict","kind":"rule","id":"SEC-001","op":2,"want":-1,"got":7}`,
			&store.ConflictError{Key: key, Op: 2, Want: -1, Got: 7},
		},
		{"gone", 410, `{"code":"gone","oldest":12}`, &store.GoneError{Oldest: 12}},
		{
			"forbidden", 403, `{"code":"forbidden","detail":"only admins purge"}`,
			&store.ForbiddenError{Reason: "only admins purge"},
		},
		{
			"invalid", 422, `{"code":"invalid","errors":[{"pointer":"/title","detail":"missing"}]}`,
			&knowledge.InvalidError{Faults: []knowledge.Fault{{Pointer: "/title", Detail: "missing"}}},
		},
		{
			"a bad query", 400, `{"code":"invalid","query":true,"errors":[{"pointer":"/limit","detail":"too large"}]}`,
			&knowledge.InvalidError{Query: true, Faults: []knowledge.Fault{{Pointer: "/limit", Detail: "too large"}}},
		},
		{
			"too large", 413, `{"code":"too_large","detail":"at most 5"}`,
			&knowledge.InvalidError{Faults: []knowledge.Fault{{Detail: "at most 5"}}},
		},
		{
			"unavailable", 503, `{"code":"unavailable","detail":"disk ` +
				`full","retry_after":30,"halt":true,"read_only":true,"not_done":true}`,
			&store.UnavailableError{
				Reason: "disk full", RetryAfter: 30 * time.Second, Halt: true, ReadOnly: true,
				NotDone: true,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := answering(t, func(w http.ResponseWriter, _ *http.Request) { problem(w, c.status, c.body) })
			_, err := s.Get(t.Context(), key)
			if diff := cmp.Diff(c.want, err); diff != "" {
				t.Errorf("the error is another one (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSentinelsAreRebuiltFromProblems(t *testing.T) {
	for body, want := range map[string]error{
		`{"code":"reused"}`: store.ErrReused, `{"code":"unauthenticated"}`: store.ErrUnauthenticated,
		`{"code":"not_found"}`: store.ErrNotFound,
		`{"code":"internal"}`:  store.ErrUnavailable, `{"code":"timeout"}`: store.ErrUnavailable,
	} {
		status := 400
		if errors.Is(want, store.ErrUnavailable) {
			status = 500
		}
		s := answering(t, func(w http.ResponseWriter, _ *http.Request) { problem(w, status, body) })
		if _, err := s.Get(t.Context(), key); !errors.Is(err, want) {
			t.Errorf("%s became %v, want %v", body, err, want)
		}
	}
}

func TestAnotherProgramIsNotTakenForATenet(t *testing.T) {
	for _, status := range []int{200, 302, 404, 502} {
		s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(status)
			io.WriteString(w, "<html>hello</html>")
		})
		_, err := s.List(t.Context(), knowledge.Query{Kind: knowledge.KindRule})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("status %d of a foreign server: %v, want ErrUnavailable", status, err)
		}
	}
}

func TestARedirectDoesNotTakeTheTokenAlong(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a redirect: %v, want ErrUnavailable", err)
	}
	if asked.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestAnUnavailableTenetIsAskedAgain(t *testing.T) {
	var calls atomic.Int32
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			problem(w, 503, `{"code":"unavailable","detail":"starting"}`)
			return
		}
		w.Header().Set("ETag", `"4"`)
		w.Header().Set("Tenet-Source", "mirror")
		w.Header().Set("Tenet-Mode", "degraded")
		w.Header().Set("Tenet-As-Of", "2026-01-02T03:04:05.000006Z")
		w.Header().Set("Tenet-Lacking", "2")
		w.Write(ruleJSON(t))
	})
	rec, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Key != key || rec.Source != knowledge.SourceMirror || calls.Load() != 3 {
		t.Errorf("got %+v after %d calls", rec, calls.Load())
	}
	want := knowledge.Level{
		Mode: knowledge.ModeDegraded,
		AsOf: knowledge.At(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)), Lacking: 2,
	}
	if got := s.Level(); got != want {
		t.Errorf("level %+v, want %+v", got, want)
	}
}

func ruleJSON(t *testing.T) []byte {
	t.Helper()
	r := &knowledge.Rule{RuleID: key.ID, Category: "security", Title: "T", Description: "<D> & more", IsActive: true}
	r.Normalize()
	knowledge.StampNext(r, nil, 0, "a", knowledge.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	b, err := json.Marshal(r) // escaped, as some proxy might
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAHaltOrALongWaitIsToldAtOnce(t *testing.T) {
	for _, body := range []string{`{"code":"unavailable","halt":true}`, `{"code":"unavailable","retry_after":3600}`} {
		var calls atomic.Int32
		s := answering(t, func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); problem(w, 503, body) })
		if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrUnavailable) || calls.Load() != 1 {
			t.Errorf("%s: %v after %d calls, want ErrUnavailable after one", body, err, calls.Load())
		}
	}
}

func TestAWriteIsSentAgainUnderItsOwnID(t *testing.T) {
	var mu sync.Mutex
	var ids []string
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		var b struct{ ID, Actor, Mode string }
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		mu.Lock()
		ids = append(ids, b.ID)
		n := len(ids)
		mu.Unlock()
		if n == 1 {
			panic(http.ErrAbortHandler) // the answer is lost
		}
		w.WriteHeader(http.StatusAccepted)
		json.NewEncoder(w).Encode(map[string]any{"id": b.ID, "state": "queued", "results": []any{map[string]any{
			"kind": "rule", "id": key.ID, "verb": "put", "version": 1, "document": json.RawMessage(ruleJSON(t)),
		}}})
	})
	b := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "a",
		Ops: []knowledge.Op{{Verb: knowledge.VerbRetire, Key: key}},
	}
	r, err := s.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2 || ids[0] != b.ID.String() || ids[1] != b.ID.String() {
		t.Errorf("ids sent: %v, want %s twice", ids, b.ID)
	}
	if !r.Queued || r.Batch != b.ID || len(r.Records) != 1 || r.Records[0].Pending != b.ID {
		t.Errorf("receipt %+v", r)
	}
}

func TestARefusedConnectionSaysThatNothingWasDone(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	s, err := client.New(client.Options{URL: url, Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Apply(t.Context(), knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: "a",
		Ops: []knowledge.Op{{Verb: knowledge.VerbRetire, Key: key}},
	})
	e, ok := errors.AsType[*store.UnavailableError](err)
	if !ok || !e.NotDone || !strings.Contains(e.Error(), url) {
		t.Errorf("got %v, want an UnavailableError that names %s and says that nothing was done", err, url)
	}
}

func TestACallersEndIsItsOwnError(t *testing.T) {
	arrived := make(chan struct{}, 8)
	s := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() { got <- s.Wait(ctx, 0) }()
	<-arrived
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v, want context.Canceled", err)
	}
	if _, err := s.Get(ctx, key); !errors.Is(err, context.Canceled) {
		t.Errorf("a call whose context has ended: %v, want context.Canceled", err)
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	arrived := make(chan struct{}, 8)
	s := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	got := make(chan error, 1)
	go func() { got <- s.Wait(t.Context(), 0) }()
	<-arrived
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, store.ErrClosed) {
		t.Errorf("a call under way when the store was closed: %v, want ErrClosed", err)
	}
	if err := s.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("the second Close: %v, want ErrClosed", err)
	}
}

func TestASilentTenetIsUnavailable(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer srv.Close()
	s, err := client.New(client.Options{URL: srv.URL, Timeout: 20 * time.Millisecond, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a silent tenet: %v, want ErrUnavailable", err)
	}
}

func TestEveryFilterIsSent(t *testing.T) {
	var got string
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Path + "?" + r.URL.RawQuery
		io.WriteString(w, `{"items":[],"next":""}`)
	})
	_, err := s.List(t.Context(), knowledge.Query{
		Kind: knowledge.KindRule, Category: "a b", Tag: "t", Language: "go", Severity: "ERROR",
		Enforcement: "optional", Status: "DRAFT",
		Activity: knowledge.AnyActivity, Order: knowledge.OrderUpdated, Limit: 7, Cursor: "c",
		UpdatedSince: knowledge.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "/api/v1/rules?active=any&category=a+b&cursor=c&enforcement=optional&language=go&limit=7&severity=ERROR&sort=updated&status=DRAFT" +
		"&tag=t&updated_since=2026-01-02T03%3A04%3A05.000000Z"
	if got != want {
		t.Errorf("asked for\n%s, want\n%s", got, want)
	}
}
