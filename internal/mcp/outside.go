package mcp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// outsideSession answers a call of the older protocol that names no session, and reports whether it did. The SDK would
// open a session for it, and say that this one is not initialized: nothing of the header that is missing.
func outsideSession(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || r.Header.Get(sessionHeader) != "" {
		return false
	}
	body, whole := readAhead(r)
	var call struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params struct {
			Meta map[string]any `json:"_meta"`
		} `json:"params"`
	}
	if !whole || json.Unmarshal(body, &call) != nil || !plainID(call.ID) || !strings.Contains(call.Method, "/") {
		return false // initialize and ping need no session; a notification gets no answer
	}
	if _, modern := call.Params.Meta[mcp.MetaKeyProtocolVersion]; modern || call.Method == "server/discover" {
		return false
	}
	var b bytes.Buffer
	if encode(&b, map[string]any{
		"jsonrpc": "2.0", "id": call.ID, "error": map[string]any{
			"code": -32600, "message": call.Method + " needs a session: send initialize first, and then the header " +
				sessionHeader + " of its answer with every request; or use version " + modernEra +
				" of the protocol, which has no sessions, and name it in the header " + eraHeader,
		},
	}) != nil {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(b.Bytes()) // a caller that disconnected is told nothing
	return true
}
