package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
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
