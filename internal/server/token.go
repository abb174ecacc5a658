package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// adminID is the admin that a first start makes. Where another instance on the same database has taken it, some hex
// digits follow.
const adminID = "admin"

// adminTries is how many ids are tried.
const adminTries = 5

// ensureAdmin makes an admin token where the data directory has none that the database knows, and returns it; "" when
// there was one. A token whose principal was disabled or expired stays as it is: somebody wanted it so.
func ensureAdmin(ctx context.Context, s store.Store, dir string) (string, error) {
	path := filepath.Join(dir, TokenFile)
	data, err := os.ReadFile(path) //nolint:gosec // the operator chose the directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	if token := strings.TrimSpace(string(data)); token != "" {
		known, err := tokenKnown(ctx, s, token)
		if err != nil || known {
			return "", err
		}
		// Its principal was purged, or never written. The old token may be why: it gets no second life.
	}
	p, token, err := access.NewPrincipal(adminID, knowledge.RoleAdmin)
	if err != nil {
		return "", err
	}
	// The file comes first: a token that is known and in no file would be an admin that nobody can be.
	if err := writePrivate(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("keep the admin token: %w", err)
	}
	for try := 1; ; try++ {
		p.Normalize()
		b := knowledge.Batch{
			ID: knowledge.NewBatchID(), Actor: access.SystemID,
			Ops: []knowledge.Op{knowledge.Put(p, knowledge.NoVersion)},
		}
		_, err := s.Apply(ctx, b)
		if errors.Is(err, store.ErrConflict) && try < adminTries {
			p.PrincipalID, p.Name = adminID+"-"+digits(), ""
			continue
		}
		if err != nil {
			return "", fmt.Errorf("make the admin: %w", err)
		}
		return token, nil
	}
}

// tokenKnown reports whether a principal, in use or not, holds the token.
func tokenKnown(ctx context.Context, s store.Reader, token string) (bool, error) {
	hash := access.HashToken(token)
	found := false
	q := knowledge.Query{Kind: knowledge.KindPrincipal, Activity: knowledge.AnyActivity, Order: knowledge.OrderID}
	err := store.All(ctx, s, q, func(r *knowledge.Record) error {
		d, err := r.Document()
		if err != nil {
			return err
		}
		p, ok := d.(*knowledge.Principal)
		found = found || ok && p.TokenHash == hash
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for the admin: %w", err)
	}
	return found, nil
}

// digits returns eight random hex digits.
func digits() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// firstStart gives an empty database the starter set and an admin, and returns what it did.
func (s *Server) firstStart(ctx context.Context) (SeedReport, string, error) {
	report, err := firstSeed(ctx, s.parts.engine, s.o)
	if err != nil {
		return report, "", err
	}
	token, err := ensureAdmin(ctx, s.parts.engine, s.o.DataDir)
	if err != nil {
		return report, token, err
	}
	missing, err := s.o.Policy.Missing(ctx, s.parts.engine)
	if err != nil {
		return report, token, err
	}
	for _, what := range missing {
		s.parts.log.WarnContext(ctx, "a setting names what is not there, and does nothing until it is", "setting", what)
	}
	if token == "" {
		return report, "", nil
	}
	return report, token, s.parts.directory.Load(ctx) // the token opens from the first request on
}
