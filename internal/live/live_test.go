package live

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

func TestAStreamHoldsEveryChangeAfterItsStartInOrder(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(300)
		r := newRig(t, log, Options{Ring: 64})
		for _, c := range []struct {
			name, query string
			header      []string
			after       knowledge.Seq
		}{
			{"from the beginning", "after=0", nil, 0},
			{"from within the log", "after=100", nil, 100},
			{"from within the ring", "after=290", nil, 290},
			{"from the end", "after=300", nil, 300},
			{"from the tail", "tail=true", nil, 300},
			{"without a word", "", nil, 300},
			{"with the id of the last event", "after=5", []string{"Last-Event-ID", "250"}, 250},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := r.dial(kind, c.query, "viewer", c.header...)
				hello := p.expect(typeHello)
				if hello.After != c.after || hello.Newest != log.end() && c.name == "from the beginning" ||
					hello.Mode != knowledge.ModeNormal {
					t.Errorf("hello is %s, want after %d", hello.raw, c.after)
				}
				want := upTo(c.after+1, 300)
				if diff := cmp.Diff(want, seqs(p.changes(len(want)))[:len(want):len(want)]); diff != "" &&
					len(want) > 0 {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			})
		}
	})
}

func TestWhatIsWrittenLaterFollows(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(3)
		r := newRig(t, log, Options{Ring: 16})
		p := r.dial(kind, "after=1", "viewer")
		p.expect(typeHello)
		p.changes(2)
		for range 5 {
			log.rules(50) // more than the ring holds at once
			log.add(put(t, rule("A")), put(t, rule("B")), put(t, rule("C")))
			got := seqs(p.changes(53))
			if want := upTo(log.end()-52, log.end()); !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

func TestAMessageHoldsTheChangeAsTheLogHasIt(t *testing.T) {
	log := newLog(t)
	log.add(put(t, rule("A", func(r *knowledge.Rule) { r.Title = "a < b & \"c\" \u2028 ü" })),
		purge(knowledge.KindPractice, "P"))
	r := newRig(t, log, Options{})
	for i, query := range []string{"after=0", "after=0&document=false"} {
		kinds(t, func(t *testing.T, kind string) {
			p := r.dial(kind, query, "viewer")
			p.expect(typeHello)
			for _, want := range log.all() {
				m := p.expect(typeChange)
				if i == 1 {
					if m.Document != nil || strings.Contains(m.raw, "document") {
						t.Errorf("%s holds a document", m.raw)
					}
					want.Record = nil
				}
				var got knowledge.Change
				if err := json.Unmarshal([]byte(m.raw), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("change (-want +got):\n%s", diff)
				}
				if at := knowledge.MarkAt(want.Seq, want.Chain).String(); kind == "sse" && m.lastID != at ||
					m.Position != at {
					t.Errorf("the event's id is %q and its position %q, want %s", m.lastID, m.Position, at)
				}
			}
		})
	}
}

func TestASubscriberGetsWhatItNamed(t *testing.T) {
	log := newLog(t)
	category := storetest.Category(func(c *knowledge.Category) { c.ID = "security" })
	practice := storetest.Practice(func(p *knowledge.Practice) { p.PracticeID, p.Category = "P", "security" })
	violation := storetest.Violation("A", func(v *knowledge.Violation) { v.ViolationID = "V" })
	log.add(put(t, category))                     // 1
	log.add(put(t, rule("A", in("security"))))    // 2
	log.add(put(t, rule("B", in("style"))))       // 3
	log.add(put(t, practice))                     // 4
	log.add(put(t, violation))                    // 5
	log.add(put(t, storetest.Principal()))        // 6
	log.add(purge(knowledge.KindRule, "B"))       // 7
	log.add(purge(knowledge.KindViolation, "V"))  // 8
	log.add(purge(knowledge.KindCategory, "old")) // 9
	r := newRig(t, log, Options{})
	for _, c := range []struct {
		role, query string
		want        []knowledge.Seq
	}{
		{"viewer", "", []knowledge.Seq{1, 2, 3, 4, 5, 7, 8, 9}},
		{"maintainer", "", []knowledge.Seq{1, 2, 3, 4, 5, 7, 8, 9}},
		{"admin", "", []knowledge.Seq{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"admin", "&kind=principal", []knowledge.Seq{6}},
		{"viewer", "&kind=rule", []knowledge.Seq{2, 3, 7}},
		{"viewer", "&kind=rules,practice", []knowledge.Seq{2, 3, 4, 7}},
		{"viewer", "&kind=rule&kind=practice", []knowledge.Seq{2, 3, 4, 7}},
		{"viewer", "&category=security", []knowledge.Seq{1, 2, 4, 7}},
		{"viewer", "&category=security,style&kind=rule", []knowledge.Seq{2, 3, 7}},
		{"viewer", "&key=rule/B", []knowledge.Seq{3, 7}},
		{"viewer", "&key=rule/B,violation/V", []knowledge.Seq{3, 5, 7, 8}},
		{"viewer", "&key=rule/B&category=security", []knowledge.Seq{7}},
	} {
		t.Run(c.role+c.query, func(t *testing.T) {
			for _, ring := range []bool{true, false} {
				if !ring {
					r.hub.restart(log.end()) // everything comes from the log
				}
				p := r.dial("websocket", "after=0"+c.query, c.role)
				p.expect(typeHello)
				if got := seqs(p.changes(len(c.want))); !slices.Equal(got, c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
				p.shut()
			}
		})
	}
}

func TestRefusalsComeBeforeTheStream(t *testing.T) {
	log := newLog(t)
	log.rules(3)
	r := newRig(t, log, Options{MaxConnections: 3, MaxPerPrincipal: 2, Origins: []string{
		"docs.example.com",
		"https://*.example.org",
	}})
	for _, c := range []struct {
		name, query, token string
		header             []string
		status             int
		code, say          string
	}{
		{"nobody", "", "", nil, 401, "unauthenticated", ""},
		{"no role", "", "guest", nil, 403, "forbidden", "guest"},
		{"principals", "kind=principal", "maintainer", nil, 403, "forbidden", "admin"},
		{"a principal", "key=principal/x", "viewer", nil, 403, "forbidden", "admin"},
		{"unknown parameter", "kinds=rule", "viewer", nil, 400, "invalid", "kinds"},
		{"token in the URL", "token=abc", "viewer", nil, 400, "invalid", "token"},
		{"unknown kind", "kind=rule,law", "viewer", nil, 400, "invalid", "law"},
		{"foreign page", "", "viewer", []string{"Origin", "https://evil.example"}, 403, "forbidden", "evil"},
		{"page in a box", "", "viewer", []string{"Origin", "null"}, 403, "forbidden", "null"},
		{"page without TLS", "", "viewer", []string{"Origin", "http://a.example.org"}, 403, "forbidden", "example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, kind string) {
				_, resp, err := r.try(kind, c.query, c.token, c.header...)
				checkRefusal(t, resp, err, c.status, c.code, c.say)
			})
		})
	}
	t.Run("neither kind of stream", func(t *testing.T) {
		_, resp, err := r.try("sse", "", "viewer", "Accept", "application/json")
		checkRefusal(t, resp, err, http.StatusUpgradeRequired, "upgrade_required", "WebSocket")
	})
	t.Run("own pages and allowed ones are let in", func(t *testing.T) {
		for _, origin := range []string{r.server.URL, "https://docs.example.com", "https://a.example.org"} {
			kinds(t, func(t *testing.T, kind string) {
				p := r.dial(kind, "", "viewer", "Origin", origin)
				p.expect(typeHello)
				p.shut()
				eventually(t, "it has left", func() bool { _, n := r.hub.standing(); return n == 0 })
			})
		}
	})
	eventually(t, "everybody has left", func() bool { _, n := r.hub.standing(); return n == 0 })
	t.Run("too many of one principal", func(t *testing.T) {
		r.dial("websocket", "", "viewer").expect(typeHello)
		r.dial("sse", "", "viewer").expect(typeHello)
		kinds(t, func(t *testing.T, kind string) {
			_, resp, err := r.try(kind, "", "viewer")
			checkRefusal(t, resp, err, http.StatusTooManyRequests, "too_many", "2 open streams")
			checkRetry(t, resp)
		})
	})
	t.Run("too many", func(t *testing.T) {
		r.dial("websocket", "", "admin").expect(typeHello)
		_, resp, err := r.try("websocket", "", "maintainer")
		checkRefusal(t, resp, err, http.StatusServiceUnavailable, "unavailable", "3 streams")
		checkRetry(t, resp)
	})
}

func checkRefusal(t *testing.T, resp *http.Response, err error, status int, code, say string) {
	t.Helper()
	if err == nil {
		t.Fatal("the stream was opened")
	}
	if resp == nil {
		t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	var p api.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatalf("read the refusal: %v", err)
	}
	if resp.StatusCode != status || p.Status != status || p.Code != code {
		t.Errorf("refused with %d and code %q, want %d and %q", resp.StatusCode, p.Code, status, code)
	}
	text, _ := json.Marshal(p) // it was just decoded
	if !strings.Contains(string(text), say) {
		t.Errorf("the refusal does not say %q: %s", say, text)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the refusal's type is %q", got)
	}
}

func checkRetry(t *testing.T, resp *http.Response) {
	t.Helper()
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || n < 1 {
		t.Errorf("Retry-After is %q, want seconds", resp.Header.Get("Retry-After"))
	}
}

func TestAPositionBeforeTheLogIsGone(t *testing.T) {
	log := newLog(t)
	log.rules(200)
	log.forget(150)
	r := newRig(t, log, Options{Ring: 8})
	t.Run("an event stream is refused", func(t *testing.T) {
		_, resp, err := r.try("sse", "after=148", "viewer")
		checkRefusal(t, resp, err, http.StatusGone, "gone", `"oldest":150`)
	})
	t.Run("a WebSocket is told", func(t *testing.T) {
		p := r.dial("websocket", "after=148", "viewer")
		m, err := p.next()
		if err != nil || m.Type != typeGone || m.Oldest != 150 || m.Why == "" {
			t.Errorf("got %s and %v, want gone with oldest 150", m.raw, err)
		}
		if _, err := p.next(); websocket.CloseStatus(err) != codeGone {
			t.Errorf("closed with %v, want %d", err, codeGone)
		}
	})
	t.Run("the place right before the oldest is not", func(t *testing.T) {
		kinds(t, func(t *testing.T, kind string) {
			p := r.dial(kind, "after=149", "viewer")
			p.expect(typeHello)
			if got := seqs(p.changes(51)); !slices.Equal(got, upTo(150, 200)) {
				t.Errorf("got %v, want 150 to 200", got)
			}
		})
	})
}

func TestAStreamThatTheLogOvertookIsGone(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(10)
		r := newRig(t, log, Options{Ring: 8, PollFloor: 10 * time.Millisecond})
		p := r.dial(kind, "after=0", "viewer")
		p.expect(typeHello)
		p.changes(int(log.end()))
		log.failWith(&store.UnavailableError{Reason: "away"})
		last := log.rules(40)
		log.forget(last - 5)
		log.failWith(nil)
		if m := p.expect(typeGone); m.Oldest != last-5 {
			t.Errorf("got %s, want gone with oldest %d", m.raw, last-5)
		}
	})
}

