package main

import (
	"context"
	"fmt"

	"tenet/internal/knowledge"
)

// A dryRun says whether a write is only tried, and by whom.
type dryRun int64

const (
	dryNone   dryRun = iota
	dryClient        // here: what was given is checked and shown
	dryServer        // by the server: it judges the write as any other and takes it back
)

// String returns the word for it.
func (d dryRun) String() string {
	return map[dryRun]string{dryClient: "client", dryServer: "server"}[d]
}

// Unit is the word that help shows for the value.
func (d dryRun) Unit() string { return "client|server" }

// Parse reads the word. The flag alone means here, and so does true, which it was once.
func (d dryRun) Parse(text string) (int64, error) {
	switch text {
	case "", "false", "none":
		return int64(dryNone), nil
	case "client", "true":
		return int64(dryClient), nil
	case "server":
		return int64(dryServer), nil
	}
	return 0, fmt.Errorf("%q: want client, or server to ask the server", text)
}

// applyOr applies a batch, or only tries it, and prints what became of each op.
func applyOr(ctx context.Context, a *app, d *door, dry dryRun, b knowledge.Batch) error {
	switch dry {
	case dryClient:
		return printPlanned(a, b.Ops)
	case dryServer:
		b.Dry = true
	case dryNone:
	}
	return send(ctx, a, d, b)
}
