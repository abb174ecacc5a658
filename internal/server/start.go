package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/live"
	"tenet/internal/store"
)

// Times of the start on a PostgreSQL.
const (
	// joinTimeout is how long a start waits for the PostgreSQL before it goes on without.
	joinTimeout = 5 * time.Second
	// laterEvery is how often a start that had to go on without looks whether it can do the rest.
	laterEvery = time.Second
)

// start lets the engine look for its PostgreSQL.
func (d *dual) start(ctx context.Context) {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	d.stop = func() { stop(); work.Wait() }
	work.Go(func() { d.Run(life) }) //nolint:errcheck // it ends with its context, and that is no news
	work.Go(func() { d.standbys.watch(life, d) })
}

// readable reports whether the mirror can answer.
func (d *dual) readable() bool { return d.Ready() == nil }

// passes reports whether the PostgreSQL could not be reached: it may come back.
func (d *dual) passes(err error) bool { return errors.Is(err, store.ErrUnavailable) }

// join waits until the engine has joined its PostgreSQL, has found that it can't, or the patience of a start is over.
func (d *dual) join(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := d.Status(ctx)
		switch {
		case err != nil: // the journal can't be read: the patience decides
		case st.Mode == knowledge.ModeNormal, st.Mode == knowledge.ModeDiverged, st.Breaker != "closed", st.Halt != "",
			st.Mode == knowledge.ModeRecovering && st.Journal.Depth > 0:
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// openGate lets reads through as soon as the mirror can answer them, and everything once the PostgreSQL was joined or
// is known to be away. In between a first start is done.
func (s *Server) openGate(ctx context.Context) error {
	door := live.TokenFromSubprotocol(s.handler)
	if s.parts.engine.readable() {
		s.gate.reads(door)
		s.announce(ctx)
	}
	s.parts.engine.join(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.parts.loadDirectory(ctx); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.gate.reads(door)
	s.gate.writes()
	s.announce(ctx)
	return nil
}

// announce writes the address of the server for the commands of this machine. The server also starts if it can't, on a
// full disk.
func (s *Server) announce(ctx context.Context) {
	if err := s.home.announce(s.facts.URL, s.o.Entrance.TLSCert); err != nil {
		s.parts.log.WarnContext(ctx, "commands on this machine can't find this server by its data directory: name "+
			"it with --url",
			"url", s.facts.URL, "error", err.Error())
	}
}

// begin gives an empty database the starter set and an admin. On a PostgreSQL that can't be reached this is done later,
// as soon as it can.
func (s *Server) begin(ctx context.Context) error {
	var err error
	s.facts.Seeded, s.facts.NewToken, err = s.firstStart(ctx)
	if err != nil && s.parts.engine.passes(err) {
		s.later = true
		return nil
	}
	s.parts.begun.Store(err == nil)
	return err
}

// beginLater does what the start could not.
func (s *Server) beginLater(ctx context.Context) error {
	if !s.later {
		return nil
	}
	said := ""
	for ctx.Err() == nil {
		if s.parts.engine.Level().Mode == knowledge.ModeNormal {
			report, token, err := s.firstStart(ctx)
			if err == nil {
				s.parts.begun.Store(true)
				s.o.Log.InfoContext(ctx, "first start done", "documents", report.Created, "new_admin", token != "")
				return nil
			}
			if text := err.Error(); text != said && ctx.Err() == nil { // not every second
				said = text
				s.o.Log.WarnContext(ctx, "first start not done yet: it is tried again until it is", "error", text)
			}
		}
		store.Pause(ctx, laterEvery)
	}
	return nil
}

// authenticate asks the directory. While there is neither a primary nor a mirror nobody is known; then the holder of
// this machine's admin token may read what the starter set answers. Until the first start is done nobody is refused for
// a token that may be about to open: the file comes before its token is known, and an empty directory knows none.
func (p *parts) authenticate(dir string) func(token string) (*access.Caller, error) {
	path := filepath.Join(dir, TokenFile)
	return func(token string) (*access.Caller, error) {
		c, err := p.directory.Authenticate(token)
		no, ok := errors.AsType[*store.UnauthenticatedError](err)
		cold := ok && p.engine.Level().Mode == knowledge.ModeCold
		if !ok || no.ID != "" || p.begun.Load() && !cold {
			return c, err
		}
		data, ferr := os.ReadFile(path) //nolint:gosec // the operator chose the directory
		kept := strings.TrimSpace(string(data))
		ours := ferr == nil && kept != "" && subtle.ConstantTimeCompare([]byte(kept), []byte(token)) == 1
		switch {
		case ours && cold:
			return &access.Caller{ID: adminID, Name: adminID, Role: knowledge.RoleViewer, Local: true, Unsure: true}, nil
		case ours, p.directory.Empty():
			return nil, &store.UnavailableError{
				Reason: "this server does not know its tokens yet: ask again soon", RetryAfter: startRetry, NotDone: true,
			}
		}
		return nil, err
	}
}
