package server

import (
	"context"

	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/sqlite"
	"tenet/internal/upkeep"
)

// reindex rebuilds the search index, and the rows by tag and language, of an engine. The dual one has another in the
// mirror of this instance, which answers readers.
func reindex(ctx context.Context, e engine, progress func(done int)) error {
	switch e := e.(type) {
	case *embedded:
		n, err := sqlite.Reindex(ctx, e.Store)
		progress(n)
		return err
	case *primary:
		return postgres.Reindex(ctx, e.Store, progress)
	case *dual:
		p := e.primary.Load()
		if p == nil {
			return e.errAway()
		}
		if err := reindex(ctx, p, progress); err != nil {
			return err
		}
		_, err := sqlite.Reindex(ctx, e.mirror)
		return err
	}
	return nil
}

// searchJob describes the job that rebuilds the search index.
func (p *parts) searchJob() upkeep.Job {
	return upkeep.Job{
		Name: "search.rebuild", Book: upkeep.Shared, Heavy: true,
		Doc: "Rebuilds what lists and searches find documents by, as `tenet doctor search` does",
		Do: func(ctx context.Context, progress *upkeep.Progress) (string, error) {
			n := 0
			err := reindex(ctx, p.engine, func(done int) {
				n = done
				progress.Set(int64(done), 0)
			})
			return knowledge.Count(int64(n), "document", "documents") + " indexed", err
		},
	}
}
