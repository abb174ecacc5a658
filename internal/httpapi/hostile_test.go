package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tenet/internal/awaittest"
	"tenet/internal/knowledge"
)

// begin sends the head of a request that announces a body, and a part of the body, on a connection of its own.
func begin(t *testing.T, n *tenet, token string, announced int, part string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
		batchesPath, announced)
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := conn.Write([]byte(head + "\r\n" + part)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answered reads an answer from a connection, and whether the server ends it.
func answered(t *testing.T, conn net.Conn, within time.Duration) *http.Response {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer came: %v", err)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	return r
}

// polite checks that somebody else's write and read are answered.
func polite(t *testing.T, n *tenet) {
	t.Helper()
	if r := n.do(patch(rulePath, `{"priority":5}`)); r.status != http.StatusOK {
		t.Errorf("a polite write beside it: %d %s", r.status, r.body)
	}
	if r := n.do(get("/api/v1/rules")); r.status != http.StatusOK {
		t.Errorf("a polite read beside it: %d %s", r.status, r.body)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !awaittest.Until(20*time.Second, ok) {
		t.Fatalf("waited in vain until %s", what)
	}
}

func TestARefusalDoesNotWaitForABodyThatMayNeverCome(t *testing.T) {
	n := newTenet(t, nil)
	for range 20 {
		r := answered(t, begin(t, n, "", 200<<10, `{"ops":[`), 10*time.Second) //nolint:bodyclose // answered does
		if r.StatusCode != http.StatusUnauthorized || !r.Close {
			t.Fatalf("half a body without a token: %d, the connection ends: %t; want 401 and the end of the "+
				"connection", r.StatusCode, r.Close)
		}
	}
	polite(t, n)
}

func TestABodyCostsWhatHasComeOfItAndHoldsNoSlot(t *testing.T) {
	n := newTenet(t, func(o *Options) { o.Limits.MaxConcurrent = 4 })
	const callers = 30
	for range callers {
		begin(t, n, knowledge.RoleAdmin, 32<<20, `{"ops":[`)
	}
	await(t, "every body is being read", func() bool { return n.h.bodies.Load() == callers*bodyStart })
	if got := n.h.working.Load(); got != 0 {
		t.Errorf("%d slots are held by callers who send nothing", got)
	}
	polite(t, n)
}

func TestAllBodiesShareOneBudget(t *testing.T) {
	n := newTenet(t, func(o *Options) { o.Limits.MaxBodies = 4 * bodyStart })
	for _, role := range []string{knowledge.RoleAdmin, knowledge.RoleMaintainer, knowledge.RoleContributor} {
		begin(t, n, role, 32<<20, `{"ops":[`)
	}
	await(t, "three bodies are being read", func() bool { return n.h.bodies.Load() == 3*bodyStart })
	r := answered(t, begin(t, n, agentToken, 1<<20, strings.Repeat(" ", 4*bodyStart)), 10*time.Second) //nolint:bodyclose // answered does
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("a body over the budget: %d, Retry-After %q; want 503 and when to ask again", r.StatusCode,
			r.Header.Get("Retry-After"))
	}
	await(t, "it has given back what it held", func() bool { return n.h.bodies.Load() == 3*bodyStart })
	polite(t, n)
}

func TestWhoTakesMoreThanItsShareIsToldAndTheOthersAreAnswered(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		o.Limits.MaxEach, o.Limits.MaxBodies, o.Limits.MaxWaiting = 5, 8*bodyStart, 4
		o.Limits.BodyWindow = time.Minute
	})
	tooMany := func(what string, r *http.Response) {
		t.Helper()
		if r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q; want 429 and when to ask again", what, r.StatusCode,
				r.Header.Get("Retry-After"))
		}
	}
	greedy := begin(t, n, knowledge.RoleContributor, 1<<20, strings.Repeat(" ", 5*bodyStart))
	tooMany("more bytes than a share", answered(t, greedy, 10*time.Second)) //nolint:bodyclose // answered does
	await(t, "it has given back what it held", func() bool { return n.h.bodies.Load() == 0 })
	polite(t, n)

	for range 4 { // of half the budget each of these takes a quarter
		begin(t, n, knowledge.RoleContributor, 32<<20, `{"ops":[`)
	}
	await(t, "four bodies are being read", func() bool { return n.h.bodies.Load() == 4*bodyStart })
	tooMany("a fifth body", answered(t, begin(t, n, knowledge.RoleContributor, 1<<20, " "), 10*time.Second)) //nolint:bodyclose // answered does
	await(t, "it is gone", func() bool { return n.h.shares.get("the-contributor").inside.Load() == 4 })
	polite(t, n)

	wait := func(token string) net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "GET /api/v1/changes?after=%d&wait=20 HTTP/1.1\r\nHost: x\r\nAuthorization: "+
			"Bearer %s\r\n\r\n", n.tail(), token)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	wait(knowledge.RoleViewer)
	await(t, "one waits", func() bool { return n.h.shares.get("the-viewer").waiting.Load() == 1 })
	tooMany("a second long poll", answered(t, wait(knowledge.RoleViewer), 10*time.Second)) //nolint:bodyclose // answered does
	wait(knowledge.RoleMaintainer)
	await(t, "another principal waits", func() bool { return n.h.shares.get("the-maintainer").waiting.Load() == 1 })
}

