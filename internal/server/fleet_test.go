package server_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

// A manyRepositories is a tenet with a fleet, over REST.
type manyRepositories struct {
	*testing.T
	x     *tenet
	admin *client.Store
	token string
	all   int
}

func (m *manyRepositories) id(i int) string { return fmt.Sprintf("fleet.%05d", i) }

// grow puts repositories until there are so many, of which every twentieth checks in, and looks at them.
func (m *manyRepositories) grow(to int) {
	m.Helper()
	from := m.all
	for m.all < to {
		var ops []knowledge.Op
		for range min(to-m.all, knowledge.MaxBatchOps) {
			r := &knowledge.Repository{RepositoryID: m.id(m.all), Name: "Of a fleet", IsActive: true}
			ops = append(ops, knowledge.Put(r, knowledge.NoVersion))
			m.all++
		}
		write(m.T, m.admin, "admin", ops...)
	}
	var in errgroup.Group
	in.SetLimit(8)
	for i := from; i < to; i += 20 {
		in.Go(func() error {
			c := &store.CheckIn{Repository: m.id(i), Via: "check", Files: &store.FleetFiles{Edited: 1}}
			return client.Fleet{Store: m.admin}.CheckIn(m.Context(), c)
		})
	}
	if err := in.Wait(); err != nil {
		m.Fatal(err)
	}
	if _, err := m.admin.RunJob(m.Context(), "fleet.look"); err != nil {
		m.Fatal(err)
	}
	await(m.T, "the look at the fleet to be over", func() bool {
		var counted int64
		for _, c := range m.page("", "", 1).Counts {
			counted += c.Repositories
		}
		return counted == int64(m.all)
	})
}

func (m *manyRepositories) page(state, after string, limit int) *client.FleetPage {
	m.Helper()
	p, err := client.Fleet{Store: m.admin}.Page(m.Context(), state, after, limit)
	if err != nil {
		m.Fatal(err)
	}
	return p
}

// size returns the bytes of a page.
func (m *manyRepositories) size(query string) int {
	m.Helper()
	req, err := http.NewRequestWithContext(m.Context(), http.MethodGet, m.x.Facts().URL+"/api/v1/fleet?"+query, nil)
	if err != nil {
		m.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		m.Fatalf("%s: %s, %v: %.300s", query, resp.Status, err, body)
	}
	return len(body)
}

// walk returns the ids of all pages, and how many pages there are.
func (m *manyRepositories) walk(state string, limit int) (ids []string, pages int) {
	m.Helper()
	for after := ""; ; pages++ {
		p := m.page(state, after, limit)
		for i := range p.Repositories {
			ids = append(ids, p.Repositories[i].Repository)
		}
		if after = p.Next; after == "" {
			return ids, pages + 1
		}
	}
}

// TestAPageOfALargeFleetIsNoLonger compares pages of three thousand repositories with the same pages of a
// hundred. What a page reads is held by the tests of the engines' plans.
func TestAPageOfALargeFleetIsNoLonger(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, o server.Options) {
		x := start(t, o)
		m := &manyRepositories{T: t, x: x, admin: x.admin(t), token: x.token(t)}
		m.grow(100)
		queries := []string{"limit=50", "limit=50&after=" + m.id(40), "limit=5&state=edited"}
		bytes := map[string]int{}
		for _, q := range queries {
			bytes[q] = m.size(q)
		}
		m.grow(3000)
		for _, q := range append(queries, "limit=50&after="+m.id(2940), "limit=5&state=edited&after="+m.id(2800)) {
			like, _, _ := strings.Cut(q, "&after")
			most := bytes[like] + 500 // what the counts and the time stamps add
			if got := m.size(q); got > most {
				t.Errorf("%s: %d bytes, want at most %d", q, got, most)
			}
		}
		ids, pages := m.walk("", 1000)
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 3000 || pages > 4 {
			t.Errorf("%d pages show %d repositories, want 3000 once each", pages, len(ids))
		}
		if ids, _ := m.walk("edited", 200); len(ids) != 150 {
			t.Errorf("%d repositories are edited, want 150", len(ids))
		}
	})
}
