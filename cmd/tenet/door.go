package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/server"
	"tenet/internal/store"
)

// A door is the way in that a command took: through a running tenet, or straight into the database.
type door struct {
	store.Store
	remote *client.Store // nil when the database was opened
	local  *server.Local // nil when a running tenet is asked
	shown  bool          // how fresh the answers are was shown
}

// actor returns who writes: the holder of the token, or the user of this machine.
func (d *door) actor(ctx context.Context) (string, error) {
	if d.local != nil {
		return d.local.Actor(), nil
	}
	me, err := d.remote.Me(ctx)
	if err != nil {
		return "", err
	}
	return me.ID, nil
}

// place says in words where the door leads.
func (d *door) place() string {
	if d.remote != nil {
		return "the tenet at " + d.remote.URL()
	}
	return d.local.Place()
}

// open finds the way in: the tenet that --url names, else the one that runs on the data directory, else the database.
func (a *app) open(ctx context.Context) (*door, error) { return a.openWith(ctx, a.localOptions()) }

// openToLook is open for commands that only look: they make no database and put nothing into one.
func (a *app) openToLook(ctx context.Context) (*door, error) {
	o := a.localOptions()
	o.NoSeed = true
	if a.URL == "" && !server.HasDatabase(o) {
		return nil, &store.UnavailableError{Reason: "there is no tenet in " + a.DataDir + " yet: `tenet serve` makes one"}
	}
	return a.openWith(ctx, o)
}

func (a *app) openWith(ctx context.Context, o server.Options) (*door, error) {
	if a.URL != "" {
		return a.openURL()
	}
	patience, cancel := context.WithTimeout(ctx, ownedPatience)
	defer cancel()
	for {
		local, err := server.OpenLocal(ctx, o)
		if err == nil {
			a.saySeeded(local)
			return &door{Store: local, local: local}, nil
		}
		owned, ok := errors.AsType[*server.OwnedError](err)
		switch {
		case !ok:
			return nil, err
		case owned.URL != "":
			return a.openNeighbour(owned)
		}
		// Another command, which is soon done, or a tenet that is just starting.
		select {
		case <-time.After(ownedPause):
		case <-patience.Done():
			return nil, &store.UnavailableError{Reason: owned.Error()}
		}
	}
}

// How long a command waits for another one to be done with the data directory.
const (
	ownedPatience = 10 * time.Second
	ownedPause    = 20 * time.Millisecond
)

// saySeeded tells that a database was made.
func (a *app) saySeeded(l *server.Local) {
	if n := l.Seeded().Created; n > 0 {
		a.say("%s is new: the %d documents of the starter set were written", l.Place(), n)
	}
}

// openURL returns a client of the tenet that --url names.
func (a *app) openURL() (*door, error) {
	token := string(a.Token)
	from := a.sourceOf("token")
	if a.TokenFile != "" {
		data, err := os.ReadFile(a.TokenFile)
		if err != nil {
			return nil, usageError("read the token: %s", err)
		}
		token, from = strings.TrimSpace(string(data)), a.sourceOf("token-file")
	}
	// A checked-out directory may hold a tenet.yaml that somebody else wrote: it must not draw this user's token to an
	// address of its choice.
	if a.file.found && token != "" && strings.HasPrefix(a.sourceOf("url"), "file ") && from != a.sourceOf("url") {
		return nil, usageError("the address %s comes from %s in the working directory and the token from elsewhere (%s); "+
			"to send it there, name the file with --config, or the address with --url or TENET_URL", a.URL, a.file.path, from)
	}
	return a.connect(a.URL, token)
}

func (a *app) connect(url, token string) (*door, error) {
	c, err := client.New(client.Options{URL: url, Token: token, UserAgent: "tenet/" + buildInfo().Version, Timeout: a.Timeout})
	if err != nil {
		return nil, usageError("--url: %s", err)
	}
	return &door{Store: c, remote: c}, nil
}

// openNeighbour returns a client of the tenet that runs on the data directory.
func (a *app) openNeighbour(owned *server.OwnedError) (*door, error) {
	token := string(a.Token)
	if token == "" {
		data, err := os.ReadFile(filepath.Join(a.DataDir, server.TokenFile))
		if err != nil {
			return nil, fmt.Errorf("a tenet runs on %s, and its token can't be read (%w): %w", a.DataDir, err, store.ErrUnauthenticated)
		}
		token = strings.TrimSpace(string(data))
	}
	return a.connect(owned.URL, token)
}

// localOptions returns what opens the database without a listener.
func (a *app) localOptions() server.Options {
	return server.Options{
		DataDir: a.DataDir, DatabaseURL: string(a.DatabaseURL), AllowUnverifiedTLS: a.AllowUnverifiedTLS, Version: buildInfo().Version,
	}
}

// sourceOf returns where the value of a shared setting came from.
func (a *app) sourceOf(name string) string {
	for _, s := range a.shared {
		if s.name == name {
			return s.source
		}
	}
	return ""
}

// withTimeout calls fn with a deadline of its own.
func withTimeout[T any](ctx context.Context, d time.Duration, fn func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return fn(ctx)
}

// close lets go of the way in. What was acknowledged is safe whatever comes of it.
//
// What a tenet has answered without its primary may be old, and the reader is told so.
func (a *app) close(d *door) {
	if d.remote != nil && !d.shown {
		switch l := d.remote.Level(); l.Mode {
		case knowledge.ModeDegraded, knowledge.ModeDiverged:
			a.say("the PostgreSQL of %s is away: its copy answers, current as of %s UTC", d.place(), moment(l.AsOf))
		case knowledge.ModeCold:
			a.say("the PostgreSQL of %s is away: the starter set answers", d.place())
		case knowledge.ModeNormal, knowledge.ModeRecovering:
		}
	}
	if err := d.Close(); err != nil {
		a.say("close %s: %s", d.place(), err)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
