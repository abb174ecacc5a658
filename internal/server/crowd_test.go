package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/postgres"
	"tenet/internal/server"
)

// crowd is how many callers come at once: more than any resource that is handed out one by one has pieces.
const crowd = 32

// crowdPatience is how long each caller waits at most. Callers that wait for each other wait for ever; a busy machine
// is only slow.
const crowdPatience = 2 * time.Minute

// A wish is what each caller of a crowd asks for; i tells the callers apart.
type wish struct {
	name string
	ask  func(i int) (method, path, body string)
}

func read(path string) wish {
	return wish{"GET " + path, func(int) (string, string, string) { return http.MethodGet, path, "" }}
}

// wishes returns every operation of the REST door: each route that reads and takes no body as the description lists it,
// of those that all kinds have the one of templates, and the writes. Mark makes what is written and filtered by new to
// the tenet.
func wishes(w *web, mark string) []wish {
	const greeting = "/api/v1/templates/greeting"
	list := []wish{
		{"search for what nobody has searched for", func(i int) (string, string, string) {
			return http.MethodGet, fmt.Sprintf("/api/v1/search?q=%s%d*+security&kinds=rule,practice&tag=t%d&limit=%d",
				mark, i, i, 1+i), ""
		}},
		{"list by what nobody has listed by", func(i int) (string, string, string) {
			orders := []string{"house", "updated", "title", "id"}
			return http.MethodGet, fmt.Sprintf("/api/v1/rules?tag=t%d&language=go&order=%s&limit=%d", i,
				orders[i%len(orders)], 1+i), ""
		}},
		{"put", func(i int) (string, string, string) {
			return http.MethodPut, fmt.Sprintf("/api/v1/categories/%s-%d", mark, i), named("Crowd")
		}},
		{"post", func(i int) (string, string, string) {
			return http.MethodPost, "/api/v1/categories", fmt.Sprintf(`{"category_id":"%s-p%d","name":"Crowd"}`, mark,
				i)
		}},
		{"put the same", func(int) (string, string, string) {
			return http.MethodPut, "/api/v1/categories/" + mark + "-same", named("Crowd")
		}},
		{"patch", func(i int) (string, string, string) {
			return http.MethodPatch, fmt.Sprintf("/api/v1/categories/%s-%d", mark, i), named("Patched")
		}},
		{"patch the same", func(int) (string, string, string) {
			return http.MethodPatch, "/api/v1/categories/" + mark + "-same", named("Patched")
		}},
		{"batch", func(i int) (string, string, string) {
			return http.MethodPost, "/api/v1/batches",
				fmt.Sprintf(`{"ops":[{"verb":"patch","key":"category/%s-%d","patch":{"name":"Batched"}}]}`, mark, i)
		}},
		{"render", func(int) (string, string, string) { return http.MethodPost, greeting + "/render", "{}" }},
		{"restore", func(i int) (string, string, string) {
			return http.MethodPost, fmt.Sprintf("/api/v1/categories/%s-%d/restore", mark, i), ""
		}},
		{"delete", func(i int) (string, string, string) {
			return http.MethodDelete, fmt.Sprintf("/api/v1/categories/%s-%d", mark, i), ""
		}},
	}
	var described struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(w.want(http.StatusOK, http.MethodGet, "/openapi.json", "").body),
		&described); err != nil {
		w.t.Fatal(err)
	}
	for path, methods := range described.Paths {
		if _, collection, ok := strings.Cut(path, "/api/v1/"); ok {
			plural, rest, _ := strings.Cut(collection, "/")
			_, template := described.Paths[strings.TrimSuffix("/api/v1/templates/"+rest, "/")]
			if _, err := knowledge.ParseKind(plural); err == nil && template && plural != "templates" {
				continue
			}
		}
		if _, reads := methods["get"]; !reads || strings.HasSuffix(path, "/live") ||
			strings.HasSuffix(path, "/events") {
			continue
		}
		id := "nobody"
		if strings.HasPrefix(path, "/api/v1/templates/") {
			id = "greeting"
		}
		path = strings.NewReplacer("{id}", id, "{version}", "1").Replace(path)
		switch {
		case strings.HasSuffix(path, "/search"):
			path += "?q=greeting"
		case strings.HasSuffix(path, "/diff"):
			path += "?from=1"
		}
		list = append(list, read(path))
	}
	return list
}

// gather lets a crowd do what it wishes, all in one instant and past the memory, and fails the test for each caller
// without an answer.
func gather(t *testing.T, w *web, x wish) {
	t.Helper()
	began := make(chan struct{})
	var done sync.WaitGroup
	for i := range crowd {
		method, path, body := x.ask(i)
		ctx, cancel := context.WithTimeout(t.Context(), crowdPatience)
		req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.token)
		req.Header.Set("Cache-Control", "no-cache")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		done.Go(func() {
			defer cancel()
			<-began
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Errorf("%s: caller %d got no answer: %v", x.name, i, err)
				return
			}
			if resp.StatusCode == http.StatusInternalServerError {
				t.Errorf("%s: caller %d got %s", x.name, i, resp.Status)
			}
			_ = resp.Body.Close()
		})
	}
	close(began)
	done.Wait()
}

// gatherAll does so for every operation.
func gatherAll(t *testing.T, w *web, mark string) {
	t.Helper()
	for _, x := range wishes(w, mark) {
		if gather(t, w, x); t.Failed() {
			return
		}
	}
}

// swapMirror has the mirror made anew, by taking its file away.
func swapMirror(t *testing.T, x *tenet, w *web) {
	t.Helper()
	builds := func() string {
		_, after, _ := strings.Cut(w.want(http.StatusOK, http.MethodGet, "/api/v1/status", "").body, `"builds":`)
		n, _, _ := strings.Cut(after, ",")
		return strings.Trim(n, "} ")
	}
	before := builds()
	if err := os.Remove(filepath.Join(x.dir, "mirror.db")); err != nil {
		t.Fatal(err)
	}
	pgtest.Await(t, "a new mirror", func() bool { return builds() != before })
	level(t, x.admin(t))
}

func greet(w *web) {
	w.want(http.StatusCreated, http.MethodPut, "/api/v1/templates/greeting",
		`{"name":"Greeting","category":"security","template_content":"Hello"}`)
}

func TestEveryOperationAnswersACrowd(t *testing.T) {
	x := start(t, server.Options{DataDir: t.TempDir()})
	greet(x.browse(t))
	x.end(t)
	o := server.Options{DataDir: x.dir}
	x = start(t, o) // cold: no statement was prepared yet
	gatherAll(t, x.browse(t), "cold")
	gatherAll(t, x.browse(t), "warm")
}

func TestEveryOperationAnswersACrowdThroughAnOutage(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Options{})
	x := start(t, server.Options{
		DatabaseURL: pg.URL("postgres"), Outage: outage(),
		Postgres: postgres.Options{MaxConns: 1},
	})
	w := x.browse(t)
	greet(w)
	level(t, x.admin(t))
	gatherAll(t, w, "normal")
	if t.Failed() {
		return
	}
	swapMirror(t, x, w)
	gatherAll(t, w, "swapped")
	if t.Failed() {
		return
	}
	pg.Pause() // the first second of an outage, before anybody has noticed
	defer pg.Continue()
	gatherAll(t, w, "outage")
}
