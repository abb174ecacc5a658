package server_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// A beginning is a tenet whose start goes on beside the test.
type beginning struct {
	url  string
	done chan struct{} // closed when Open has returned
	x    *server.Server
	err  error
}

// begin opens a tenet at an address that is known before.
func begin(t *testing.T, o server.Options) *beginning {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listen = l.Addr().String()
	l.Close()
	b := &beginning{url: "http://" + o.Listen, done: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(b.done)
		b.x, b.err = server.Open(ctx, o)
	}()
	t.Cleanup(func() {
		stop()
		<-b.done
		if b.err == nil {
			b.err = b.x.Run(ctx) // ends at once
		}
	})
	return b
}

// ask sends a request and returns the status and the body's problem; 0 when nobody answers yet.
func (b *beginning) ask(t *testing.T, method, path,
	token string,
) (status int, problem struct{ Detail string }, header http.Header) {
	t.Helper()
	body := strings.NewReader(`{"name":"C"}`)
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, problem, nil
	}
	defer resp.Body.Close()
	json.NewDecoder(resp.Body).Decode(&problem) // not every answer is one
	return resp.StatusCode, problem, resp.Header
}

func (b *beginning) over() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// TestAStartAnswersFromItsFirstMoment starts tenets on a PostgreSQL that is stopped, so that their starts wait for it:
// one that has a copy reads from it and holds a write back, one without says that it is starting.
func TestAStartAnswersFromItsFirstMoment(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), DatabaseURL: pg.URL("postgres"), Outage: outage()}
	first := start(t, o)
	admin := first.admin(t)
	level(t, admin)
	data, err := os.ReadFile(filepath.Join(o.DataDir, server.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(data))
	first.end(t)
	pg.Pause()
	defer pg.Continue()

	t.Run("with a copy", func(t *testing.T) {
		b := begin(t, o)
		await(t, "it reads", func() bool {
			status, _, _ := b.ask(t, http.MethodGet, "/api/v1/rules?limit=1", token)
			return status == http.StatusOK
		})
		if status, _, _ := b.ask(t, http.MethodGet, "/readyz", ""); status != http.StatusOK {
			t.Errorf("it reads, and /readyz says %d", status)
		}
		if b.over() {
			t.Fatal("the start was over before a read was answered: it does not wait for a stopped PostgreSQL")
		}
		if status, _, _ := b.ask(t, http.MethodPut, "/api/v1/categories/at-the-start",
			token); status != http.StatusAccepted {
			t.Errorf("a write of the start was answered with %d, want 202", status)
		}
		await(t, "the start is over", b.over)
	})
	t.Run("without one", func(t *testing.T) {
		o.DataDir = filepath.Join(t.TempDir(), "data")
		b := begin(t, o)
		await(t, "it lives", func() bool {
			status, _, _ := b.ask(t, http.MethodGet, "/healthz", "")
			return status == http.StatusOK
		})
		status, said, _ := b.ask(t, http.MethodGet, "/readyz", "")
		if status != http.StatusServiceUnavailable || !strings.Contains(said.Detail, "starting") {
			t.Errorf("/readyz of a start: %d %q", status, said.Detail)
		}
		status, _, header := b.ask(t, http.MethodGet, "/api/v1/rules", token)
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("a read of a start that has nothing to answer from: %d %v, want 503 and when to come back",
				status, header)
		}
		if b.over() {
			t.Error("the start was over before it was asked: it does not wait for a stopped PostgreSQL")
		}
	})
}

// TestADamagedMirrorIsNotReadyInAnOutage damages the mirror while PostgreSQL is away, behind a memory that holds
// nothing.
func TestADamagedMirrorIsNotReadyInAnOutage(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, pgtest.Options{})
	x := start(t, server.Options{DatabaseURL: pg.URL("postgres"), Outage: outage(), CacheHot: 1})
	admin := x.admin(t)
	level(t, admin)
	w := x.browse(t)
	pg.Stop(pgtest.Immediate)
	await(t, "an outage", func() bool {
		s, err := admin.Status(t.Context())
		return err == nil && s.Mode == knowledge.ModeDegraded
	})
	path, err := filepath.EvalSymlinks(filepath.Join(x.dir, "mirror.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(part)
		if err != nil {
			continue
		}
		for i := 4096; i < len(data); i++ {
			data[i] = 0xa5
		}
		f, err := os.OpenFile(part, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	// A reader that has all pages in its memory goes on until a write makes it read them again; that write may fail
	// instead.
	said := ""
	await(t, "reads or the write over them fail", func() bool {
		w.do(http.MethodPut, "/api/v1/categories/over-damage", `{"name":"Over damage"}`)
		s := w.do(http.MethodGet, "/api/v1/changes?after=0", "")
		said = s.body
		return s.status == http.StatusServiceUnavailable ||
			w.do(http.MethodGet, "/readyz", "").status == http.StatusServiceUnavailable
	})
	if strings.Contains(said, "backup") && !strings.Contains(said, `"changes"`) && !strings.Contains(said,
		"no backup") {
		t.Errorf("the error of a damaged mirror says %s", said)
	}
	await(t, "readiness says so", func() bool {
		return w.do(http.MethodGet, "/readyz", "").status == http.StatusServiceUnavailable
	})
	pg.Start()
	await(t, "it is made anew", func() bool {
		return w.do(http.MethodGet, "/readyz", "").status == http.StatusOK && w.do(http.MethodGet, "/api/v1/rules",
			"").status == http.StatusOK
	})
}
