package server_test

import (
	"net/http"
	"strings"
	"testing"

	"tenet/internal/server"
)

// TestNotesOnAWriteTellNothingConfidential names a document that is nearly one of a confidential category, as who may
// read that and as who may not. What a server asks itself for a note is no read of its caller.
func TestNotesOnAWriteTellNothingConfidential(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, o server.Options) {
		_, as := confidential(t, o)
		propose := func(who string) *said {
			return as[who].want(http.StatusCreated, http.MethodPost, "/api/v1/proposals", `{"title":"A pack of `+who+
				`","ops":[{"verb":"put","kind":"pack","document":{"pack_id":"`+who+`","select":{"ids":["rule/PAY-11"]}}}]}`)
		}
		const missing = "there is no rule/PAY-11 yet"
		if notes := propose("keeper").header.Get("Tenet-Notes"); !strings.Contains(notes,
			missing+": did you mean rule/PAY-1?") {
			t.Errorf("who may read it is told %s", notes)
		}
		if notes := propose("contributor").header.Get("Tenet-Notes"); !strings.Contains(notes, missing) ||
			strings.Contains(notes, "PAY-1?") {
			t.Errorf("who may not read it is told %s", notes)
		}
		as["admin"].want(http.StatusOK, http.MethodGet, "/api/v1/rules/SEC-003", "")
		audit := func(query string) string {
			return as["admin"].want(http.StatusOK, http.MethodGet, "/api/v1/audit?limit=500&"+query, "").body
		}
		await(t, "the audit has what was read last", func() bool {
			return strings.Contains(audit("key=rule/SEC-003"), "get")
		})
		for _, who := range []string{"keeper", "contributor"} {
			if read := audit("kind=read&actor=" + who); !strings.Contains(read, `"entries":[]`) {
				t.Errorf("a note is in the audit as a read of %s: %s", who, read)
			}
		}
	})
}
