package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"tenet/internal/knowledge"
)

// tokenMark begins every token, so that scanners can find leaked tokens.
const tokenMark = "tenet_"

// Sizes of a token.
const (
	tokenBytes  = 32 // random bytes
	prefixChars = 12 // shown characters
)

// NewToken returns a new token, its hash, and the prefix that may be shown. The token is stored nowhere: a lost one
// must be replaced.
func NewToken() (token, hash, prefix string, err error) {
	var b [tokenBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", "", "", fmt.Errorf("make a token: %w", err)
	}
	token = tokenMark + base64.RawURLEncoding.EncodeToString(b[:])
	return token, HashToken(token), token[:prefixChars], nil
}

// HashToken returns the SHA-256 of a token in hex, as a principal stores it.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// RoleOf returns the role of a new principal for which none is named: an agent is there to propose, which a viewer may
// not.
func RoleOf(agent bool) string {
	if agent {
		return knowledge.RoleContributor
	}
	return knowledge.RoleViewer
}

// NewPrincipal returns a principal with a new token, and the token, which is not stored anywhere.
func NewPrincipal(id, role string) (*knowledge.Principal, string, error) {
	token, hash, prefix, err := NewToken()
	if err != nil {
		return nil, "", err
	}
	return &knowledge.Principal{PrincipalID: id, Role: role, TokenHash: hash, TokenPrefix: prefix}, token, nil
}

// Issue returns the op that writes a new principal. was is the record with its id, nil for none: the id of a revoked
// principal can be used again, any other id in use is a conflict.
func Issue(p *knowledge.Principal, was *knowledge.Record) knowledge.Op {
	if was != nil && !was.Active {
		return knowledge.Put(p, was.Version)
	}
	return knowledge.Put(p, knowledge.NoVersion)
}

// An ExpiredError says that a principal's token has expired, so another one can't expire when it does.
type ExpiredError struct{ At knowledge.Time }

// Error says when the old token has expired.
func (e *ExpiredError) Error() string {
	return "the old token has expired at " + e.At.UTC().Format(time.RFC3339) + ": say when the new one expires"
}

// Rotate returns an active copy of a principal with a new token, and the token. The copy keeps the name, the role and
// the limits. The token expires at until; nil means at the old token's expiry, or an [*ExpiredError] if that has
// passed.
func Rotate(was *knowledge.Principal, until *knowledge.Time, now time.Time) (*knowledge.Principal, string, error) {
	if until == nil {
		if until = &was.Expiry; !until.IsZero() && until.Before(now) {
			return nil, "", &ExpiredError{*until}
		}
	}
	next, token, err := NewPrincipal(was.PrincipalID, was.Role)
	if err != nil {
		return nil, "", err
	}
	next.Name, next.Agent, next.Expiry = was.Name, was.Agent, *until
	return next, token, nil
}
