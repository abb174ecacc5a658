package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// A script answers each subscription in turn: with a refusal, or with messages and the end of the stream.
type script struct {
	t     *testing.T
	steps []step

	mu    sync.Mutex // guards what follows
	asked []url.Values
	token string
}

type step struct {
	status   int // of a refusal; 0 for none
	problem  string
	messages []string
	silent   bool // the stream stays open, and nothing comes
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, r.URL.Query())
	s.token = r.Header.Get("Authorization")
	s.mu.Unlock()
	if n >= len(s.steps) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	st := s.steps[n]
	if st.status != 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(st.status)
		fmt.Fprint(w, st.problem)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"tenet.v1"}})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer conn.CloseNow()
	for _, m := range st.messages {
		if err := conn.Write(r.Context(), websocket.MessageText, []byte(m)); err != nil {
			return
		}
	}
	if st.silent {
		<-conn.CloseRead(r.Context()).Done()
	}
}

// watch runs a watch against a script and returns what it told until it ended or had told n messages.
func watch(t *testing.T, w Watch, n int, steps ...step) ([]LiveMessage, *script, error) {
	t.Helper()
	s := &script{t: t, steps: steps}
	srv := httptest.NewServer(s)
	defer srv.Close()
	c, err := New(Options{URL: srv.URL, Token: "tenet_test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var got []LiveMessage
	err = c.Watch(ctx, w, func(m LiveMessage) error {
		if got = append(got, m); len(got) == n {
			return errEnough
		}
		return nil
	})
	return got, s, err
}

var errEnough = errors.New("enough")

const hello = `{"type":"hello","mode":"normal","as_of":null,"after":%d,"newest":9,"ping_seconds":25}`

func changeText(t *testing.T, seq knowledge.Seq) string {
	t.Helper()
	r, err := knowledge.NewRecord(storetest.Rule())
	if err != nil {
		t.Fatal(err)
	}
	c := knowledge.Change{
		Seq: seq, Verb: knowledge.VerbPut, Key: r.Key, Version: 1, Record: r, Actor: "someone",
		Chain: [32]byte{byte(seq)},
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return `{"type":"change",` + string(b[1:])
}

func types(list []LiveMessage) string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.Type
		if m.Type == LiveChange {
			out[i] = fmt.Sprint(m.Seq)
		}
	}
	return strings.Join(out, " ")
}

func TestAWatchGoesOnWhereItsStreamEnded(t *testing.T) {
	got, s, err := watch(t, Watch{After: knowledge.Mark{Seq: 3}}, 9,
		step{messages: []string{fmt.Sprintf(hello, 3), changeText(t, 4), changeText(t, 5)}},
		step{
			status:  http.StatusServiceUnavailable,
			problem: `{"code":"unavailable","retry_after":0.1,"detail":"not now"}`,
		},
		step{messages: []string{
			fmt.Sprintf(hello, 5), changeText(t, 5), changeText(t, 6), `{"type":"ping","seq":8,"mode":"normal"}`,
			`{"type":"bye","seq":9,"retry_ms":1,"why":"stops"}`,
		}},
		step{messages: []string{fmt.Sprintf(hello, 9), changeText(t, 10)}, silent: true},
	)
	if !errors.Is(err, errEnough) || types(got) != "hello 4 5 lost lost hello 6 ping lost" {
		t.Fatalf("got %s and %v", types(got), err)
	}
	if got[8].Why != "the stream ended: stops" || got[8].Retry != time.Millisecond {
		t.Errorf("the goodbye was told as %+v", got[8])
	}
	if s.token != "Bearer tenet_test" {
		t.Errorf("the token was sent as %q", s.token)
	}
	for i, want := range []url.Values{
		{"after": {"3"}},
		{"after": {"5-0500000000000000"}},
		{"after": {"5-0500000000000000"}},
	} {
		if s.asked[i].Encode() != want.Encode() {
			t.Errorf("subscription %d asked for %s, want %s", i, s.asked[i].Encode(), want.Encode())
		}
	}
}

func TestAWatchFromTheTailGoesOnWhereItBegan(t *testing.T) {
	_, s, err := watch(t, Watch{
		Tail: true, Kinds: []knowledge.Kind{knowledge.KindRule, knowledge.KindPractice},
		Categories: []string{"security"},
		Keys:       []knowledge.Key{{Kind: knowledge.KindRule, ID: "A"}}, NoDocuments: true,
	}, 3, step{messages: []string{fmt.Sprintf(hello, 7)}}, step{
		messages: []string{fmt.Sprintf(hello, 7)},
		silent:   true,
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	rest := "category=security&document=false&key=rule%2FA&kind=rule&kind=practice"
	if first := s.asked[0].Encode(); first != rest+"&tail=true" {
		t.Errorf("first it asked for %s", first)
	}
	if second := s.asked[1].Encode(); second != "after=7&"+rest {
		t.Errorf("then it asked for %s", second)
	}
}

func TestAWatchEndsWithWhatCantBeMended(t *testing.T) {
	for _, c := range []struct {
		name string
		step step
		want error
	}{
		{"gone", step{messages: []string{`{"type":"gone","oldest":17,"why":"x"}`}}, store.ErrGone},
		{"another history", step{messages: []string{`{"type":"gone","oldest":0,"why":"x"}`}}, store.ErrGone},
		{"gone at the door", step{status: 410, problem: `{"code":"gone","oldest":17}`}, store.ErrGone},
		{"no token", step{status: 401, problem: `{"code":"unauthenticated"}`}, store.ErrUnauthenticated},
		{"not allowed", step{status: 403, problem: `{"code":"forbidden","detail":"no"}`}, store.ErrForbidden},
		{"no JSON", step{messages: []string{`hello`}}, store.ErrUnavailable},
		{"another program", step{status: 404, problem: `not found`}, store.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s, err := watch(t, Watch{}, 2, c.step)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if e, ok := errors.AsType[*store.GoneError](err); ok && e.Oldest != 17 && !e.Other {
				t.Errorf("the oldest is %d, want 17", e.Oldest)
			}
			if len(s.asked) != 1 {
				t.Errorf("it asked %d times, want once", len(s.asked))
			}
		})
	}
}

func TestCloseEndsAWatch(t *testing.T) {
	s := &script{t: t, steps: []step{{messages: []string{fmt.Sprintf(hello, 0)}, silent: true}}}
	srv := httptest.NewServer(s)
	defer srv.Close()
	c, err := New(Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Watch(t.Context(), Watch{}, func(LiveMessage) error {
		go c.Close()
		return nil
	})
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v, want %v", err, store.ErrClosed)
	}
	if err := c.Watch(t.Context(), Watch{}, nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("once closed: got %v, want %v", err, store.ErrClosed)
	}
}

func TestAProvisionalChangeHasItsDocument(t *testing.T) {
	r, err := knowledge.NewRecord(storetest.Rule())
	if err != nil {
		t.Fatal(err)
	}
	batch := knowledge.NewBatchID()
	m, err := decodeLive([]byte(`{"type":"change","provisional":true,"batch":"` + batch.String() +
		`","verb":"put","kind":"rule","id":"` +
		r.Key.ID + `","version":3,"actor":"someone","at":"2026-01-31T12:00:00.000000Z","document":` + string(r.JSON) +
		`}`))
	if err != nil {
		t.Fatal(err)
	}
	if !m.Provisional || m.Seq != 0 || m.Change.Key != r.Key || m.Change.Version != 3 ||
		!slices.Equal(m.Change.Record.JSON, r.JSON) ||
		m.Change.Record.Pending != batch {
		t.Errorf("it was read as %+v", m)
	}
}

func FuzzDecodeLive(f *testing.F) {
	for _, text := range []string{
		fmt.Sprintf(hello, 3), `{"type":"ping","seq":8}`, `{"type":"bye","seq":1,"retry_ms":-5}`,
		`{"type":"gone","oldest":3}`, `{"type":"new"}`,
		`{"type":"change","provisional":true,"kind":"rule","document":{"rule_id":"x"}}`, `{"type":"change","seq":1}`,
		`null`, `{}`,
		`{"type":"change","seq":1,"batch":"00000000-0000-0000-0000-000000000000","verb":"purge","kind":"rule",` +
			`"id":"x","version":2,"actor":"a",` +
			`"at":null,"hash":"` + strings.Repeat("0", 64) + `","chain":"` + strings.Repeat("0", 64) +
			`","document":null}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeLive(text)
		if err != nil {
			return
		}
		if m.Type == "" || m.Seq < 0 || m.Ping < 0 || m.Ping > maxPing || m.Retry < 0 || m.Retry > maxRetry {
			t.Fatalf("%q was read as %+v", text, m)
		}
		if m.Type == LiveChange && (m.Change == nil || m.Provisional != (m.Seq == 0)) {
			t.Fatalf("%q was read as a change with seq %d, provisional %v", text, m.Seq, m.Provisional)
		}
	})
}
