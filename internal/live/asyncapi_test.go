package live

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

var update = flag.Bool("update", false, "rewrite the golden files") //nolint:gochecknoglobals // a flag of the test binary

// described is every message, with its name in the description, a sentence, and an example.
func described() []struct {
	name, text string
	message    any
} {
	at := knowledge.At(testTime)
	batch := knowledge.BatchID{
		0x01, 0x8f, 0x4a, 0x3e, 0x7c, 0x10, 0x7a, 0x5e, 0x9f, 0x0b, 0x2f, 0x6d, 0x1c, 0x3b,
		0x5a, 0x70,
	}
	document := json.RawMessage(`{"category_id":"security","name":"Security"}`)
	return []struct {
		name, text string
		message    any
	}{
		{"hello", "Opens every stream.", helloMessage{
			Type: typeHello, Mode: knowledge.ModeNormal, AsOf: at, After: 41,
			Newest: 43, Ping: 25,
		}},
		{"change", "One change of the log. They come in the order of their seq, none twice and none missing but " +
			"those that are filtered out.", changeMessage{
			Type: typeChange, Seq: 42, Batch: batch, Verb: knowledge.VerbPut, Kind: knowledge.KindCategory,
			ID: "security", Version: 1, Actor: "ci-payments",
			At: at, Hash: strings.Repeat("0a", 32), Chain: strings.Repeat("0b", 32), Document: document,
		}},
		{"provisional", "What a batch will do that waits in the journal of this tenet while the primary is away. It " +
			"has no seq.", provisionalMessage{
			Type: typeChange, Provisional: true, Batch: batch, Verb: knowledge.VerbPut, Kind: knowledge.KindCategory,
			ID: "security", Version: 1,
			Actor: "ci-payments", At: at, Document: document,
		}},
		{"parked", "A provisional change that could not be applied: somebody else was first. A person decides what " +
			"becomes of it.", parkedMessage{
			Type: typeParked, Batch: batch, Kind: knowledge.KindCategory, ID: "security",
			Why: "category/security is at version 2",
		}},
		{"mode", "This tenet stands otherwise to its primary than before, or the breaker before the primary " +
			"has moved.", modeMessage{
			Type: typeMode, Mode: knowledge.ModeDegraded, From: knowledge.ModeNormal, Breaker: "open",
			Why: "the primary failed several times in a row", At: at,
		}},
		{"ping", "Sent when nothing else was for a while. Its seq moves on over what is filtered out.", pingMessage{
			Type: typePing, Seq: 57, Mode: knowledge.ModeNormal, At: at,
		}},
		{"behind", "The last message of a stream that could not keep up.", behindMessage{
			Type: typeBehind, Seq: 57,
			Newest: 90210, Retry: 1500, Why: "the stream is too far behind the log: reconnect with this position",
		}},
		{
			"gone", "The last message of a stream that the log no longer reaches: read everything again.",
			goneMessage{Type: typeGone, Oldest: 1200, Why: "the log no longer reaches back that far"},
		},
		{"bye", "The last message of a stream that ends for another reason.", byeMessage{
			Type: typeBye, Seq: 57,
			Retry: 2750, Why: "this instance is stopping: reconnect later, or to another instance",
		}},
	}
}

// parameterTexts says what each parameter of the query is for.
func parameterTexts() map[string]any {
	list := func(text, example string) object {
		return object{
			"type": "array", "items": object{"type": "string"}, "description": text,
			"examples": []any{[]string{example}},
		}
	}
	return map[string]any{
		"after": object{
			"type": "integer", "minimum": 0,
			"description": "Begin after this change, 0 for the start of the log. The header Last-Event-ID says the " +
				"same, and wins.",
		},
		"tail": object{
			"type":        "boolean",
			"description": "Begin at the end of the log. This is the default where nothing else is said.",
		},
		"chain": object{
			"type": "string", "pattern": "^([0-9a-f]{2}){8,32}$",
			"description": "The chain value of the change that after names, or at least its first 16 digits: a log " +
				"that is another history is gone, then.",
		},
		"kind": list("Only documents of these kinds.", "rule"),
		"category": list("Only documents of these categories, by the document after the change. A change that "+
			"leaves none behind passes.", "security"),
		"key":      list("Only these documents.", "rule/SEC-001"),
		"document": object{"type": "boolean", "default": true, "description": "False leaves the documents out."},
	}
}

type object = map[string]any

