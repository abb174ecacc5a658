package treesync

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"tenet/internal/interchange"
)

// A surrounding is a shared file: the text before our block, in it, and after it.
type surrounding struct {
	before, after string
	block         []byte
	digest        string
	there         bool
}

// split finds our block. Markers that are not exactly one pair are an error: our part is then unknown.
func split(text string) (surrounding, error) {
	begins, ends := strings.Count(text, beginMark), strings.Count(text, endMark)
	if begins == 0 && ends == 0 {
		return surrounding{before: text}, nil
	}
	from, to := strings.Index(text, beginMark), strings.Index(text, endMark)
	if begins != 1 || ends != 1 || to < from {
		return surrounding{}, fmt.Errorf("our block has one mark where it begins and one where it ends, and here are "+
			"%d and %d: leave one pair, or none", begins, ends)
	}
	head, rest, ok := strings.Cut(text[from+len(beginMark):to], "-->")
	if !ok {
		return surrounding{}, errors.New("the line that begins our block is cut off")
	}
	digest, _, _ := strings.Cut(head, " ")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "\r"), "\n")
	return surrounding{text[:from], text[to+len(endMark):], []byte(rest), digest, true}, nil
}

// with returns the file with a new block in place of the old one, or at the end.
func (s *surrounding) with(block string, crlf bool) string {
	text := beginMark + interchange.OwnDigest(block) + markTail + "\n" + block + endMark
	if crlf {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	if s.there {
		return s.before + text + s.after
	}
	nl := "\n"
	if crlf {
		nl = "\r\n"
	}
	before := s.before
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += nl
	}
	if before != "" {
		before += nl
	}
	return before + text + nl
}

// without returns the file without our block, the blank line added before it and the line end after it: people's text
// stays, byte for byte.
func (s *surrounding) without() string {
	nl := "\n"
	if strings.HasPrefix(s.after, "\r\n") {
		nl = "\r\n"
	}
	after := strings.TrimPrefix(s.after, nl)
	if after == "" {
		return strings.TrimSuffix(s.before, nl)
	}
	return s.before + after
}

func unix(text []byte) string { return strings.ReplaceAll(string(text), "\r\n", "\n") }

// inStyle gives a text the line ends of a file.
func inStyle(text string, file []byte) []byte {
	if bytes.Contains(file, []byte("\r\n")) {
		return []byte(strings.ReplaceAll(text, "\n", "\r\n"))
	}
	return []byte(text)
}
