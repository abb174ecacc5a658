package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"tenet/internal/knowledge"
)

// apiVersion is that of the REST API, which changes less often than the program.
const apiVersion = "1.0.0"

// A specification is the OpenAPI document, ready to send.
type specification struct {
	json, yaml []byte
	tag        string // its ETag
}

// specify makes the OpenAPI document of the handler's routes.
func (h *Handler) specify() (*specification, error) {
	api := h.describe()
	compact, err := json.Marshal(api)
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	var s specification
	var tree any
	if err := json.Unmarshal(compact, &tree); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document again: %w", err)
	}
	if s.json, err = json.MarshalIndent(tree, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	s.json = append(s.json, '\n')
	if s.yaml, err = api.YAML(); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document as YAML: %w", err)
	}
	sum := sha256.Sum256(s.json)
	s.tag = `"` + hex.EncodeToString(sum[:8]) + `"`
	return &s, nil
}

// describe builds the OpenAPI document from the table of routes and the Go types that they name.
func (h *Handler) describe() *huma.OpenAPI {
	schemas := newSchemas()
	api := humago.New(http.NewServeMux(), huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Tenet", Version: apiVersion,
			Description: "Rules, best practices and templates of engineering teams, for people and for AI assistants.\n\n" +
				"Every answer says where it came from and how fresh it is, in the headers Tenet-Source, Tenet-Mode and Tenet-As-Of. " +
				"What goes wrong is told as application/problem+json, every fault of a request at once.",
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "The tenet that served this document"}},
		Tags:    tags(),
		Components: &huma.Components{
			Schemas: schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {
				Type: "http", Scheme: "bearer", Description: "A token of tenet, as made by tenet token create",
			}},
			Headers: commonHeaders(), Responses: refusals(schemas),
		},
	}})
	doc := api.OpenAPI()
	for _, rt := range h.routes {
		if rt.id != "" {
			doc.AddOperation(h.operation(schemas, rt))
		}
	}
	finish(schemas)
	return doc
}

func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: "rules", Description: "What must or should be done, and why"},
		{Name: "practices", Description: "Ways of working that a team has found good"},
		{Name: "templates", Description: "Texts with variables, to be rendered"},
		{Name: "categories", Description: "What groups rules, practices and templates"},
		{Name: "violations", Description: "Places where a rule was found broken"},
		{Name: "principals", Description: "Who may call tenet; for admins"},
		{Name: "search", Description: "Finding documents by their text"},
		{Name: "batches", Description: "Changing many documents at once"},
		{Name: "changes", Description: "The log of everything that was done"},
		{Name: "conflicts", Description: "Writes of an outage that did not fit, and what was decided about them"},
		{Name: "operations", Description: "How tenet is"},
	}
}

// operation describes one route.
func (h *Handler) operation(schemas huma.Registry, rt *route) *huma.Operation {
	op := &huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary, Description: rt.description,
		Parameters: parameters(schemas, rt), Responses: map[string]*huma.Response{},
		Security: []map[string][]string{{"token": {}}},
	}
	if rt.public {
		op.Security = []map[string][]string{{}}
	}
	if rt.path == metricsPath {
		op.Security = append(op.Security, map[string][]string{})
	}
	if b := rt.body; b != nil {
		op.RequestBody = &huma.RequestBody{
			Required: !b.free,
			Content: map[string]*huma.MediaType{
				b.media: {Schema: schemas.Schema(b.body, true, ""), Examples: examples(b.samples)},
			},
		}
	}
	for _, a := range rt.answers {
		op.Responses[strconv.Itoa(a.status)] = response(schemas, rt, &a)
	}
	for _, status := range rt.statuses() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + refusalName(status)}
	}
	return op
}