// TestTheDescriptionIsCurrent fails when docs/api/asyncapi.json is not what the types of the messages say.
func TestTheDescriptionIsCurrent(t *testing.T) {
	refs, messages := object{}, object{}
	for _, d := range described() {
		refs[d.name] = object{"$ref": "#/components/messages/" + d.name}
		messages[d.name] = object{
			"name": reflect.ValueOf(d.message).FieldByName("Type").String(), "summary": d.text,
			"contentType": "application/json",
			"payload":     schemaOf(reflect.TypeOf(d.message)), "examples": []any{object{"payload": d.message}},
		}
	}
	doc := object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Tenet live", "version": "1",
			"description": "Every change of a tenet as it happens. The same path answers with server-sent events to " +
				"who accepts text/event-stream: an event's name is the message's type, its data the message, its id " +
				"the position.",
			"license": object{"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"defaultContentType": "application/json",
		"servers": object{"local": object{
			"host": "127.0.0.1:8420", "protocol": "ws",
			"description": "A tenet on this machine",
			"security":    []any{object{"$ref": "#/components/securitySchemes/token"}},
		}},
		"channels": object{"live": object{
			"address": "/api/v1/live", "messages": refs,
			"bindings": object{"ws": object{"method": "GET", "query": object{
				"type":       "object",
				"properties": parameterTexts(), "additionalProperties": false,
			}}},
		}},
		"operations": object{"tell": object{
			"action": "send", "channel": object{"$ref": "#/channels/live"},
			"summary": "Tell a subscriber of every change after a position",
		}},
		"components": object{
			"messages": messages,
			"securitySchemes": object{"token": object{
				"type": "http", "scheme": "bearer",
				"description": "In the header Authorization; a browser offers the subprotocols tenet.v1 and " +
					"tenet.token.TOKEN instead.",
			}},
		},
	}
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		t.Fatal(err)
	}
	// for readers, and for the program
	for _, path := range []string{filepath.Join("..", "..", "docs", "api", "asyncapi.json"), "asyncapi.json"} {
		if *update {
			if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), string(got)); diff != "" {
			t.Errorf("%s is out of date; `make docs` writes it anew (-types +file):\n%s", path, diff)
		}
	}
}

// schemaOf returns the JSON schema of a message type, from the tags of its fields.
func schemaOf(t reflect.Type) object {
	properties, required := object{}, []string{}
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if rest == "" {
			required = append(required, name)
		}
		properties[name] = fieldSchema(f)
	}
	return object{"type": "object", "properties": properties, "required": required}
}

func fieldSchema(f reflect.StructField) object {
	s := object{}
	switch reflect.Zero(f.Type).Interface().(type) {
	case knowledge.Time:
		s["type"], s["format"] = []string{"string", "null"}, "date-time"
	case knowledge.BatchID:
		s["type"] = "string"
	case json.RawMessage:
		s["type"] = []string{"object", "null"}
	default:
		s["type"] = map[reflect.Kind]string{
			reflect.String: "string", reflect.Bool: "boolean", reflect.Int: "integer", reflect.Int64: "integer",
		}[f.Type.Kind()]
	}
	value := func(text string) any {
		if n, err := strconv.Atoi(text); err == nil && s["type"] == "integer" {
			return n
		}
		if s["type"] == "boolean" {
			return text == "true"
		}
		return text
	}
	if text := f.Tag.Get("doc"); text != "" {
		s["description"] = text
	}
	for _, name := range []string{"format", "pattern"} {
		if v := f.Tag.Get(name); v != "" {
			s[name] = v
		}
	}
	if v := f.Tag.Get("example"); v != "" {
		s["examples"] = []any{value(v)}
	}
	if f.Tag.Get("kinds") != "" {
		var all []any
		for _, k := range knowledge.Kinds() {
			all = append(all, string(k))
		}
		s["enum"] = all
	}
	if v := f.Tag.Get("enum"); v != "" {
		var all []any
		for one := range strings.SplitSeq(v, ",") {
			all = append(all, value(one))
		}
		if s["enum"] = all; len(all) == 1 {
			delete(s, "enum")
			s["const"] = all[0]
		}
	}
	return s
}

// TestTheManualNamesEverything fails when docs/api/live.md leaves out a message, a parameter or a code.
func TestTheManualNamesEverything(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api", "live.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range described() {
		names = append(names, d.name)
	}
	names = append(names, parameters()...)
	for _, e := range []ending{endStopping, endSpoke, endBehind, endGone, endExpired} {
		code, _ := e.close()
		names = append(names, strconv.Itoa(int(code)))
	}
	for _, err := range []error{
		store.ErrUnauthenticated, store.ErrForbidden, errUpgrade, store.ErrGone, store.ErrUnavailable, tooMany(1),
		knowledge.BadQuery("after", "wrong"),
	} {
		names = append(names, strconv.Itoa(problemOf(err).Status))
	}
	for _, name := range append(names, Subprotocol, tokenProtocol) {
		if !bytes.Contains(text, []byte("`"+name)) {
			t.Errorf("docs/api/live.md does not name `%s`", name)
		}
	}
	for name := range parameterTexts() {
		if !strings.Contains(strings.Join(parameters(), " "), name) {
			t.Errorf("the description has a parameter %s that the path does not know", name)
		}
	}
	if len(parameterTexts()) != len(parameters()) {
		t.Error("the description leaves out a parameter")
	}
}