func TestAnotherHistoryEndsEveryStream(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(20)
		r := newRig(t, log, Options{PollFloor: 10 * time.Millisecond})
		p := r.dial(kind, "tail=true", "viewer")
		p.expect(typeHello)
		log.replace(15, 30)
		if m := p.expect(typeGone); m.Oldest != 0 || !strings.Contains(m.Why, "another history") {
			t.Errorf("got %s, want gone because of another history", m.raw)
		}
		r.level()
		again := r.dial(kind, "after=0", "viewer")
		again.expect(typeHello)
		if got := seqs(again.changes(45)); !slices.Equal(got, upTo(1, 45)) {
			t.Errorf("the new history is %v, want 1 to 45", got)
		}
	})
}

func TestAChainOfAnotherHistoryIsGone(t *testing.T) {
	log := newLog(t)
	log.rules(400)
	r := newRig(t, log, Options{Ring: 64})
	chain := func(seq knowledge.Seq) string {
		var m message
		var c struct{ Chain string }
		p := r.dial("websocket", "after="+strconv.Itoa(int(seq-1)), "viewer")
		defer p.shut()
		p.expect(typeHello)
		m = p.expect(typeChange)
		if err := json.Unmarshal([]byte(m.raw), &c); err != nil {
			t.Fatal(err)
		}
		return c.Chain
	}
	for _, seq := range []knowledge.Seq{10, 390, 400} {
		after := "after=" + strconv.Itoa(int(seq)) + "&chain="
		for _, good := range []string{chain(seq), chain(seq)[:16]} {
			r.dial("websocket", after+good, "viewer").expect(typeHello)
			r.dial("sse", after+good, "viewer").expect(typeHello)
		}
		bad := chain(seq - 1)
		if m, err := r.dial("websocket", after+bad, "viewer").next(); err != nil || m.Type != typeGone {
			t.Errorf("with a wrong chain at %d got %s and %v, want gone", seq, m.raw, err)
		}
		_, resp, err := r.try("sse", after+bad, "viewer")
		checkRefusal(t, resp, err, http.StatusGone, "gone", "another history")
	}
	r.dial("websocket", "after=401&chain="+chain(400), "viewer").expect(typeHello) // nobody can tell yet
}

