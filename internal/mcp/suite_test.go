package mcp

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/npmtest"
	"tenet/internal/sqlite"
)

// A house is a door with a store behind it.
type house struct {
	*testing.T
	store *sqlite.Store
	index *guidance.Index
	door  *Door
	url   string
}

// open makes a door over an empty database, and serves it to an admin until the test ends.
func open(t *testing.T, try trial) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tenet.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := guidance.New(guidance.Options{Store: s, Feed: s})
	d := build(Options{
		Store: s, Feed: s, Skills: x.LeftToModel,
		Guide: func(ctx context.Context, q guidance.Query) (*guidance.Answer, error) {
			p, err := x.Prepare(ctx, s, q)
			if err != nil {
				return nil, err
			}
			return p.Answer(ctx, s)
		},
	}, try)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = x.Run(ctx) })
	running.Go(func() { _ = d.Run(ctx) })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer x") // who authenticates stands in front
		d.ServeHTTP(w, r.WithContext(access.WithCaller(r.Context(),
			&access.Caller{ID: "admin", Role: knowledge.RoleAdmin})))
	}))
	t.Cleanup(func() {
		d.Close()
		web.Close()
		stop()
		running.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{t, s, x, d, web.URL}
}

// TestTheDoorPassesAllThatEachVersionRequires runs the protocol's own suite, with what it wants of a server put onto
// the door: the full sets that the two versions require.
func TestTheDoorPassesAllThatEachVersionRequires(t *testing.T) {
	suite := filepath.Join(npmtest.Modules(t, "@modelcontextprotocol/conformance"),
		"@modelcontextprotocol/conformance/dist/index.js")
	node := npmtest.Node(t)
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			x := open(t, trial{events: true, prompt: prompt, adjust: func(o *mcp.ServerOptions) {
				o.Capabilities.Logging = &mcp.LoggingCapabilities{} //nolint:staticcheck // the older version requires it
				o.Capabilities.Tools.ListChanged = true
				// its addresses are not ours
				o.SubscribeHandler = func(context.Context, *mcp.SubscribeRequest) error { return nil }
				o.UnsubscribeHandler = func(context.Context, *mcp.UnsubscribeRequest) error { return nil }
				o.CompletionHandler = func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
					return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{}}}, nil
				}
			}})
			register(x.door)
			ctx, stop := context.WithCancel(t.Context())
			var telling sync.WaitGroup
			telling.Go(func() { watch(ctx, x.door) })
			t.Cleanup(telling.Wait)
			t.Cleanup(stop)
			within, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(within, node, suite, "server", "--url", x.url, "--requirements", version)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "NO_COLOR=1")
			out, err := cmd.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("=== SUMMARY ===")) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
