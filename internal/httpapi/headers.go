package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"tenet/internal/api"
	"tenet/internal/knowledge"
)

// Media types of answers.
const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
	mediaPatch   = "application/merge-patch+json"
	mediaYAML    = "application/yaml"
	mediaHTML    = "text/html; charset=utf-8"
)

// leavingHeader says that the answer leaves the house, as a file for an assistant or in an export: without what is
// confidential, but for callers who may take it out.
const leavingHeader = "Tenet-Leaving"

// lackingHeader tells how many writes wait on this instance that lists and searches do not show.
const lackingHeader = "Tenet-Lacking"

// confidentialHeader names the confidential categories of which an answer shows documents.
const confidentialHeader = "Tenet-Confidential"

// givenID returns the id that the caller gave to the request, "" for none.
func givenID(h http.Header) string {
	if given := h["X-Request-Id"]; len(given) == 1 && sane(given[0]) {
		return given[0]
	}
	return ""
}

// maxRequestID bounds a request id that a caller gives.
const maxRequestID = 128

func sane(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// plainID reports whether a text is a valid id. It knows most of them, without allocating.
func plainID(id string) bool { return len(id) > 2 && len(id) <= knowledge.MaxID && sane(id) }

// accepts reports whether an Accept header lets a media type through.
func accepts(values []string, media string) bool {
	if len(values) == 0 {
		return true
	}
	media, _, _ = strings.Cut(media, ";")
	family, _, _ := strings.Cut(media, "/")
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(part, ";")
			name = strings.TrimSpace(name)
			if quality(params) == 0 {
				continue
			}
			if name == "*/*" || strings.EqualFold(name, media) || strings.EqualFold(name, family+"/*") {
				return true
			}
		}
	}
	return false
}

// named reports whether an Accept header names a media type itself, and not by a star.
func named(values []string, media string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), media) && quality(params) > 0 {
				return true
			}
		}
	}
	return false
}

// quality returns the q of the parameters behind an entry of an Accept header, 1 when there is none.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || q < 0 {
				return 0
			}
			return q
		}
	}
	return 1
}

// bearer returns the token of an Authorization header.
func bearer(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

func wantsFresh(values []string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), "no-cache") {
				return true
			}
		}
	}
	return false
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func orInt[T ~int | ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// limitWithin returns how many entries an answer may have: usual where the caller does not say.
func limitWithin(asked, usual, most int) (int, error) {
	if n := orInt(asked, usual); n >= 1 && n <= most {
		return n, nil
	}
	return 0, knowledge.BadQuery("limit", "%d: want 1 to %d", asked, most)
}

// newBatch returns a batch without ops: its id from the caller's key, or new; its actor the caller. A dry one is only
// tried.
func newBatch(c *call, said saidParams) (knowledge.Batch, error) {
	b := knowledge.Batch{Actor: c.actor(), Dry: said.DryRun, Message: said.Message}
	var err error
	b.ID, err = api.BatchID(b.Actor, c.r.Header["Idempotency-Key"])
	return b, err
}

// conditions returns the preconditions of a write, as the request has them.
func (c *call) conditions() *api.Precondition {
	c.cond = api.Precondition{
		Match: c.r.Header["If-Match"], NoneMatch: c.r.Header["If-None-Match"],
		Store: c.h.o.Store, Fresh: c.h.o.Fresh,
	}
	return &c.cond
}