// After a backup was put back the log ends before what a subscriber has seen, and later goes on with other changes.
func TestAPositionBehindTheEndOfTheOnlyLogIsGone(t *testing.T) {
	log := newLog(t)
	log.rules(20)
	r := newRig(t, log, Options{Alone: true})
	r.dial("websocket", "after=20", "viewer").expect(typeHello)
	for _, after := range []string{"21", "21-0123456789abcdef", "5000"} {
		if m, err := r.dial("websocket", "after="+after, "viewer").next(); err != nil || m.Type != typeGone ||
			m.Oldest != 0 {
			t.Errorf("after %s: got %s and %v, want gone", after, m.raw, err)
		}
		_, resp, err := r.try("sse", "after="+after, "viewer")
		checkRefusal(t, resp, err, http.StatusGone, "gone", "beyond its end")
	}
}

func TestAPositionLeadsBackAndIsKnownInAnotherHistory(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(20)
		r := newRig(t, log, Options{PollFloor: 10 * time.Millisecond, PingEvery: 250 * time.Millisecond})
		p := r.dial(kind, "after=0&kind=practice", "viewer")
		p.expect(typeHello)
		m := p.expect(typePing)
		for m.Seq < 20 { // it moves on over the rules, which are left out
			m = p.expect(typePing)
		}
		at := m.Position
		if want := knowledge.MarkAt(20, log.all()[19].Chain).String(); at != want {
			t.Fatalf("the position is %q, want %q", at, want)
		}
		back := r.dial(kind, "after="+at, "viewer")
		if m := back.expect(typeHello); m.Position != at {
			t.Errorf("came back to %q, want %q", m.Position, at)
		}
		log.replace(15, 30)
		p.expect(typeGone)
		r.level()
		_, resp, err := r.try("sse", "after="+at, "viewer")
		checkRefusal(t, resp, err, http.StatusGone, "gone", "another history")
	})
}

