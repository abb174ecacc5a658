package httpapi

import (
	"context"
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

	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// apiVersion is that of the REST API, which changes less often than the program.
const apiVersion = "1.0.0"

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

// about says what the API is, in Markdown.
const about = "Rules, best practices and templates of engineering teams, for people and for AI assistants.\n\n" +
	"Every answer says where it came from and how fresh it is:\n\n" +
	"- `Tenet-Source`, `Tenet-Mode` and `Tenet-As-Of`: what has answered, how it stands to PostgreSQL, and as of when\n" +
	"- `Tenet-Confidential`: the confidential categories of which it shows documents\n\n" +
	"A read can wish for more:\n\n" +
	"- `Tenet-Min-Seq: N` waits until the instance that answers has the log up to change N. Send the newest " +
	"`Tenet-Seq` that you have seen, and you never go back in time, whichever instance you ask\n" +
	"- `Cache-Control: no-cache` has everything in it that was acknowledged before it began\n" +
	"- `Tenet-Require: fresh` makes both a 503 where PostgreSQL can't be asked or the wait takes more than two " +
	"seconds; without it they are answered as of `Tenet-As-Of`\n\n" +
	"Every change as it happens comes from `GET " + livePath + "`, which " + asyncPath + " describes. What goes wrong " +
	"is told as `application/problem+json`, every fault of a request at once."

// describe builds the OpenAPI document from the table of routes and the Go types that they name.
func (h *Handler) describe() *huma.OpenAPI {
	schemas := newSchemas()
	api := humago.New(http.NewServeMux(), huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Tenet", Version: apiVersion,
			Description: about,
			License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "The server of this document"}},
		Tags:    tagList(),
		ExternalDocs: &huma.ExternalDocs{
			URL: asyncPath,
			Description: "The live stream of changes, GET " + livePath +
				": a WebSocket, or server-sent events for who accepts text/event-stream",
		},
		Components: &huma.Components{
			Schemas: schemas,
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {
				Type: "http", Scheme: "bearer", Description: "A token of tenet, as made by tenet token create",
			}},
			Headers: commonHeaders(), Responses: refusalResponses(schemas),
		},
	}})
	doc := api.OpenAPI()
	for _, rt := range h.routes {
		if rt.id != "" {
			doc.AddOperation(h.operation(schemas, rt))
		}
	}
	finishSchemas(schemas)
	return doc
}

func tagList() []*huma.Tag {
	var list []*huma.Tag
	for _, d := range knowledge.Described() {
		list = append(list, &huma.Tag{Name: d.Plural, Description: d.About})
	}
	return append(list, []*huma.Tag{
		{Name: "search", Description: "Finding documents by their text"},
		{Name: "fleet", Description: "How repositories stand to what they take"},
		{Name: "guidance", Description: "What holds for a file, a language or a task, and why"},
		{Name: "batches", Description: "Changing many documents at once"},
		{Name: "changes", Description: "The log of everything that was done"},
		{Name: "conflicts", Description: "Writes of an outage that did not fit, and what was decided about them"},
		{Name: "operations", Description: "How tenet is"},
	}...)
}

