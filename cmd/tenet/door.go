package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tenet/internal/access"
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
	hops   bool          // another instance may answer the next command
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
		return "the server at " + d.remote.URL()
	}
	return d.local.Place()
}

// open finds the way in: the server that --url names, else the one that runs on the data directory, else the database.
func (a *app) open(ctx context.Context) (*door, error) { return a.openWith(ctx, a.localOptions()) }

// openToLook is open for commands that look, or change what is there: they make no database and put nothing into one.
func (a *app) openToLook(ctx context.Context) (*door, error) {
	o := a.localOptions()
	o.NoSeed = true
	if a.URL == "" && !server.HasDatabase(o) {
		return nil, &store.UnavailableError{Reason: "there is no server in " + a.DataDir +
			" yet: `tenet serve` makes one; --data-dir and TENET_DATA_DIR name another place"}
	}
	return a.openWith(ctx, o)
}

// tryElsewhere lets a dry run that finds no database compare with the starter set in a folder of its own, which clean
// removes: a dry run writes nothing, and a first one need not wait for a server.
func (a *app) tryElsewhere(o *server.Options, dry bool) (clean func(), err error) {
	if !dry || a.URL != "" || server.HasDatabase(*o) {
		return func() {}, nil
	}
	if o.DataDir, err = os.MkdirTemp("", "tenet-dry-run-"); err != nil {
		return func() {}, fmt.Errorf("make a folder for the dry run: %w", err)
	}
	a.say("there is no server in %s yet: compared with the starter set alone", a.DataDir)
	return func() { _ = os.RemoveAll(o.DataDir) }, nil
}

func (a *app) openWith(ctx context.Context, o server.Options) (*door, error) {
	if a.URL != "" {
		return a.openURL(ctx)
	}
	if err := server.CheckAddress(o); err != nil {
		return nil, usageError("%s", err)
	}
	var err error
	if o.Policy, err = policyOf(&a.common); err != nil {
		return nil, err
	}
	patience, cancel := context.WithTimeout(ctx, ownedPatience)
	defer cancel()
	for {
		local, err := server.OpenLocal(ctx, o)
		if err == nil {
			if token, from, _ := a.givenToken(ctx); token != "" || a.TokenFile != "" {
				// Without a server nobody looks at tokens: the command would do as the owner of the files what its
				// token may not.
				return nil, errors.Join(usageError(
					"a token is given (%s), and no server runs on %s that could look at it: start one, "+
						"name one with --url, or leave the token out to work on the database as the owner of its files",
					from, a.DataDir), local.Close())
			}
			if o.DataDir == a.DataDir { // not the folder of a dry run
				a.saySeeded(local)
			}
			return &door{Store: local, local: local}, nil
		}
		owned, ok := errors.AsType[*server.OwnedError](err)
		switch {
		case !ok:
			return nil, err
		case owned.URL != "":
			return a.openNeighbour(ctx, owned)
		}
		// Another command, which is soon done, or a server that is just starting.
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
		a.say("%s is new: the starter set was written, %s", l.Place(), plural(n, "document", "documents"))
	}
}

// openURL returns a client of the server that --url names.
func (a *app) openURL(ctx context.Context) (*door, error) {
	token, from, err := a.givenToken(ctx)
	if err != nil {
		return nil, err
	}
	// A checked-out directory may hold a server.yaml that somebody else wrote: it must not draw this user's token to an
	// address of its choice, neither one from elsewhere nor one in a file that it names.
	if a.TokenFile != "" {
		from = a.TokenFile + ", by " + from
	}
	if a.file.found && token != "" && strings.HasPrefix(a.sourceOf("url"), "file ") && from != a.sourceOf("url") {
		return nil, usageError("the address %s comes from %s in the working directory and the token from "+
			"elsewhere (%s); "+
			"to send it there, name the file with --config, or the address with --url or TENET_URL", a.URL,
			a.file.path, from)
	}
	d, err := a.connect(a.URL, token, nil)
	if err == nil {
		d.hops = true
		seenBefore(d.remote)
	}
	return d, err
}

// givenToken returns the token that the settings name, and which setting did; "" for none.
func (a *app) givenToken(ctx context.Context) (token, from string, err error) {
	if a.TokenFile == "" {
		return string(a.Token), a.sourceOf("token"), nil
	}
	data, err := readPatiently(ctx, a.TokenFile)
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if err != nil {
		return "", "", usageError("read the token: %s", err)
	}
	if token = strings.TrimSpace(string(data)); token == "" {
		return "", "", usageError("read the token: %s is empty", a.TokenFile)
	}
	return token, a.sourceOf("token-file"), nil
}

