package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// What the protocol's suite expects of a server under test, by the names that it asks for. They stand on the door's own
// chain of handlers, so that everything between the connection and a tool is ours.

// A fixture is a tool without arguments that matter.
type fixture func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error)

func says(content ...mcp.Content) fixture {
	return func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: content}, nil
	}
}

func text(format string, args ...any) *mcp.TextContent {
	return &mcp.TextContent{Text: fmt.Sprintf(format, args...)}
}

func told(format string, args ...any) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{text(format, args...)}}, nil
}

// An image of one pixel, and no sound. The suite looks at their types only.
func image() *mcp.ImageContent {
	return &mcp.ImageContent{Data: []byte("\x89PNG\r\n\x1a\n"), MIMEType: "image/png"}
}

func embedded() *mcp.EmbeddedResource {
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{
		URI:      "test://embedded-resource",
		MIMEType: "text/plain", Text: "embedded",
	}}
}

// register puts the fixtures onto a door.
func register(d *Door) {
	tools := map[string]fixture{
		"test_simple_text":            says(text("This is a simple text response for testing.")),
		"test_image_content":          says(image()),
		"test_audio_content":          says(&mcp.AudioContent{Data: []byte("RIFF"), MIMEType: "audio/wav"}),
		"test_embedded_resource":      says(embedded()),
		"test_multiple_content_types": says(text("text"), image(), embedded()),
		"test_streaming_elicitation":  says(text("nothing but an answer")),
		"test_error_handling": func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return nil, errors.New("this tool intentionally returns an error for testing")
		},
		"test_tool_with_logging":  logs(3),
		"test_logging_tool":       logs(1),
		"test_tool_with_progress": progresses,
		"test_missing_capability": wantsSampling,
		"test_trigger_tool_change": func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			d.server.AddTool(&mcp.Tool{Name: "test_transient", Description: "Of the suite", InputSchema: object()}, nil)
			return told("changed")
		},
		"test_trigger_prompt_change": func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			d.addPrompts()
			return told("changed")
		},
	}
	for _, more := range []map[string]fixture{asking(), rounds()} {
		maps.Copy(tools, more)
	}
	for name, f := range tools {
		mcp.AddTool(d.server, &mcp.Tool{Name: name, Description: "Of the suite", InputSchema: object()},
			func(ctx context.Context, req *mcp.CallToolRequest, _ any) (*mcp.CallToolResult, any, error) {
				r, err := f(ctx, req)
				return r, nil, err
			})
	}
	resource := func(name, kind string, c mcp.ResourceContents) {
		c.URI, c.MIMEType = "test://"+name, kind
		d.server.AddResource(&mcp.Resource{
			Name: name, URI: c.URI,
			MIMEType: kind,
		}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{&c}}, nil
		})
	}
	resource("static-text", "text/plain", mcp.ResourceContents{Text: "This is the content of the static text " +
		"resource."})
	resource("static-binary", "image/png", mcp.ResourceContents{Blob: image().Data})
	resource("watched-resource", "text/plain", mcp.ResourceContents{Text: "watched"})
	d.server.AddResourceTemplate(&mcp.ResourceTemplate{
		Name: "template", URITemplate: "test://template/{id}/data",
		MIMEType: "application/json",
	},
		func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			id := strings.TrimSuffix(strings.TrimPrefix(req.Params.URI, "test://template/"), "/data")
			data := fmt.Sprintf(`{"id":%q,"templateTest":true,"data":"Data for ID: %s"}`, id, id)
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{
				URI:      req.Params.URI,
				MIMEType: "application/json", Text: data,
			}}}, nil
		})
}

func object() *jsonschema.Schema { return &jsonschema.Schema{Type: "object"} }

func logs(n int) fixture {
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range n {
			//nolint:staticcheck // deprecated in the newer protocol, required by the suite of the older one
			if err := req.Session.Log(ctx, &mcp.LoggingMessageParams{
				Level: "info",
				Data:  fmt.Sprint("step ", i),
			}); err != nil {
				return nil, err
			}
		}
		return told("logged")
	}
}

func progresses(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	token := req.Params.GetProgressToken()
	for _, at := range []float64{0, 50, 100} {
		if err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: at,
			Total: 100,
		}); err != nil {
			return nil, err
		}
	}
	return told("%v", token)
}

func wantsSampling(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if c := req.ClientCapabilities(); c != nil && c.Sampling != nil { //nolint:staticcheck // as above
		return told("the client can")
	}
	//nolint:staticcheck // as above
	data, err := json.Marshal(
		mcp.MissingRequiredClientCapabilityData{RequiredCapabilities: &mcp.ClientCapabilities{Sampling: &mcp.SamplingCapabilities{}}})
	if err != nil {
		return nil, err
	}
	return nil, &jsonrpc.Error{
		Code: mcp.CodeMissingRequiredClientCapabilities, Message: "the client can't sample",
		Data: data,
	}
}

