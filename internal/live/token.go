package live

import (
	"net/http"
	"strings"
)

// Subprotocols that a browser offers, since it can't set headers: the protocol itself, and its token.
const (
	Subprotocol   = "tenet.v1"
	tokenProtocol = "tenet.token." //nolint:gosec // a prefix, not a token
)

// TokenFromSubprotocol returns a handler that turns a token offered as the subprotocol tenet.token.TOKEN of a WebSocket
// into the Authorization header that next looks for. The token leaves the list, so that no answer and no log repeats
// it.
func TokenFromSubprotocol(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if offered := r.Header["Sec-Websocket-Protocol"]; len(offered) > 0 && isWebSocket(r) {
			var rest []string
			token := ""
			for name := range strings.SplitSeq(strings.Join(offered, ","), ",") {
				name = strings.TrimSpace(name)
				if t, ok := strings.CutPrefix(name, tokenProtocol); ok {
					token = t
					continue
				}
				rest = append(rest, name)
			}
			if token != "" {
				r = r.Clone(r.Context())
				r.Header.Del("Sec-WebSocket-Protocol")
				if len(rest) > 0 {
					r.Header.Set("Sec-WebSocket-Protocol", strings.Join(rest, ", "))
				}
				if r.Header.Get("Authorization") == "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isWebSocket reports whether a request asks for a WebSocket.
func isWebSocket(r *http.Request) bool {
	for _, v := range r.Header.Values("Upgrade") {
		for name := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "websocket") {
				return true
			}
		}
	}
	return false
}
