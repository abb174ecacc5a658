package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tenet/internal/server"
)

// TestABatchOfCallsOfAnAssistantIsBounded sends many calls of a tool in one request, as the oldest era allows.
func TestABatchOfCallsOfAnAssistantIsBounded(t *testing.T) {
	w := start(t, server.Options{}).browse(t)
	header := []string{"Accept", "application/json, text/event-stream"}
	session := w.ask(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":`+
		`"2025-03-26","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, header...).header.Get("Mcp-Session-Id")
	header = append(header, "Mcp-Session-Id", session, "Mcp-Protocol-Version", "2025-03-26")
	w.ask(http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, header...)
	const taken, refused = http.StatusOK, http.StatusBadRequest
	for n, want := range map[int]int{1: taken, 20: taken, 21: refused, 5000: refused} {
		calls := make([]string, n)
		for i := range calls {
			calls[i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"search",`+
				`"arguments":{"query":"sql"}}}`, i)
		}
		s := w.ask(http.MethodPost, "/mcp", " ["+strings.Join(calls, ",")+"]", header...)
		if s.status != want || want == taken && strings.Count(s.body, `"result"`) != n {
			t.Errorf("a batch of %d calls: status %d, want %d\n%.300s", n, s.status, want, s.body)
		}
	}
}
