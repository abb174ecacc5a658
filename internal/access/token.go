package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// tokenMark begins every token, so that one that has got loose is recognized.
const tokenMark = "tenet_"

// Sizes of a token.
const (
	tokenBytes  = 32 // of chance
	prefixChars = 12 // that are shown
)

// NewToken returns a new token, the hash by which it is known, and the beginning that may be shown. The token itself is kept
// nowhere: who loses it needs another one.
func NewToken() (token, hash, prefix string, err error) {
	var b [tokenBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", "", "", fmt.Errorf("make a token: %w", err)
	}
	token = tokenMark + base64.RawURLEncoding.EncodeToString(b[:])
	return token, HashToken(token), token[:prefixChars], nil
}

// HashToken returns the SHA-256 of a token in hex, as a principal holds it.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
