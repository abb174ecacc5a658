package server

import (
	"context"

	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/mcp"
	"tenet/internal/store"
)

// newMCP makes the door for assistants. It follows the changes that the mirror has applied, as the cache does: a caller
// that is notified of a change can read it.
func (p *parts) newMCP(o Options) *mcp.Door {
	return mcp.New(mcp.Options{
		Store: p.store, Skills: p.skills, Labels: p.labelled(), Check: p.check, Feed: p.from.feed,
		Holds: p.directory.Holds,
		Use:   p.uses.Use, Fault: mcp.LogFault(o.Log), Version: o.Version, Level: p.level, Seq: p.engine.Seq,
		Quiet: func(ctx context.Context, c *knowledge.Change) (bool, error) {
			secret, err := o.Policy.Confidential.Tells(ctx, p.engine, c)
			return len(secret) > 0, err
		},
		Guide: func(ctx context.Context, q guidance.Query) (*guidance.Answer, error) {
			q.Without, q.Confidential = o.Policy.Confidential.Without(ctx), o.Policy.Confidential.Categories()
			return guided(ctx, p.guidance, p.store, q)
		},
	})
}

// guided answers a question from the index; texts are read in the name of who asks.
func guided(ctx context.Context, x *guidance.Index, reader store.Past, q guidance.Query) (*guidance.Answer, error) {
	prepared, err := x.Prepare(ctx, reader, q)
	if err != nil {
		return nil, err
	}
	return prepared.Answer(ctx, reader)
}
