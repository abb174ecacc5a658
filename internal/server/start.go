package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Times of the start on a PostgreSQL.
const (
	// joinTimeout is how long a start waits for the PostgreSQL before it goes on without.
	joinTimeout = 5 * time.Second
	// laterEvery is how often a start that had to go on without looks whether it can do the rest.
	laterEvery = time.Second
)

// start lets the engine join its PostgreSQL, and waits until it has or the patience of a start is over.
func (d *dual) start(ctx context.Context) {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	d.stop = func() { stop(); <-ended }
	go func() {
		defer close(ended)
		d.Run(life) //nolint:errcheck // it ends with its context, and that is no news
	}()
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d.Level().Mode != knowledge.ModeNormal {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// begin gives an empty database the starter set and an admin. On a PostgreSQL that can't be reached this is done later, as
// soon as it can.
func (s *Server) begin(ctx context.Context) error {
	var err error
	s.facts.Seeded, s.facts.NewToken, err = s.firstStart(ctx)
	if s.parts.dual != nil && errors.Is(err, store.ErrUnavailable) {
		s.later = true
		return nil
	}
	return err
}

// beginLater does what the start could not.
func (s *Server) beginLater(ctx context.Context) error {
	if !s.later {
		return nil
	}
	for {
		if s.parts.dual.Level().Mode == knowledge.ModeNormal {
			report, token, err := s.firstStart(ctx)
			if err == nil {
				s.o.Log.InfoContext(ctx, "first start done", "documents", report.Created, "new_admin", token != "")
				return nil
			}
			s.o.Log.WarnContext(ctx, "first start not done yet", "error", err)
		}
		t := time.NewTimer(laterEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// authenticate asks the directory. While there is neither a primary nor a mirror nobody is known; then the holder of this
// machine's admin token may read what the starter set answers.
func (p *parts) authenticate(dir string) func(token string) (*access.Caller, error) {
	if p.dual == nil {
		return p.directory.Authenticate
	}
	path := filepath.Join(dir, TokenFile)
	return func(token string) (*access.Caller, error) {
		c, err := p.directory.Authenticate(token)
		if err == nil || p.dual.Level().Mode != knowledge.ModeCold {
			return c, err
		}
		data, ferr := os.ReadFile(path) //nolint:gosec // the operator chose the directory
		kept := strings.TrimSpace(string(data))
		if ferr != nil || kept == "" || subtle.ConstantTimeCompare([]byte(kept), []byte(token)) != 1 {
			return nil, err
		}
		return &access.Caller{ID: adminID, Name: adminID, Role: knowledge.RoleViewer, Local: true, Unsure: true}, nil
	}
}