func TestAStreamOutlivesAnOutageOfTheLog(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(500)
		r := newRig(t, log, Options{Ring: 8, PollFloor: 10 * time.Millisecond})
		live := r.dial(kind, "tail=true", "viewer")
		live.expect(typeHello)
		log.failWith(&store.UnavailableError{Reason: "away"})
		behind := r.dial(kind, "after=0", "viewer")
		behind.expect(typeHello)
		last := log.rules(5)
		log.failWith(nil)
		if got := seqs(live.changes(5)); !slices.Equal(got, upTo(last-4, last)) {
			t.Errorf("the one at the end got %v", got)
		}
		if got := seqs(behind.changes(int(last))); !slices.Equal(got, upTo(1, last)) {
			t.Errorf("the one behind got %v", got)
		}
	})
}

func TestAStreamCanBeginAfterTheEndOfThisLog(t *testing.T) {
	log := newLog(t)
	log.rules(5)
	r := newRig(t, log, Options{})
	p := r.dial("websocket", "after=8", "viewer") // it comes from a tenet that has seen more
	p.expect(typeHello)
	log.rules(5)
	if got := seqs(p.changes(2)); !slices.Equal(got, upTo(9, 10)) {
		t.Errorf("got %v, want 9 and 10", got)
	}
}

func TestAPurgeTakesTheTextsOutOfTheRing(t *testing.T) {
	log := newLog(t)
	secret := func(r *knowledge.Rule) { r.Title = "to be forgotten" }
	log.add(put(t, rule("A", secret)))
	log.add(put(t, rule("B")))
	r := newRig(t, log, Options{})
	log.mu.Lock()
	log.list[0].Record = nil // as an engine does it
	log.mu.Unlock()
	log.add(purge(knowledge.KindRule, "A"))
	r.level()
	p := r.dial("websocket", "after=0", "viewer")
	p.expect(typeHello)
	got := p.changes(3)
	if strings.Contains(got[0].raw, "forgotten") || string(got[0].Document) != "null" {
		t.Errorf("the ring still tells %s", got[0].raw)
	}
	if !strings.Contains(got[1].raw, `"document":{`) {
		t.Errorf("the other document is gone too: %s", got[1].raw)
	}
	var c knowledge.Change
	if err := json.Unmarshal([]byte(got[0].raw), &c); err != nil || c.Chain != log.all()[0].Chain {
		t.Errorf("the emptied change can't be read any more: %v", err)
	}
}

