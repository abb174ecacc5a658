package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/access"
	"tenet/internal/store"
)

// A directTool is a tool that can be called without the SDK.
type directTool struct {
	arguments *jsonschema.Resolved
	call      func(ctx context.Context, arguments json.RawMessage) (*reply, error)
}

// directly makes a tool that [Door.direct] can call.
func directly[In any](schema *jsonschema.Schema, fn func(ctx context.Context, in *In) (*reply, error)) *directTool {
	resolved, err := schema.Resolve(nil)
	if err != nil {
		panic(err) // the types of arguments are ours
	}
	return &directTool{resolved, func(ctx context.Context, arguments json.RawMessage) (*reply, error) {
		var in In
		if err := json.Unmarshal(arguments, &in); err != nil {
			return nil, refuse("arguments: %s", err)
		}
		return fn(ctx, &in)
	}}
}

const toolsCall = "tools/call"

// direct answers the call of a tool that reads. The SDK would open a session, pass the call through three goroutines
// and encode the answer several times, which takes longer than the answer itself. Only calls in their plainest form are
// answered; direct reports false for all others, for wrong ones above all: the SDK then finds r as it came.
func (d *Door) direct(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPost || !plainHeaders(r.Header) || rebound(r) || access.CallerFrom(r.Context()) == nil {
		return false
	}
	modern := r.Header.Get(eraHeader) == modernEra
	if !modern && !d.inSession(r) {
		return false
	}
	body, whole := readAhead(r)
	if !whole {
		return false
	}
	c, plain := parseCall(body)
	if !plain || modern != c.modern {
		return false
	}
	if modern && (r.Header.Get("Mcp-Method") != toolsCall || r.Header.Get("Mcp-Name") != c.name) {
		return false
	}
	t := d.tools[c.name]
	if t == nil || t.arguments.Validate(c.values) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(store.WithLeaving(r.Context()), d.o.Limits.Timeout)
	defer cancel()
	answer, err := t.call(ctx, c.arguments)
	if _, protocol := errors.AsType[*jsonrpc.Error](err); protocol {
		return false
	}
	return d.sendDirect(w, r, c, answer, err) == nil
}

// sendDirect encodes the answer of a tool and sends it. Nothing was sent if it returns an error.
func (d *Door) sendDirect(w http.ResponseWriter, r *http.Request, c *directCall, answer *reply, failed error) error {
	var a directAnswer
	a.Version, a.ID = "2.0", c.id
	if failed != nil {
		a.Result.Content, a.Result.IsError = []textContent{{"text", d.explain(r.Context(), failed).Error()}}, true
	} else {
		a.Result.Content, a.Result.Meta = []textContent{{"text", answer.text}}, d.meta(r.Context())
		a.Result.Structured = answer.data
	}
	if c.modern {
		a.Result.ResultType = "complete"
		if a.Result.Meta == nil {
			a.Result.Meta = mcp.Meta{}
		}
		a.Result.Meta[mcp.MetaKeyServerInfo] = d.about
	}
	body := d.bodies.Get().(*bytes.Buffer)
	defer keep(&d.bodies, body)
	body.Reset()
	if err := encode(body, &a); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body.Bytes()) // a caller that disconnected is told nothing
	return nil
}

// maxKept bounds the buffers that are used again for other answers.
const maxKept = 256 << 10

// keep keeps the buffer of an answer that was sent for the next one.
func keep(bodies *sync.Pool, body *bytes.Buffer) {
	if body.Cap() <= maxKept {
		bodies.Put(body)
	}
}

// encoded returns the JSON of a value for assistants, who read < as it is.
func encoded(v any) ([]byte, error) {
	var b bytes.Buffer
	err := encode(&b, v)
	return b.Bytes(), err
}

