package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// jsonPosition is a mirror's position as stored in its file.
type jsonPosition struct {
	System   string         `json:"system"`
	Timeline int64          `json:"timeline"`
	Seq      knowledge.Seq  `json:"seq"`
	Chain    string         `json:"chain"`
	At       knowledge.Time `json:"at"`
}

// Position returns the store's position in the log of its primary; an embedded store is its own primary. A mirror that
// was never complete has none: [store.ErrNotFound].
func (s *Store) Position(ctx context.Context) (knowledge.Position, error) {
	var p knowledge.Position
	err := s.agree(ctx, func(ctx context.Context, v view) (err error) {
		p, err = v.position(ctx)
		return err
	})
	return p, err
}

func (v view) position(ctx context.Context) (knowledge.Position, error) {
	var p knowledge.Position
	if v.f.opts.Mirror {
		text := ""
		err := v.query(ctx, "position", "SELECT value FROM meta WHERE key = 'position'", nil,
			func(r *sql.Rows) error { return r.Scan(&text) })
		if err == nil && text == "" {
			err = store.ErrNotFound
		}
		if err != nil {
			return p, err
		}
		p, err = decodePosition(text)
		return p, contract(err)
	}
	err := v.query(ctx, "position", "SELECT (SELECT value FROM meta WHERE key = 'system'), c.seq, c.chain, c.at "+
		"FROM (SELECT 1) LEFT JOIN "+
		"(SELECT seq, chain, at FROM changes ORDER BY seq DESC LIMIT 1) c", nil, func(r *sql.Rows) error {
		var seq, at *int64
		var chain []byte
		err := r.Scan(&p.System, &seq, &chain, &at)
		if seq != nil {
			p.Seq = knowledge.Seq(*seq)
		}
		copy(p.Chain[:], chain)
		p.At = maybe(at)
		return err
	})
	return p, err
}

func decodePosition(text string) (knowledge.Position, error) {
	var j jsonPosition
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return knowledge.Position{}, fmt.Errorf("decode position: %w", err)
	}
	p := knowledge.Position{System: j.System, Timeline: j.Timeline, Seq: j.Seq, At: j.At}
	if n, err := hex.Decode(p.Chain[:], []byte(j.Chain)); err != nil || n != len(p.Chain) {
		return p, fmt.Errorf("decode position: chain %q: want 64 hex digits", j.Chain)
	}
	return p, nil
}

// position reads a mirror's position within a transaction; nil for none.
func (w *writer) position(ctx context.Context) (*knowledge.Position, error) {
	text := ""
	ok, err := w.one(ctx, "SELECT value FROM meta WHERE key = 'position'", nil, &text)
	if err != nil || !ok {
		return nil, err
	}
	p, err := decodePosition(text)
	return &p, err
}

func (t *tx) setPosition(ctx context.Context, p *knowledge.Position) error {
	b, err := json.Marshal(jsonPosition{
		System: p.System, Timeline: p.Timeline, Seq: p.Seq,
		Chain: hex.EncodeToString(p.Chain[:]), At: p.At,
	})
	if err != nil {
		return err
	}
	t.head = head{p.Seq, p.Chain}
	return t.setMeta(ctx, "position", string(b))
}

// SetIdentity stores the system identifier and timeline of a mirror's primary, after a promotion that kept the history.
func (s *Store) SetIdentity(ctx context.Context, system string, timeline int64) error {
	return s.do(ctx, "position.identity", func(ctx context.Context, t *tx) error {
		p, err := t.position(ctx)
		if err != nil {
			return err
		}
		if p == nil {
			return store.ErrNotFound
		}
		p.System, p.Timeline = system, timeline
		return t.setPosition(ctx, p)
	})
}

// identify gives a primary its system identifier, once.
func (w *writer) identify(ctx context.Context) error {
	return w.exec(ctx, "INSERT INTO meta (key, value) VALUES ('system', ?) ON CONFLICT DO NOTHING", uuid.NewString())
}

var (
	// ErrOtherHistory says that a change does not follow from what the mirror holds: the primary is another history.
	ErrOtherHistory = errors.New("the change belongs to another history than the mirror: rebuild the mirror")
	// ErrGap says that changes are missing between what the mirror holds and what it was given.
	ErrGap = errors.New("changes are missing between the mirror and these: read the log from the mirror's position")
)