func TestReadinessTellsThatTheDoorIsFull(t *testing.T) {
	n := newTenet(t, func(o *Options) {
		o.Limits.MaxConcurrent = 4
		o.Crowded = func() string { return "16 connections are open, of 16 at most" }
	})
	n.h.working.Add(4)
	defer n.h.working.Add(-4)
	r := n.do(ask{method: http.MethodGet, path: "/readyz"})
	if r.status != http.StatusServiceUnavailable {
		t.Fatalf("a full door is ready: %d %s", r.status, r.body)
	}
	r.holds(t, `{"reasons":["4 requests are at work, of 4 at most","16 connections are open, of 16 at most"]}`)
}

func TestConnectionsAreBoundedOfOneAddressAndOfAll(t *testing.T) {
	for _, bound := range []struct {
		name  string
		crowd *Crowd
		told  string
	}{
		{"of all", &Crowd{Max: 2}, "2 connections are open"},
		{"of one address", &Crowd{Max: 10, Each: 2}, "127.0.0.1 has 2 connections open"},
	} {
		t.Run(bound.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &http.Server{
				Handler:           http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
				ReadHeaderTimeout: time.Minute,
			}
			done := make(chan error, 1)
			go func() { done <- s.Serve(Listen(l, bound.crowd)) }()
			t.Cleanup(func() { _ = s.Close(); <-done })
			open := func() net.Conn {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
				return c
			}
			first := open()
			for _, c := range []net.Conn{first, open()} {
				if r := answered(t, c, 10*time.Second); r.StatusCode != http.StatusOK { //nolint:bodyclose // answered does
					t.Fatalf("a connection that fits: %d", r.StatusCode)
				}
			}
			r := answered(t, open(), 10*time.Second) //nolint:bodyclose // answered does
			body, _ := io.ReadAll(r.Body)
			if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" ||
				!strings.Contains(string(body), bound.told) {
				t.Errorf("a connection too many: %d %s", r.StatusCode, body)
			}
			_ = first.Close()
			await(t, "the place is free again", func() bool {
				bound.crowd.mu.Lock()
				defer bound.crowd.mu.Unlock()
				return bound.crowd.all == 1
			})
			if r := answered(t, open(), 10*time.Second); r.StatusCode != http.StatusOK { //nolint:bodyclose // answered does
				t.Errorf("after one has gone: %d", r.StatusCode)
			}
		})
	}
}

func TestAPeerIsWhoATrustedProxyNames(t *testing.T) {
	h := &Handler{o: Options{Trusted: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/24"),
		netip.MustParsePrefix("::1/128"),
	}}}
	for _, row := range []struct{ from, forwarded, want string }{
		{"192.0.2.7:4000", "198.51.100.1", "192.0.2.7"}, // nobody's word counts but a proxy's
		{"10.0.0.7:4000", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"10.0.0.7:4000", "203.0.113.9, 198.51.100.1:5000, 10.0.0.8", "198.51.100.1"},
		{"10.0.0.7:4000", "", "10.0.0.7"},
		{"10.0.0.7:4000", "nonsense", "10.0.0.7"},
		{"[::1]:4000", "2001:db8::1", "2001:db8::1"},
		{"[::ffff:10.0.0.7]:4000", "198.51.100.1", "198.51.100.1"},
	} {
		r := &http.Request{RemoteAddr: row.from, Header: http.Header{}}
		if row.forwarded != "" {
			r.Header.Set("X-Forwarded-For", row.forwarded)
		}
		if got := peerOf(r, h.o.Trusted); got != row.want {
			t.Errorf("from %s with X-Forwarded-For %q: %s, want %s", row.from, row.forwarded, got, row.want)
		}
	}
}

func TestABodyThatDripsIsEnded(t *testing.T) {
	n := newTenet(t, func(o *Options) { o.Limits.BodyWindow = 200 * time.Millisecond })
	conn := begin(t, n, knowledge.RoleAdmin, 1<<20, `{"ops":[`)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a byte now and then moves no window on
		drip := time.NewTicker(20 * time.Millisecond)
		defer drip.Stop()
		for {
			select {
			case <-drip.C:
				_, _ = conn.Write([]byte(" "))
			case <-stop:
				return
			}
		}
	}()
	r := answered(t, conn, 10*time.Second) //nolint:bodyclose // answered does
	if r.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a body that drips: %d, want 408", r.StatusCode)
	}
	await(t, "nothing of it is held", func() bool { return n.h.bodies.Load() == 0 })
	polite(t, n)
}

func TestTheVersionInABodyIsACondition(t *testing.T) {
	const seen = `{"category":"security","title":"Another","description":"Text.","version":`
	runScenarios(t, []scenario{
		{name: "seen", ask: put(rulePath, seen+"1}"), status: 200, changes: []string{"put rule/SEC-001 2 the-admin"}},
		{
			name: "overtaken", before: []ask{put(rulePath, aRule)}, ask: put(rulePath, seen+"1}"), status: 409,
			want: `{"code":"conflict","want":1,"got":2}`,
		},
		{
			name: "of nothing", ask: put("/api/v1/rules/NEW-1", seen+"3}"), status: 409,
			want: `{"code":"conflict","want":3,"got":0}`,
		},
		{
			name: "beside a header, which counts", before: []ask{put(rulePath, aRule)},
			ask:    put(rulePath, seen+"1}").with("If-Match", `"2"`),
			status: 200, changes: []string{"put rule/SEC-001 3 the-admin"},
		},
		{
			name: "that none can be", ask: put(rulePath, seen+"-1}"), status: 422,
			want: `{"errors":[{"pointer":"/version","detail":"*"}]}`,
		},
	})
}