// statuses returns those of a route's problems, the ones that every operation has included.
func (rt *route) statuses() []int {
	all := append([]int{http.StatusBadRequest, http.StatusRequestURITooLong}, rt.refusals...)
	if !rt.raw {
		all = append(all, http.StatusNotAcceptable)
	}
	if !rt.public {
		all = append(all, http.StatusUnauthorized, http.StatusInternalServerError, http.StatusServiceUnavailable)
	}
	if !rt.public && !rt.storeless {
		all = append(all, http.StatusForbidden, http.StatusGatewayTimeout)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func response(schemas huma.Registry, rt *route, a *answer) *huma.Response {
	r := &huma.Response{Description: a.text, Headers: map[string]*huma.Param{}}
	for name := range commonHeaders() {
		r.Headers[name] = &huma.Param{Ref: "#/components/headers/" + name}
	}
	for _, name := range a.heads {
		r.Headers[name] = answerHeaders()[name]
	}
	if a.body == nil {
		return r
	}
	media := a.media
	if media == "" {
		media = mediaJSON
	}
	media, _, _ = strings.Cut(media, ";")
	m := &huma.MediaType{Schema: schemas.Schema(a.body, true, rt.id)}
	if a.sample != nil {
		m.Example = plain(a.sample)
	}
	r.Content = map[string]*huma.MediaType{media: m}
	return r
}

func examples(list []sample) map[string]*huma.Example {
	out := map[string]*huma.Example{}
	for _, s := range list {
		out[s.name] = &huma.Example{Summary: s.summary, Value: plain(s.value)}
	}
	return out
}

// parameters describes the fields of a route's parameter type.
func parameters(schemas huma.Registry, rt *route) []*huma.Param {
	var list []*huma.Param
	for _, f := range reflect.VisibleFields(rt.handler.params) {
		for _, in := range []string{"path", "query", "header"} {
			if name := f.Tag.Get(in); name != "" {
				list = append(list, parameter(schemas, rt, f, in, name))
			}
		}
	}
	return list
}

func parameter(schemas huma.Registry, rt *route, f reflect.StructField, in, name string) *huma.Param {
	s := huma.SchemaFromField(schemas, f, "")
	p := &huma.Param{Name: name, In: in, Description: s.Description, Required: in == "path" || f.Tag.Get("required") == "true", Schema: s}
	if f.Type == typeOf[uuid.UUID]() {
		s.Format = "uuid"
	}
	if name == "version" && in == "path" {
		one := 1.0
		s.Type, s.Format, s.Minimum, s.Examples = huma.TypeInteger, "int64", &one, []any{1}
	}
	if len(s.Examples) > 0 {
		p.Example = s.Examples[0]
	}
	s.Description, s.Examples, s.Nullable = "", nil, false
	switch {
	case name == "id" && in == "path":
		p.Example = rt.sample
		if rt.kind == knowledge.KindViolation || strings.HasPrefix(rt.path, batchesPath) || strings.HasPrefix(rt.path, conflictsPath) {
			s.Format, s.Pattern, s.MinLength, s.MaxLength = "uuid", "", nil, nil
		}
	case name == "cursor":
		p.Example = exampleCursor(rt.kind)
	}
	return p
}

// commonHeaders are those that every answer has.
func commonHeaders() map[string]*huma.Param {
	text := func(doc, example string, enum ...any) *huma.Param {
		return &huma.Param{Description: doc, Schema: &huma.Schema{Type: huma.TypeString, Enum: enum}, Example: example}
	}
	asOf := text("The last time at which the answer was known to be current", exampleTime().Format(knowledge.TimeLayout))
	asOf.Schema.Format = "date-time"
	return map[string]*huma.Param{
		"Tenet-Source": text("Where the answer came from", "hot", "hot", "warm", "primary", "mirror", "seed"),
		"Tenet-Mode": text("How tenet stands to its primary", "normal",
			"normal", "degraded", "recovering", "cold", "diverged"),
		"Tenet-As-Of":  asOf,
		"X-Request-Id": text("The request's id: the one that was sent, or a new one. A document or list that was read well has it only when it was sent, or when requests are logged", "9f86d081884c7d65"),
	}
}

// answerHeaders are those that some answers have.
func answerHeaders() map[string]*huma.Param {
	text := func(doc, example string) *huma.Param {
		return &huma.Param{Description: doc, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	return map[string]*huma.Param{
		"ETag":        text("The version of the document, in quotes", `"7"`),
		"Location":    text("Where the new document is", "/api/v1/rules/SEC-001"),
		"Link":        text("Where to go on: the next page, or the batch to watch", `</api/v1/rules?cursor=abc>; rel="next"`),
		"Tenet-Batch": text("The id of the batch that the write was", exampleBatchID),
		"Tenet-Seq": {
			Description: "The seq of the write's change",
			Schema:      &huma.Schema{Type: huma.TypeInteger, Format: "int64"}, Example: 42,
		},
	}
}

// refusalName names the component that describes a status of problems.
func refusalName(status int) string {
	return strings.ReplaceAll(strings.ReplaceAll(http.StatusText(status), " ", ""), "-", "")
}

// refusals describes every status of problems.
func refusals(schemas huma.Registry) map[string]*huma.Response {
	out := map[string]*huma.Response{}
	for status, err := range exampleErrors() {
		p := problemOf(err)
		p.RequestID = "9f86d081884c7d65"
		r := &huma.Response{Description: p.Title, Headers: map[string]*huma.Param{}, Content: map[string]*huma.MediaType{
			mediaProblem: {Schema: schemas.Schema(typeOf[problem](), true, ""), Example: plain(p)},
		}}
		for name := range commonHeaders() {
			r.Headers[name] = &huma.Param{Ref: "#/components/headers/" + name}
		}
		if status == http.StatusServiceUnavailable {
			r.Headers["Retry-After"] = &huma.Param{
				Description: "The seconds after which to ask again", Schema: &huma.Schema{Type: huma.TypeInteger}, Example: 5,
			}
		}
		if status == http.StatusUnauthorized {
			r.Headers["WWW-Authenticate"] = &huma.Param{
				Description: "How to say who is calling", Schema: &huma.Schema{Type: huma.TypeString}, Example: `Bearer realm="tenet"`,
			}
		}
		out[refusalName(status)] = r
	}
	return out
}

// newSchemas returns the registry of schemas, with what Go types don't say of themselves.
func newSchemas() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	r.RegisterTypeAlias(typeOf[knowledge.Time](), typeOf[time.Time]())
	return r
}

// written names for each kind what a writer must give; everything else has a default.
func written() map[knowledge.Kind][]string {
	return map[knowledge.Kind][]string{
		knowledge.KindRule:      {"rule_id", "category", "title", "description"},
		knowledge.KindPractice:  {"practice_id", "category", "title", "description"},
		knowledge.KindTemplate:  {"template_id", "category", "name", "template_content"},
		knowledge.KindCategory:  {"category_id"},
		knowledge.KindViolation: {"rule_id", "message"},
		knowledge.KindPrincipal: {"principal_id", "token_hash"},
	}
}

// finish mends what the schemas can't learn from the types.
func finish(schemas huma.Registry) {
	all := schemas.Map()
	for _, s := range all {
		mend(s)
	}
	stamps := []string{"created_by", "created_at", "updated_by", "updated_at", "version"}
	var documents []*huma.Schema
	for _, k := range knowledge.Kinds() {
		name := huma.DefaultSchemaNamer(documentType(k), "")
		s := all[name]
		s.Required = append(slices.Clone(written()[k]), stamps...)
		documents = append(documents, &huma.Schema{Ref: "#/components/schemas/" + name})
	}
	slices.SortFunc(documents, func(a, b *huma.Schema) int { return strings.Compare(a.Ref, b.Ref) })
	for name, fields := range map[string][]string{
		"Example": nil, "Reference": nil, "Scope": nil, "Variable": {"name"}, "RenderRequest": nil, "Fault": {"pointer", "detail"},
	} {
		all[name].Required = fields
	}
	for name, fields := range map[string][]string{
		"Violation": {"waiver_expiry", "reported_at", "resolved_at"}, "Principal": {"expiry"}, "StatusAnswer": {"as_of"}, "CallerAnswer": {"expiry"},
	} {
		for _, f := range fields {
			all[name].Properties[f].Nullable = true
		}
	}
	all["BatchStatus"].Properties["id"].Format = "uuid"
	all["Hit"].Properties["document"].AnyOf = documents
	all["BatchResult"].Properties["document"].AnyOf = documents
	for _, free := range []struct{ schema, field string }{{"BatchOp", "document"}, {"BatchOp", "patch"}, {"ResolveRequest", "document"}} {
		p := all[free.schema].Properties
		p[free.field] = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: p[free.field].Description}
	}
	orNull := append(slices.Clone(documents), &huma.Schema{Type: "null"})
	all["Change"].Properties["document"].AnyOf = orNull
	for _, side := range []string{"base", "theirs", "ours"} {
		all["Conflict"].Properties[side].AnyOf = orNull
	}
}

// mend makes lists lists: tenet sends an empty one rather than null.
func mend(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	mend(s.Items)
	for _, p := range s.Properties {
		mend(p)
	}
}

// plain returns a value as JSON decodes it, so that the document holds it as it is sent.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // examples are constants
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}
