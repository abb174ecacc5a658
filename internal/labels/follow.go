package labels

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Run removes purged documents from the copies, and drops all copies when the log is replaced, until ctx ends.
func (c *Copies) Run(ctx context.Context) error {
	w := store.Watch{
		Name: "copies of labels", Feed: c.o.Feed, Log: c.o.Log,
		Begin: func(ctx context.Context, _ error) (store.Place, error) {
			at, err := store.Newest(ctx, c.o.Feed)
			if err == nil {
				c.renew() // earlier purges are not delivered again
			}
			return at, err
		},
		Changed: func(changes []knowledge.Change) error {
			for i := range changes {
				if person, err := changes[i].Erasure(); person != nil || err != nil {
					c.renew() // any document of a copy may name the person
					break
				}
			}
			c.purge(ctx, changes)
			return nil
		},
	}
	if err := w.Run(ctx); errors.Is(err, store.ErrClosed) {
		<-ctx.Done()
	}
	return ctx.Err()
}

// renew drops all copies.
func (c *Copies) renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.era++
	for _, h := range c.held {
		c.drop(h)
	}
}

// purge removes purged documents from the copies.
func (c *Copies) purge(ctx context.Context, changes []knowledge.Change) {
	var left []store.Left
	for i := range changes {
		if changes[i].Verb == knowledge.VerbPurge && knowledge.Labelled(changes[i].Key.Kind) {
			left = append(left, store.Left{Key: changes[i].Key})
		}
	}
	if len(left) == 0 {
		return
	}
	c.mu.Lock()
	var made []*held
	for _, h := range c.held {
		select {
		case <-h.ready:
			h.users++
			made = append(made, h)
		default:
			h.purged = append(h.purged, left...)
		}
	}
	c.mu.Unlock()
	for _, h := range made {
		err := h.copy.Foresee(ctx, left)
		c.mu.Lock()
		if err != nil {
			c.o.Log.WarnContext(ctx, "purge could not be done in the copy of a label: the copy is removed", "error",
				err.Error())
			c.drop(h)
		}
		c.mu.Unlock()
		c.leave(h)
	}
}
