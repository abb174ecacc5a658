package server_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
	"tenet/internal/store"
	"tenet/internal/store/storetest"
)

// TestTheWholeChainKeepsTheLaws runs the contract's laws from the client, through the door and the chain, to the engine
// and back.
func TestTheWholeChainKeepsTheLaws(t *testing.T) {
	const why = "the log of a tenet begins with its admin"
	storetest.RunWith(t, storetest.Options{
		Open:   func(t testing.TB) store.Store { return start(t, server.Options{NoSeed: true}).admin(t) },
		Stamps: true, Confines: true,
		Skip: map[string]string{
			"the log tells every change once in order and its chain verifies": why,
			"the newest changes come first when asked for":                    why,
			"a batch keeps its actor and its time": "a log in which somebody has written " +
				"takes no other time",
		},
	})
}

func TestAFirstStartMakesAnAdminOnce(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		o.DataDir = filepath.Join(t.TempDir(), "data")
		first := start(t, o)
		token := first.Facts().NewToken
		if info, err := os.Stat(first.Facts().TokenFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the token's file: %v, %v; want mode 0600", info, err)
		}
		me, err := first.client(t, token).Me(t.Context())
		if err != nil || me.ID != "admin" || me.Role != knowledge.RoleAdmin {
			t.Errorf("the new token belongs to %+v, %v", me, err)
		}
		first.end(t)
		second := start(t, o)
		if second.Facts().NewToken != "" || second.Facts().Seeded.Created != 0 {
			t.Errorf("the second start did it again: %+v", second.Facts())
		}
		if _, err := second.client(t, token).Me(t.Context()); err != nil {
			t.Errorf("the token no longer opens: %v", err)
		}
	})
}

func TestAnotherInstanceGetsAnAdminOfItsOwn(t *testing.T) {
	url := pgtest.URL(t)
	start(t, server.Options{DatabaseURL: url})
	other := start(t, server.Options{DatabaseURL: url})
	me, err := other.admin(t).Me(t.Context())
	if err != nil || !strings.HasPrefix(me.ID, "admin-") || len(me.ID) != len("admin-")+8 {
		t.Errorf("the second instance's admin is %+v, %v; want admin- and eight digits", me, err)
	}
}

func TestARevokedAdminStaysRevoked(t *testing.T) {
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data")}
	first := start(t, o)
	admin := first.admin(t)
	write(t, admin, "admin", knowledge.Op{Verb: knowledge.VerbRetire, Key: key("principal/admin")})
	await(t, "the token opens nothing", func() bool { _, err := admin.Me(t.Context()); return isUnauthenticated(err) })
	first.end(t)
	second := start(t, o)
	if second.Facts().NewToken != "" {
		t.Error("a revoked admin was replaced: somebody wanted it so")
	}
	if _, err := second.admin(t).Me(t.Context()); !isUnauthenticated(err) {
		t.Errorf("a revoked token: %v, want ErrUnauthenticated", err)
	}
}

func TestOneProcessOwnsTheDataDirectory(t *testing.T) {
	x := start(t, server.Options{})
	_, err := server.Open(t.Context(), server.Options{DataDir: x.dir, Listen: "127.0.0.1:0"})
	owned, ok := errors.AsType[*server.OwnedError](err)
	if !ok || owned.URL != x.Facts().URL || owned.PID != os.Getpid() {
		t.Errorf("a second tenet: %v, want an OwnedError with %s", err, x.Facts().URL)
	}
	if _, err := server.OpenLocal(t.Context(), server.Options{DataDir: x.dir}); err == nil {
		t.Error("a command has opened the database of a running tenet")
	}
	x.end(t)
	l, err := server.OpenLocal(t.Context(), server.Options{DataDir: x.dir})
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	l.Close()
}

func TestRequestsAtWorkAreFinished(t *testing.T) {
	x := start(t, server.Options{})
	admin := x.admin(t)
	waiting := make(chan error, 1)
	tail, err := store.Tail(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	go func() { waiting <- admin.Wait(t.Context(), tail) }()
	stream, err := openStream(t, x)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	x.end(t)
	// A long poll is answered with what there is, or found the tenet gone before it began; a stream comes to its end.
	if err := <-waiting; err != nil && !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the long poll ended with %v", err)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
}

// openStream subscribes to every change.
func openStream(t *testing.T, x *tenet) (*http.Response, error) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(x.dir, server.TokenFile))
	if err != nil {
		return nil, err
	}
	var resp *http.Response
	await(t, "streams are served", func() bool {
		req, reqErr := http.NewRequestWithContext(t.Context(), http.MethodGet, x.Facts().URL+"/api/v1/live",
			http.NoBody)
		if reqErr != nil {
			t.Fatal(reqErr)
		}
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(data)))
		if resp, err = http.DefaultClient.Do(req); err != nil { //nolint:bodyclose // closed below, or at the end of the test
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusServiceUnavailable { // the hub has not read the log yet
			resp.Body.Close()
			return false
		}
		return true
	})
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream was refused with status %d", resp.StatusCode)
	}
	return resp, err
}

func TestUsesSurviveTheEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, o server.Options) {
		o.DataDir = filepath.Join(t.TempDir(), "data")
		x := start(t, o)
		admin := x.admin(t)
		tpl := &knowledge.Template{
			TemplateID: "hello", Category: "security", Name: "Hello", TemplateContent: "Hello",
			IsActive: true,
		}
		tpl.Normalize()
		write(t, admin, "admin", knowledge.Put(tpl, knowledge.NoVersion))
		for range 3 {
			if text, err := admin.Render(t.Context(), "hello", nil); err != nil || text.Text != "Hello" {
				t.Fatalf("rendered %+v, %v", text, err)
			}
		}
		const path = "/api/v1/templates/hello/usage"
		if got := ask(t, x, path); got != `{"usage_count":3}` {
			t.Errorf("before they were written: %s", got)
		}
		x.end(t)
		if got := ask(t, start(t, o), path); got != `{"usage_count":3}` {
			t.Errorf("after a restart: %s", got)
		}
	})
}

// ask returns the body of a GET with the admin's token.
func ask(t *testing.T, x *tenet, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(x.dir, server.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.Facts().URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(data)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// A proxy on the same machine makes every caller look like one of this machine: only a setting opens the measures.
func TestMeasuresAreThereWithoutATokenOnlyWhereTheyAreOpen(t *testing.T) {
	closed := start(t, server.Options{})
	refused, err := http.Get(closed.Facts().URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Body.Close()
	if refused.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token and a setting: %d, want 401", refused.StatusCode)
	}
	x := start(t, server.Options{Version: "1.2.3", Entrance: server.Entrance{MetricsOpen: true}})
	resp, err := http.Get(x.Facts().URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	for _, want := range []string{
		`tenet_build_info{version="1.2.3"} 1`, "go_goroutines",
		"process_resident_memory_bytes",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
