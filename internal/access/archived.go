package access

import (
	"context"
	"errors"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// archived returns the last two changes of a document that is in the archive, the one that archived it first; none if
// it is not there, or if the log has lost its text, so that no restore brings it back.
func (s *Store) archived(ctx context.Context, key knowledge.Key) ([]knowledge.Change, error) {
	last, err := s.next.Changes(ctx, knowledge.ChangeQuery{Key: key, Newest: true, Limit: 2})
	if err != nil || len(last) < 2 || last[0].Verb != knowledge.VerbArchive || last[1].Record == nil {
		return nil, err
	}
	return last, nil
}

// missing returns the error of a call, which says of a document that is not there whether it is in the archive. The log
// tells, which every copy has: so the answer costs no question to the primary, and is the same during an outage.
func (s *Store) missing(ctx context.Context, err error) error {
	none, ok := errors.AsType[*store.NotFoundError](err)
	if !ok || none.Archived || knowledge.New(none.Key.Kind) == nil || hiddenKind(none.Key.Kind) {
		return err
	}
	hidden, failed := s.policy.Confidential.hidesKey(ctx, s.next, none.Key)
	if hidden || failed != nil {
		return err // not even that it is archived is told
	}
	if last, failed := s.archived(ctx, none.Key); failed != nil || last == nil {
		return err // that the document is not there is certain: what else is known of it may be missing
	}
	return &store.NotFoundError{Key: none.Key, Source: none.Source, Archived: true}
}