// operation describes one route.
func (h *Handler) operation(schemas huma.Registry, rt *route) *huma.Operation {
	op := &huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary,
		Description: rt.description,
		Parameters:  describeParameters(schemas, rt), Responses: map[string]*huma.Response{},
		Security: []map[string][]string{{"token": {}}},
	}
	if rt.public {
		op.Security = []map[string][]string{{}}
	}
	if rt.path == metricsPath && h.o.MetricsOpen {
		op.Security = append(op.Security, map[string][]string{})
	}
	if b := rt.body; b != nil {
		op.RequestBody = &huma.RequestBody{
			Required: !b.free,
			Content: map[string]*huma.MediaType{
				b.media: {Schema: bodySchema(schemas, b.body), Examples: describeExamples(b.samples)},
			},
		}
		if b.also != "" {
			op.RequestBody.Content[b.also] = op.RequestBody.Content[b.media]
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

func response(schemas huma.Registry, rt *route, a *answer) *huma.Response {
	r := &huma.Response{Description: a.text, Headers: map[string]*huma.Param{}}
	for name := range commonHeaders() {
		r.Headers[name] = &huma.Param{Ref: "#/components/headers/" + name}
	}
	for _, name := range a.heads {
		if h := answerHeaders()[name]; h != nil { // the others every answer has
			r.Headers[name] = h
		}
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
		m.Example = asJSONValue(a.sample)
	}
	r.Content = map[string]*huma.MediaType{media: m}
	if a.also != "" {
		also, _, _ := strings.Cut(a.also, ";")
		r.Content[also] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return r
}

func describeExamples(list []sample) map[string]*huma.Example {
	out := map[string]*huma.Example{}
	for _, s := range list {
		out[s.name] = &huma.Example{Summary: s.summary, Value: asJSONValue(s.value)}
	}
	return out
}

// describeParameters describes the fields of a route's parameter type.
func describeParameters(schemas huma.Registry, rt *route) []*huma.Param {
	var list []*huma.Param
	for _, f := range reflect.VisibleFields(rt.handler.params) {
		filter, ok := filterOf(rt.handler.of, f)
		for _, in := range []string{"path", "query", "header"} {
			if name := f.Tag.Get(in); name != "" && ok {
				p := describeParameter(schemas, rt, f, in, name)
				if filter != nil {
					describeFilter(p, filter)
				}
				if one := 1; in == "query" && p.Schema.Type == huma.TypeString && len(p.Schema.Enum) == 0 &&
					p.Schema.Format == "" && !mayBeEmpty(name) {
					p.Schema.MinLength = &one
				}
				list = append(list, p)
			}
		}
	}
	return list
}

// describeFilter adds the filter of a kind's description to a parameter.
func describeFilter(p *huma.Param, filter *knowledge.Filter) {
	p.Description, p.Example = filter.Doc, filter.Example
	for _, v := range filter.Values {
		p.Schema.Enum = append(p.Schema.Enum, v)
	}
}

func describeParameter(schemas huma.Registry, rt *route, f reflect.StructField, in, name string) *huma.Param {
	s := huma.SchemaFromField(schemas, f, "")
	p := &huma.Param{Name: name, In: in, Description: s.Description, Required: in == "path" ||
		f.Tag.Get("required") == "true", Schema: s}
	if f.Type == typeOf[uuid.UUID]() {
		s.Format = "uuid"
	}
	switch f.Tag.Get("kinds") {
	case "all":
		s.Enum = kindEnum(func(*knowledge.Description) bool { return true })
	case "searched":
		s.Items.Enum = kindEnum(func(d *knowledge.Description) bool { return d.Searched })
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
		if d := knowledge.Describe(rt.kind); d != nil && d.UUID || strings.HasPrefix(rt.path, batchesPath) ||
			strings.HasPrefix(rt.path, conflictsPath) {
			s.Format, s.Pattern, s.MinLength, s.MaxLength = "uuid", "", nil, nil
		}
	case name == "cursor" && rt.path == conflictsPath:
		p.Example = "41"
	case name == "cursor" && rt.kind == "":
		p.Example = knowledge.SearchQuery{Text: "parameterized queries"}.NextCursor(knowledge.DefaultHits)
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
	asOf := text("The last time at which the answer was known to be current",
		exampleTime().Format(knowledge.TimeLayout))
	asOf.Schema.Format = "date-time"
	return map[string]*huma.Param{
		"Tenet-Source": text("Where the answer came from", "hot", "hot", "warm", "primary", "mirror", "seed"),
		"Tenet-Mode": text("How tenet stands to its primary", "normal",
			"normal", "degraded", "recovering", "cold", "diverged"),
		"Tenet-As-Of": asOf,
		"Tenet-Seq": {
			Description: "A seq that the answer is not ahead of; of a write that was done the seq of its last " +
				"change. Sent as Tenet-Min-Seq to any instance, it makes sure that nothing is older than this answer",
			Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64"}, Example: 42,
		},
		"X-Request-Id": text("The request's id: the one that was sent, or a new one. A document or list that was "+
			"read well has it only when it was sent, or when requests are logged", "9f86d081884c7d65"),
	}
}

// answerHeaders are those that some answers have.
func answerHeaders() map[string]*huma.Param {
	text := func(doc, example string) *huma.Param {
		return &huma.Param{Description: doc, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	return map[string]*huma.Param{
		"ETag":     text("The version of the document and a part of its hash, in quotes", `"7-9f86d081884c"`),
		"Location": text("Where the new document is", "/api/v1/rules/SEC-001"),
		"Link": text("Where to go on: the next page, or the batch to watch",
			`</api/v1/rules?cursor=abc>; rel="next"`),
		"Tenet-Position": text("A position in the log of changes: everything up to it is in the answer. Who reads "+
			"all pages and then "+
			"follows the log from the position of the first page misses nothing; left out where it is not known",
			"42-60303ae22b998861"),
		labelHeader: text("Of an answer as of a label: which it is, and where in the log it stood",
			"production;seq=48211"),
		lackingHeader: text("How many writes wait on this instance for PostgreSQL that lists and searches lack, since the "+
			"mirror's disk is full; a read of one document shows them. Left out where there are none", "2"),
		"Tenet-Batch": text("The id of the batch that the write was", exampleBatchID),
		unchangedHeader: text("true where the document is as the request would leave it: no version was made, and "+
			"Tenet-Seq is "+
			"that of its last change", "true"),
		notesHeader: text("What the writer may not have meant, such as the name of a document that is not there: a JSON "+
			"array of objects with pointer and detail, as in notes of the answer to a batch, in ASCII and at most 2 kB "+
			"long, so that it may lack some; left out where there is nothing to say. It is no fault: what is named may "+
			"come later", `[{"pointer":"/packs/0","detail":"there is no pack/bckend yet: did you mean pack/backend?"}]`),
		confidentialHeader: text("The confidential categories of which the answer shows documents, with commas "+
			"between; left out where there are none", "payroll"),
		dryHeader: text("true where nothing was written, since the request said dry_run", "true"),
	}
}

// refusalName names the component that describes a status of problems. No schema has such a name: generators make types
// of both.
func refusalName(status int) string {
	return strings.ReplaceAll(strings.ReplaceAll(http.StatusText(status), " ", ""), "-", "") + "Problem"
}

// refusalResponses describes every status of problems. Their headers are those of every answer, and a few more: to name
// all of them at each status of each operation would make generated clients three times as long.
func refusalResponses(schemas huma.Registry) map[string]*huma.Response {
	out := map[string]*huma.Response{}
	for status, err := range exampleErrors() {
		p := api.ProblemOf(err)
		p.RequestID = "9f86d081884c7d65"
		r := &huma.Response{
			Description: p.Title, Headers: map[string]*huma.Param{},
			Content: map[string]*huma.MediaType{
				mediaProblem: {Schema: schemas.Schema(typeOf[api.Problem](), true, ""), Example: asJSONValue(p)},
			},
		}
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			r.Headers["Retry-After"] = &huma.Param{
				Description: "The seconds after which to ask again", Schema: &huma.Schema{Type: huma.TypeInteger},
				Example: 5,
			}
		}
		if status == http.StatusUnauthorized {
			r.Headers["WWW-Authenticate"] = &huma.Param{
				Description: "How to say who is calling", Schema: &huma.Schema{Type: huma.TypeString},
				Example: `Bearer realm="tenet"`,
			}
		}
		out[refusalName(status)] = r
	}
	return out
}

// newSchemas returns the registry of schemas, with names for generated types and a format for times.
func newSchemas() huma.Registry {
	r := huma.NewMapRegistry(schemaPrefix, func(t reflect.Type, hint string) string {
		if of, ok := pageOf(t); ok {
			return "Page" + of.Name()
		}
		return huma.DefaultSchemaNamer(t, hint)
	})
	r.RegisterTypeAlias(typeOf[knowledge.Time](), typeOf[time.Time]())
	return r
}

// kindEnums names the kinds that there are wherever an answer or a request holds one.
func kindEnums(all map[string]*huma.Schema) {
	all["Hit"].Properties["kind"].Enum = kindEnum(func(d *knowledge.Description) bool { return d.Searched })
	for _, name := range []string{"Change", "BatchOp", "BatchResult", "Conflict"} {
		all[name].Properties["kind"].Enum = kindEnum(func(*knowledge.Description) bool { return true })
	}
}

// kindEnum returns the kinds that a condition holds for, as a schema has them.
func kindEnum(holds func(*knowledge.Description) bool) []any {
	var list []any
	for _, d := range knowledge.Described() {
		if holds(d) {
			list = append(list, string(d.Kind))
		}
	}
	return list
}

// finishSchemas adds to the schemas what the Go types do not express.
func finishSchemas(schemas huma.Registry) {
	all := schemas.Map()
	for _, s := range all {
		mendSchema(s)
	}
	stamps := []string{"created_by", "created_at", "updated_by", "updated_at", "version"}
	var documents []*huma.Schema
	for _, k := range knowledge.Kinds() {
		name := huma.DefaultSchemaNamer(documentType(k), "")
		s := all[name]
		s.Required = append(slices.Clone(knowledge.Describe(k).Needed), stamps...)
		documents = append(documents, &huma.Schema{Ref: schemaPrefix + name})
		all[name+inputSuffix] = input(s, knowledge.Describe(k).Needed)
	}
	slices.SortFunc(documents, func(a, b *huma.Schema) int { return strings.Compare(a.Ref, b.Ref) })
	for name, fields := range map[string][]string{
		"Example": nil, "Reference": nil, "Scope": nil, "Variable": {"name"}, "RenderRequest": nil,
		"GuidanceRequest": nil, "GuidanceBudget": nil, "Fault": {"pointer", "detail"},
	} {
		all[name].Required = fields
	}
	kindEnums(all)
	nullable := map[string][]string{"StatusAnswer": {"as_of"}, "CallerAnswer": {"expiry"}, "TokenAnswer": {"expiry"}}
	for _, d := range knowledge.Described() {
		nullable[documentType(d.Kind).Name()] = d.Nullable
	}
	for name, fields := range nullable {
		for _, f := range fields {
			all[name].Properties[f].Nullable = true
		}
	}
	all["BatchStatus"].Properties["id"].Format = "uuid"
	all["Hit"].Properties["document"].AnyOf = documents
	all["BatchResult"].Properties["document"].AnyOf = documents
	for _, free := range []struct{ schema, field string }{
		{"BatchOp", "document"},
		{"BatchOp", "patch"},
		{"ResolveRequest", "document"},
	} {
		p := all[free.schema].Properties
		p[free.field] = &huma.Schema{
			Type: huma.TypeObject, AdditionalProperties: true,
			Description: p[free.field].Description,
		}
	}
	orNull := append(slices.Clone(documents), &huma.Schema{Type: "null"})
	all["Change"].Properties["document"].AnyOf = orNull
	for _, side := range []string{"base", "theirs", "ours"} {
		all["Conflict"].Properties[side].AnyOf = orNull
	}
}

// mendSchema makes lists lists: tenet sends an empty one rather than null. A default is told in words: generators take
// a field that has one for a field that a writer must give.
func mendSchema(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	if s.Default != nil {
		s.Description, s.Default = fmt.Sprintf("%s; %v when left out", s.Description, asJSONValue(s.Default)), nil
	}
	mendSchema(s.Items)
	for _, p := range s.Properties {
		mendSchema(p)
	}
}

// exampleErrors is an error for every status of problems.
func exampleErrors() map[int]error {
	key := knowledge.Key{Kind: knowledge.KindRule, ID: "SEC-001"}
	conflict := &store.ConflictError{Key: key, Want: 3, Got: 4}
	return map[int]error{
		http.StatusBadRequest:         knowledge.BadQuery("limit", "0: want 1 to 200"),
		http.StatusUnauthorized:       store.ErrUnauthenticated,
		http.StatusForbidden:          &store.ForbiddenError{Reason: "publishing a rule needs the role maintainer"},
		http.StatusNotFound:           &store.NotFoundError{Key: key},
		http.StatusNotAcceptable:      api.Refuse(api.ErrNotAcceptable, "this path answers with application/json"),
		http.StatusConflict:           &store.ConflictError{Key: key, Want: knowledge.NoVersion, Got: 4},
		http.StatusGone:               &store.GoneError{Oldest: 1000},
		http.StatusPreconditionFailed: api.PreconditionFailed(conflict),
		http.StatusRequestEntityTooLarge: api.Refuse(api.ErrTooLarge,
			"the body has 5000000 bytes: at most 4194304 fit"),
		http.StatusRequestURITooLong: api.Refuse(api.ErrURLTooLong, "the URL has 9000 bytes: at most 8192 fit"),
		http.StatusUnsupportedMediaType: api.Refuse(api.ErrMediaType,
			"Content-Type \"text/plain\": want application/json"),
		http.StatusUnprocessableEntity: knowledge.Invalid("/title", "missing: want one line of text"),
		http.StatusTooManyRequests:     shareUsed("requests at a time", 256),
		http.StatusRequestTimeout: api.Refuse(api.ErrSlow,
			"fewer than 16384 bytes of the body came in 10s: send it again, faster"),
		http.StatusInternalServerError: fmt.Errorf("boom"),
		http.StatusServiceUnavailable: &store.UnavailableError{
			Reason:     "the primary can't be reached",
			RetryAfter: 5 * time.Second, NotDone: true,
		},
		http.StatusGatewayTimeout: context.DeadlineExceeded,
	}
}