func encode(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// A directAnswer has the members of the SDK's answer, in the same order.
type directAnswer struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  struct {
		Meta       mcp.Meta      `json:"_meta,omitempty"`
		Content    []textContent `json:"content"`
		Structured any           `json:"structuredContent,omitempty"`
		IsError    bool          `json:"isError,omitempty"`
		ResultType string        `json:"resultType,omitempty"`
	} `json:"result"`
}

type textContent struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// plainHeaders reports whether the SDK would accept the headers in either era.
func plainHeaders(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	accept := h.Values("Accept")
	return media == "application/json" && len(accept) == 1 && strings.Contains(accept[0], "application/json") &&
		strings.Contains(accept[0], "text/event-stream") && h.Get("Last-Event-ID") == ""
}

// maxDirect bounds the body of a call that is answered without the SDK, which decides about longer ones.
const maxDirect = 1 << 20

// readAhead returns the body of a request, and reports whether that is all of it. The request can be read again from
// its beginning.
func readAhead(r *http.Request) (body []byte, whole bool) {
	from := r.Body
	body, err := io.ReadAll(io.LimitReader(from, maxDirect+1))
	rest := io.Reader(from)
	if err != nil {
		rest = failing{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), from}
	return body, err == nil && len(body) <= maxDirect
}

// failing returns an error that was read before.
type failing struct{ err error }

// Read implements [io.Reader].
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A directCall is one call of a tool.
type directCall struct {
	id        json.RawMessage
	name      string
	modern    bool // of the protocol without sessions
	arguments json.RawMessage
	values    map[string]any // the arguments
}

// parseCall parses a message. It reports false unless that is one call of a tool with nothing unusual about it.
func parseCall(body []byte) (*directCall, bool) {
	if !utf8.Valid(body) {
		return nil, false
	}
	message, ok := members(body, "jsonrpc", "id", "method", "params")
	if !ok || string(message["jsonrpc"]) != `"2.0"` || string(message["method"]) != `"`+toolsCall+`"` ||
		!plainID(message["id"]) {
		return nil, false
	}
	params, ok := members(message["params"], "name", "arguments", "_meta")
	if !ok {
		return nil, false
	}
	c := &directCall{id: message["id"], arguments: withoutNulls(params["arguments"])}
	if c.modern, ok = plainMeta(params["_meta"]); !ok || json.Unmarshal(params["name"], &c.name) != nil {
		return nil, false
	}
	if len(c.arguments) == 0 {
		c.arguments = json.RawMessage("{}")
	}
	if json.Unmarshal(c.arguments, &c.values) != nil || c.values == nil {
		return nil, false
	}
	return c, true
}

// members returns the members of an object. It reports false for anything else, and for a member of another name.
func members(raw json.RawMessage, names ...string) (map[string]json.RawMessage, bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return nil, false
	}
	for name := range m {
		if !slices.Contains(names, name) {
			return nil, false
		}
	}
	return m, true
}

// plainID reports whether an id is a text or a whole number of usual length, which is sent back as it came.
func plainID(id json.RawMessage) bool {
	if len(id) == 0 {
		return false
	}
	return id[0] == '"' || len(id) < 16 && !bytes.ContainsAny(id, ".eEnft{[")
}

// plainMeta reports whether a call's metadata is valid, and whether it is that of the protocol without sessions.
func plainMeta(raw json.RawMessage) (modern, ok bool) {
	if len(raw) == 0 {
		return false, true
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		return false, false
	}
	version, named := m[mcp.MetaKeyProtocolVersion]
	if !named {
		return false, true
	}
	var can *mcp.ClientCapabilities
	if string(version) != `"`+modernEra+`"` || json.Unmarshal(m[mcp.MetaKeyClientCapabilities], &can) != nil ||
		can == nil {
		return false, false
	}
	if info, named := m[mcp.MetaKeyClientInfo]; named {
		var who *mcp.Implementation
		if json.Unmarshal(info, &who) != nil || who == nil {
			return false, false
		}
	}
	return true, true
}
