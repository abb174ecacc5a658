package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/knowledge"
	"tenet/internal/server"
)

// idleLine is how long a line may be silent before the proxy of the soak closes it, as proxies do by themselves.
const idleLine = 60 * time.Second

// idling passes connections to an address, and closes one on which nothing has come from the server for too long. It
// counts those.
func idling(t *testing.T, to string, closed *atomic.Int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var lines sync.WaitGroup
	var mu sync.Mutex // guards open
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		lines.Wait()
	})
	pass := func(in net.Conn) {
		out, err := net.Dial("tcp", to)
		if err != nil {
			in.Close()
			return
		}
		mu.Lock()
		open[in], open[out] = true, true
		mu.Unlock()
		defer func() {
			in.Close()
			out.Close()
			mu.Lock()
			delete(open, in)
			delete(open, out)
			mu.Unlock()
		}()
		lines.Go(func() {
			io.Copy(out, in)
			out.Close()
		})
		for buf := make([]byte, 32<<10); ; {
			out.SetReadDeadline(time.Now().Add(idleLine))
			n, err := out.Read(buf)
			if n > 0 {
				if _, err := in.Write(buf[:n]); err != nil {
					return
				}
			}
			if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // a connection's own
				closed.Add(1)
			}
			if err != nil {
				return
			}
		}
	}
	lines.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			lines.Go(func() { pass(c) })
		}
	})
	return l.Addr().String()
}

// TestSoakListening keeps 500 streams open behind a proxy that closes silent lines, and writes more rarely than it
// closes them: for as long as TENET_SOAK says every listener is told of every change.
func TestSoakListening(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("TENET_SOAK"))
	if err != nil {
		t.Skip("set TENET_SOAK to a duration to run this for long")
	}
	const listeners, each = 500, 50
	x := start(t, server.Options{})
	var cut atomic.Int64
	address := idling(t, x.Facts().URL[len("http://"):], &cut)
	told := make([]chan string, listeners)
	for i := range told {
		told[i] = make(chan string, 100)
	}
	var token string
	for i := range told {
		if i%each == 0 {
			token = person(t, x, fmt.Sprintf("listener-%d", i/each), knowledge.RoleViewer)
		}
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		c := mcp.NewClient(&mcp.Implementation{Name: "soak", Version: "1"}, &mcp.ClientOptions{
			ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) {
				told[i] <- r.Params.URI
			},
		})
		s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{
			Endpoint: "http://" + address + "/mcp", HTTPClient: &http.Client{Transport: through{token, transport}},
			MaxRetries: -1,
		}, &mcp.ClientSessionOptions{ProtocolVersion: eras()[i%2]})
		if err != nil {
			t.Fatalf("listener %d: %v", i, err)
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "tenet://rule/SEC-001"}); err != nil {
			t.Fatalf("listener %d: %v", i, err)
		}
	}
	pause := idleLine + 15*time.Second
	for n, begin := 0, time.Now(); n == 0 || time.Since(begin)+pause < d; n++ {
		if n > 0 {
			<-time.After(pause) // the silence is what is tried
		}
		// Unlike any before: what changes nothing is told to nobody.
		write(t, x.admin(t), "admin", patch("rule/SEC-001", fmt.Sprintf(`{"priority": %d}`, 900+n)))
		late := time.After(30 * time.Second)
		for i := range told {
			select {
			case <-told[i]:
			case <-late:
				t.Fatalf("listener %d (%s) was not told of change %d; the proxy has closed %d lines", i, eras()[i%2],
					n, cut.Load())
			}
		}
		t.Logf("change %d reached all %d listeners; the proxy has closed %d lines", n, listeners, cut.Load())
	}
}

// through sends a token over connections of its own.
type through struct {
	token string
	next  http.RoundTripper
}

func (b through) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}
