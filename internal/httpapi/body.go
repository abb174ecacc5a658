package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// body reads the request's body, which must be of the media type that its route reads.
func (c *call) body() ([]byte, error) {
	want, also, free := c.route.body.media, c.route.body.also, c.route.body.free
	given := c.r.Header.Get("Content-Type")
	if given == "" && free && c.r.ContentLength == 0 {
		return nil, nil
	}
	if err := checkMedia(given, want, also); err != nil {
		return nil, err
	}
	if coding := c.r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, api.Refuse(api.ErrMediaType, "Content-Encoding %q: send the body as it is", coding)
	}
	limit := c.h.o.Limits.MaxBody
	if c.route.limit > 0 {
		limit = c.route.limit
	}
	if c.r.ContentLength > limit {
		return nil, api.Refuse(api.ErrTooLarge, "the body has %d bytes: at most %d fit", c.r.ContentLength, limit)
	}
	return takeBody(c, limit)
}

// checkMedia compares a Content-Type with the media types that a path reads: want, and also unless it is empty.
func checkMedia(given, want, also string) error {
	wanted := want
	if also != "" {
		wanted += " or " + also
	}
	if given == "" {
		return api.Refuse(api.ErrMediaType, "no Content-Type: want %s", wanted)
	}
	media, params, err := mime.ParseMediaType(given)
	if err != nil || media != want && (also == "" || media != also) {
		return api.Refuse(api.ErrMediaType, "Content-Type %q: want %s", given, wanted)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return api.Refuse(api.ErrMediaType, "charset %q: want UTF-8", charset)
	}
	return nil
}

// document reads the body as a document of a kind. Its id may still be missing.
func (c *call) document(kind knowledge.Kind) (knowledge.Document, error) {
	b, err := documentBytes(c)
	if err != nil {
		return nil, err
	}
	return knowledge.Decode(kind, b)
}

// documentBytes reads the body as JSON of the size of one document.
func documentBytes(c *call) ([]byte, error) {
	b, err := c.body()
	if err != nil {
		return nil, err
	}
	if len(b) > knowledge.MaxDocument {
		return nil, api.Refuse(api.ErrTooLarge, "the document has %d bytes: at most %d fit", len(b),
			knowledge.MaxDocument)
	}
	return b, wellFormed(b, knowledge.MaxDepth)
}

// wellFormed returns nil when b is one JSON value in valid UTF-8, nested no deeper than depth.
func wellFormed(b []byte, depth int) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return api.Refuse(api.ErrMalformed, "the body is empty: want JSON")
	}
	if !utf8.Valid(b) {
		return api.Refuse(api.ErrMalformed, "the body is not valid UTF-8")
	}
	if tooDeep(b, depth) {
		return api.Refuse(api.ErrMalformed, "the JSON is nested deeper than %d levels", depth)
	}
	var raw json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return api.Refuse(api.ErrMalformed, "the body is not JSON: %s at byte %d", syntax, syntax.Offset)
		}
		return api.Refuse(api.ErrMalformed, "the body is not JSON: %s", err)
	}
	if why := knowledge.Ambiguity(b); why != "" {
		return api.Refuse(api.ErrMalformed, "the body does not mean one thing: %s", why)
	}
	return nil
}

// tooDeep reports whether the brackets of b, outside its strings, nest deeper than depth. It comes before the decoder,
// which would follow them down.
func tooDeep(b []byte, depth int) bool {
	open, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if open++; open > depth {
				return true
			}
		case c == '}' || c == ']':
			open--
		}
	}
	return false
}
