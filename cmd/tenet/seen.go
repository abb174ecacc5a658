package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tenet/internal/client"
	"tenet/internal/knowledge"
)

// seenFor is how long a command asks for what an earlier one has seen. By then every instance has long followed; and a
// server that was put back from a backup is not asked for ever for what it has lost.
const seenFor = time.Hour

// seenFile returns where the commands of this user keep the newest change that a server has told them of; "" where
// there is no place.
func seenFile(url string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(url))
	return filepath.Join(cache, "tenet", "seen", hex.EncodeToString(sum[:8]))
}

// seenBefore has a client ask for at least what an earlier command has seen: behind one address there may be several
// instances, and a command that looks for what the last one wrote must not meet one that has not followed yet.
func seenBefore(c *client.Store) {
	path := seenFile(c.URL())
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()).Abs() > seenFor {
		return
	}
	text, err := os.ReadFile(path) //nolint:gosec // a name of our own
	if err != nil {
		return
	}
	if seq, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		c.See(knowledge.Seq(seq))
	}
}

// keepSeen keeps for the next command what this one has seen. Where that fails the next one asks as if it were the
// first.
func keepSeen(c *client.Store) {
	path := seenFile(c.URL())
	if path == "" || c.Seen() == 0 || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return
	}
	_, err = f.WriteString(itoa(int64(c.Seen())) + "\n")
	if closed := f.Close(); err != nil || closed != nil || os.Rename(f.Name(), path) != nil {
		_ = os.Remove(f.Name())
	}
}
