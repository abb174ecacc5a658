package interchange

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Marks around what tenet writes into a file that has other parts; a digest of the part follows the first. A file that
// is tenet's alone has the first mark only.
const (
	OwnBegin = "<!-- tenet:begin "
	OwnEnd   = "<!-- tenet:end -->"
)

// ownSum is how many signs a mark has of a digest.
const ownSum = 16

// OwnDigest returns the digest of a part that tenet writes, as its mark holds it.
func OwnDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:ownSum]
}

// OwnFile returns the digest in the mark of a file with line feeds that is tenet's alone, "" where there is none, and
// whether nobody has edited the file since.
func OwnFile(text string) (digest string, intact bool) {
	before, rest, ok := strings.Cut(text, OwnBegin)
	if !ok || len(rest) < ownSum {
		return "", false
	}
	digest = rest[:ownSum]
	return digest, OwnDigest(before+OwnBegin+rest[ownSum:]) == digest
}

// ownBlock returns the digest in the mark of a part, whose text begins behind [OwnBegin], and the part that it is of.
func ownBlock(text string) (digest, part string) {
	head, part, _ := strings.Cut(text, "-->")
	digest, _, _ = strings.Cut(head, " ")
	return digest, strings.TrimPrefix(part, "\n")
}

// editedOwn says of what tenet wrote that somebody has edited it since.
const editedOwn = "tenet sync wrote it, and it was edited by hand since: an import does not take the edit; bring it " +
	"into tenet with `tenet edit`, or give it up with `tenet sync --overwrite`"

// withoutOwnPart returns a text without the part that tenet wrote into it: that is imported already, as what it was
// made of.
func (r *reader) withoutOwnPart(f *file, body string) string {
	before, rest, found := strings.Cut(body, OwnBegin)
	if !found {
		return body
	}
	part, after, found := strings.Cut(rest, OwnEnd)
	if a, _ := adapterFor(f.path); !found && a != nil && !a.Shared() && strings.TrimSpace(before) == "" {
		f.ours = true // a file of its own has no end mark: all of it is ours
		digest, intact := OwnFile(f.text)
		f.edited = digest != "" && !intact
		return ""
	}
	if !found {
		f.note("%s has no %s: read as it stands", strings.TrimSpace(OwnBegin), OwnEnd)
		return body
	}
	f.ours = true
	digest, part := ownBlock(part)
	if f.edited = len(digest) == ownSum && OwnDigest(part) != digest; f.edited {
		f.note("the part that tenet wrote was left out: %s", editedOwn)
	} else {
		f.note("the part that tenet wrote was left out")
	}
	return trimBlankLines(before) + "\n\n" + trimBlankLines(after)
}
