package server

import (
	"context"
	"errors"
	"log/slog"

	"tenet/internal/access"
	"tenet/internal/httpapi"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// parts are what a tenet is made of, below its doors.
type parts struct {
	log       *slog.Logger
	engine    engine
	directory *access.Directory
	uses      *uses
	store     store.Store // the whole chain
	mode      string      // in words
}

// assemble opens the database and builds everything that stands on it.
func assemble(ctx context.Context, o Options) (*parts, error) {
	e, err := openEngine(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &parts{log: o.Log, engine: e, uses: newUses(e, o.Log), mode: "embedded: the data is in this directory alone"}
	if o.DatabaseURL != "" {
		p.mode = "on " + e.place()
	}
	p.directory = access.NewDirectory(e, o.Log)
	if err := p.directory.Load(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	p.store = stack(e)
	return p, nil
}

// stack puts the stores of a tenet on top of each other; a call meets the last line first.
func stack(e engine) store.Store {
	var s store.Store = e
	return s
}

// door returns the REST door.
func (p *parts) door(o Options) *httpapi.Handler {
	return httpapi.New(httpapi.Options{
		Store: p.store, Authenticate: p.directory.Authenticate, Uses: p.uses, Status: p.status,
		Log: o.Log, Limits: o.Limits, Version: o.Version,
	})
}

// details are what the status page shows of the parts.
type details struct {
	Engine   any              `json:"engine"`
	Schema   Schema           `json:"schema"`
	Database string           `json:"database"`
	Source   knowledge.Source `json:"-"`
}

func (p *parts) status(ctx context.Context) any {
	d := details{Database: p.engine.place()}
	var err error
	if d.Engine, err = p.engine.stat(ctx); err != nil {
		d.Engine = nil // readiness tells why
	}
	if d.Schema, err = p.engine.schema(ctx); err != nil {
		d.Schema = Schema{}
	}
	return d
}

// run does what goes on beside the requests, until ctx ends.
func (p *parts) run(ctx context.Context) error {
	followed := make(chan error, 1)
	go func() { followed <- p.directory.Run(ctx) }()
	err := p.uses.Run(ctx)
	if f := <-followed; !errors.Is(f, context.Canceled) {
		err = errors.Join(err, f)
	}
	return err
}

// close writes what is still in memory, and closes the database.
func (p *parts) close(ctx context.Context) error {
	p.uses.flush(ctx)
	return p.engine.Close()
}