func (a *app) connect(url, token string, with *http.Client) (*door, error) {
	c, err := client.New(client.Options{URL: url, Token: token, HTTPClient: with, UserAgent: "tenet/" +
		buildInfo().Version, Timeout: a.Timeout, Agent: a.Agent})
	if err != nil {
		return nil, usageError("--url: %s", err)
	}
	return &door{Store: c, remote: c}, nil
}

// openNeighbour returns a client of the server that runs on the data directory.
func (a *app) openNeighbour(ctx context.Context, owned *server.OwnedError) (*door, error) {
	token, _, err := a.givenToken(ctx)
	if err != nil {
		return nil, err
	}
	var with *http.Client
	if owned.Certificate != "" {
		with = pinned(owned.Certificate)
	}
	if token != "" {
		return a.connect(owned.URL, token, with)
	}
	token, unread := a.ownToken()
	d, err := a.connect(owned.URL, token, with)
	if err != nil || unread == nil {
		return d, err
	}
	// A server that has not reached its database yet has made no token: then that is what is wrong. One that has
	// reached it since made its token before it answers, so the file is read once more.
	unready := d.Ping(ctx)
	if err := d.Close(); err != nil {
		return nil, err
	}
	if errors.Is(unready, store.ErrUnavailable) {
		return nil, unready
	}
	if token, unread = a.ownToken(); unread == nil {
		return a.connect(owned.URL, token, with)
	}
	return nil, fmt.Errorf("a server runs on %s, and its token can't be read (%w): %w", a.DataDir, unread,
		store.ErrUnauthenticated)
}

// ownToken returns the admin token that a server on the data directory has made.
func (a *app) ownToken() (string, error) {
	data, err := os.ReadFile(filepath.Join(a.DataDir, server.TokenFile))
	return strings.TrimSpace(string(data)), err
}

// pinned returns a client for the server on this machine that answers with the certificate in a file: it stands for
// names that this machine's own address is none of, so it is compared itself.
func pinned(file string) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate itself
		VerifyConnection: func(s tls.ConnectionState) error {
			data, err := os.ReadFile(file) //nolint:gosec // the owner of the data directory has named it
			if err != nil {
				return err
			}
			block, _ := pem.Decode(data)
			if block == nil || len(s.PeerCertificates) == 0 || !bytes.Equal(block.Bytes, s.PeerCertificates[0].Raw) {
				return fmt.Errorf("the server on this machine answers with another certificate than %s holds", file)
			}
			return nil
		},
	}
	return &http.Client{Transport: t}
}

// localOptions returns what opens the database without a listener.
func (a *app) localOptions() server.Options { return a.located(server.Options{}) }

// located adds to the options of a server what every command says: where the data is, and who runs the command.
func (a *app) located(o server.Options) server.Options {
	o.DataDir, o.DatabaseURL, o.AllowUnverifiedTLS = a.DataDir, string(a.DatabaseURL), a.AllowUnverifiedTLS
	o.Version, o.Agent = buildInfo().Version, a.Agent
	return o
}

// policyOf reads what must be reviewed.
func policyOf(s *common) (access.Policy, error) {
	p, err := s.Policy.Policy()
	if err != nil {
		return p, usageError("--%s", err)
	}
	if knowledge.TextFault(s.Agent) != "" || len(s.Agent) > 100 {
		return p, usageError("--as-agent: want a name of at most 100 characters")
	}
	return p, nil
}

// sourceOf returns where the value of a shared setting came from.
func (a *app) sourceOf(name string) string {
	for _, s := range a.shared {
		if s.Name == name {
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
// What a server has answered without its primary may be old, and the reader is told so.
func (a *app) close(d *door) {
	if d.remote != nil && !d.shown {
		switch l := d.remote.Level(); l.Mode {
		case knowledge.ModeDegraded, knowledge.ModeDiverged:
			a.say("the PostgreSQL of %s is away: its copy answers, current as of %s UTC", d.place(), moment(l.AsOf))
		case knowledge.ModeCold:
			a.say("the PostgreSQL of %s is away: the starter set answers", d.place())
		case knowledge.ModeNormal, knowledge.ModeRecovering:
		}
		if n := d.remote.Level().Lacking; n > 0 {
			a.say("lists and searches of %s lack %s waiting for PostgreSQL, since the disk of its mirror is full",
				d.place(), knowledge.Count(n, "write", "writes"))
		}
	}
	if d.hops {
		keepSeen(d.remote)
	}
	if err := d.Close(); err != nil {
		a.say("close %s: %s", d.place(), err)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