func TestAChangeOfItsPrincipalEndsAStream(t *testing.T) {
	log := newLog(t)
	log.rules(1)
	r := newRig(t, log, Options{})
	kinds(t, func(t *testing.T, kind string) {
		p, other := r.dial(kind, "", "admin:someone"), r.dial(kind, "", "viewer:other")
		p.expect(typeHello)
		other.expect(typeHello)
		log.add(put(t, storetest.Principal(func(p *knowledge.Principal) { p.PrincipalID = "someone" })))
		if m := p.expect(typeBye); m.Retry < 1000 || !strings.Contains(m.Why, "principal") {
			t.Errorf("got %s, want a goodbye that says why and when to come back", m.raw)
		}
		log.rules(1)
		other.expect(typeChange)
	})
}

func TestAHubThatClosesSaysWhenToComeBack(t *testing.T) {
	kinds(t, func(t *testing.T, kind string) {
		log := newLog(t)
		log.rules(3)
		r := newRig(t, log, Options{})
		delays := map[int64]bool{}
		var peers []*peer
		for range 8 {
			p := r.dial(kind, "after=1", "viewer")
			p.expect(typeHello)
			p.changes(2)
			peers = append(peers, p)
		}
		stopped := make(chan struct{})
		go func() { defer close(stopped); r.stop() }()
		for _, p := range peers {
			m := p.expect(typeBye)
			if m.Seq != 3 || m.Retry < 1000 || m.Why == "" {
				t.Errorf("got %s, want a goodbye with seq 3 and a delay", m.raw)
			}
			if kind == "sse" && (m.lastID != m.Position || !strings.HasPrefix(m.Position, "3-") ||
				m.retry != strconv.FormatInt(m.Retry, 10)) {
				t.Errorf("the last event has id %q and retry %q, want 3 and %d", m.lastID, m.retry, m.Retry)
			}
			delays[m.Retry] = true
			_, err := p.next()
			if kind == "websocket" && websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("closed with %v, want 1001", err)
			}
		}
		if len(delays) < 2 {
			t.Error("everybody is told to come back at the same moment")
		}
		<-stopped
		_, resp, err := r.try(kind, "", "viewer")
		checkRefusal(t, resp, err, http.StatusServiceUnavailable, "unavailable", "stopping")
		checkRetry(t, resp)
	})
}

func TestAHubWithoutALogRefuses(t *testing.T) {
	log := newLog(t)
	log.failWith(&store.UnavailableError{Reason: "away"})
	r := &rig{t: t, hub: NewHub(Options{Feed: log}), log: log}
	_, err := r.hub.join(&access.Caller{ID: "x"}, nil, "")
	if e, ok := errors.AsType[*store.UnavailableError](err); !ok || e.RetryAfter == 0 {
		t.Errorf("got %v, want unavailable with a delay", err)
	}
}

func TestClosingCutsOffWhoDoesNotListen(t *testing.T) {
	log := newLog(t)
	log.rules(1)
	r := newRig(t, log, Options{WriteTimeout: time.Hour})
	r.stuck("after=0")
	ctx, cancel := context.WithCancel(context.Background())
	eventually(t, "it has subscribed", func() bool { _, n := r.hub.standing(); return n == 1 })
	log.add(put(t, rule("BIG", func(r *knowledge.Rule) { r.Description = strings.Repeat("x", 900<<10) })))
	cancel()
	if err := r.hub.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, n := r.hub.standing(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}