// asking are the tools that ask the client in the middle of a call, as the older protocol allows.
func asking() map[string]fixture {
	elicit := func(schema string) fixture {
		return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			r, err := req.Session.Elicit(ctx, &mcp.ElicitParams{
				Message:         "Who are you?",
				RequestedSchema: json.RawMessage(schema),
			})
			if err != nil {
				return nil, err
			}
			return told("Elicitation result: action=%s, content=%v", r.Action, r.Content)
		}
	}
	return map[string]fixture{
		"test_sampling": func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			//nolint:staticcheck // as above
			r, err := req.Session.CreateMessage(ctx, &mcp.CreateMessageParams{
				MaxTokens: 100, Messages: []*mcp.SamplingMessage{{Role: "user", Content: text("Say it")}},
			})
			if err != nil {
				return nil, err
			}
			said, _ := r.Content.(*mcp.TextContent)
			if said == nil {
				return nil, errors.New("want text")
			}
			return told("LLM response: %s", said.Text)
		},
		"test_elicitation": elicit(`{"type":"object","properties":{"username":{"type":"string"},` +
			`"email":{"type":"string"}},"required":["username"]}`),
		"test_elicitation_sep1034_defaults": elicit(`{"type":"object","properties":{
			"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},
			"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}}}`),
		"test_elicitation_sep1330_enums": elicit(`{"type":"object","properties":{
			"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
			"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First"},{"const":"value2","title":"Second"},{"const":"value3","title":"Third"}]},
			"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["One","Two","Three"]},
			"untitledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"type":"string","enum":["option1","option2","option3"]}},
			"titledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"anyOf":[
				{"const":"value1","title":"First"},{"const":"value2","title":"Second"},{"const":"value3","title":"Third"}]}}}}`),
	}
}

// rounds are the tools that want more input, as the newer protocol asks for it: by an answer that names what is
// missing.
func rounds() map[string]fixture {
	name := named("name")
	//nolint:staticcheck // as above
	sample := &mcp.CreateMessageParams{
		MaxTokens: 50,
		Messages:  []*mcp.SamplingMessage{{Role: "user", Content: text("Where is Paris?")}},
	}
	roots := &mcp.ListRootsParams{} //nolint:staticcheck // as above
	confirm := func(state string) fixture {
		return func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if req.Params.RequestState != "" && req.Params.RequestState != state {
				return nil, refuse("the state is not the one that was given")
			}
			if accepted(req, "confirm") != nil && req.Params.RequestState == state {
				return told("state-ok")
			}
			return wants(state, mcp.InputRequestMap{"confirm": named("ok")})
		}
	}
	return map[string]fixture{
		"test_input_required_result_elicitation": func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if who, _ := accepted(req, "user_name")["name"].(string); who != "" {
				return told("Hello, %s!", who)
			}
			return wants("", mcp.InputRequestMap{"user_name": name})
		},
		"test_input_required_result_sampling": func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if req.Params.InputResponses["capital_question"] != nil {
				return told("sampled")
			}
			return wants("", mcp.InputRequestMap{"capital_question": sample})
		},
		"test_input_required_result_list_roots": func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if req.Params.InputResponses["client_roots"] != nil {
				return told("rooted")
			}
			return wants("", mcp.InputRequestMap{"client_roots": roots})
		},
		"test_input_required_result_request_state":  confirm("request_state"),
		"test_input_required_result_tampered_state": confirm("tampered_state"),
		"test_input_required_result_multiple_inputs": func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if r := req.Params.InputResponses; r["user_name"] != nil && r["greeting"] != nil &&
				r["client_roots"] != nil {
				return told("all there")
			}
			return wants("multiple_inputs", mcp.InputRequestMap{
				"user_name": name, "greeting": sample,
				"client_roots": roots,
			})
		},
		"test_input_required_result_multi_round": func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			switch req.Params.RequestState {
			case "":
				return wants("round 1", mcp.InputRequestMap{"step1": name})
			case "round 1":
				return wants("round 2", mcp.InputRequestMap{"step2": named("color")})
			}
			return told("done after %s", req.Params.RequestState)
		},
		"test_input_required_result_capabilities": func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			want := mcp.InputRequestMap{}
			c := req.ClientCapabilities()
			if c != nil && c.Elicitation != nil {
				want["user_name"] = name
			}
			if c != nil && c.Sampling != nil { //nolint:staticcheck // as above
				want["greeting"] = sample
			}
			if len(req.Params.InputResponses) > 0 || len(want) == 0 {
				return told("enough")
			}
			return wants("", want)
		},
	}
}

func wants(state string, requests mcp.InputRequestMap) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{InputRequests: requests, RequestState: state}, nil
}

func named(field string) *mcp.ElicitParams {
	kind := "string"
	if field == "ok" {
		kind = "boolean"
	}
	return &mcp.ElicitParams{Message: "Please say " + field, RequestedSchema: &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{field: {Type: kind}}, Required: []string{field},
	}}
}

func accepted(req *mcp.CallToolRequest, key string) map[string]any {
	r, ok := req.Params.InputResponses[key].(*mcp.ElicitResult)
	if !ok || r.Action != "accept" {
		return nil
	}
	return r.Content
}

// prompt answers for the suite's prompts, which are no templates of a store.
func prompt(_ context.Context, p *mcp.GetPromptParams) (*mcp.GetPromptResult, error) {
	one := func(content ...mcp.Content) (*mcp.GetPromptResult, error) {
		r := &mcp.GetPromptResult{}
		for _, c := range content {
			r.Messages = append(r.Messages, &mcp.PromptMessage{Role: "user", Content: c})
		}
		return r, nil
	}
	switch p.Name {
	case "test_simple_prompt":
		return one(text("This is a simple prompt for testing."))
	case "test_prompt_with_arguments":
		return one(text("arg1='%s', arg2='%s'", p.Arguments["arg1"], p.Arguments["arg2"]))
	case "test_prompt_with_embedded_resource":
		e := embedded()
		e.Resource.URI = p.Arguments["resourceUri"]
		return one(e, text("Please process it."))
	case "test_prompt_with_image":
		return one(image(), text("Please look at it."))
	case "test_input_required_result_prompt":
		if p.InputResponses["user_context"] != nil {
			return one(text("with context"))
		}
		return &mcp.GetPromptResult{InputRequests: mcp.InputRequestMap{"user_context": named("context")}}, nil
	}
	return nil, nil // it is a template's
}

// watch tells of the watched resource until ctx ends.
func watch(ctx context.Context, d *Door) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			_ = d.server.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: "test://watched-resource"})
		}
	}
}
