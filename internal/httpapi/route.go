package httpapi

import (
	"net/http"
	"reflect"
	"slices"
)

// with makes a handler of a function that wants its parameters parsed.
func with[P any](fn func(c *call, p *P) error) handler {
	return collecting(func(c *call, p *P, f faultList) error {
		if len(f) > 0 {
			return f.err(true)
		}
		return fn(c, p)
	})
}

// collecting makes a handler of a function that gets the faults of its parameters and adds its own.
func collecting[P any](fn func(c *call, p *P, f faultList) error) handler {
	return handler{
		params: reflect.TypeFor[P](),
		run: func(c *call) error {
			p := new(P)
			f, err := c.route.queries.parse(c.r.URL.RawQuery, reflect.ValueOf(p).Elem())
			if err != nil {
				return err
			}
			return fn(c, p, f)
		},
	}
}

// documentPath is the path of one document.
type documentPath struct {
	ID string `path:"id" doc:"The document's id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._-]+$"`
}

type matchHeader struct {
	IfMatch string `header:"If-Match" doc:"The ETag of the version that the writer saw, or * for any; another one there is 412. The version alone, as in \"1\", is a condition on the number and not on the text" example:"\"1\""`
}

type noneMatchHeader struct {
	IfNoneMatch string `header:"If-None-Match" doc:"* writes only where there is no such document; else 412" example:"*"`
}

// knownHeader is that of reads with an ETag.
type knownHeader struct {
	IfNoneMatch string `header:"If-None-Match" doc:"ETags that the caller has: when one is current the answer is 304" example:"\"7-9f86d081884c\""`
	IfMatch     string `header:"If-Match" doc:"ETags of which one must be current: else 412" example:"\"7-9f86d081884c\""`
}

type idempotencyHeader struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"A UUID, which becomes the batch's id, or any text: asked again with it, nothing is done again and the answer is the same" maxLength:"255" example:"018f4a3e-7c10-7a5e-9f0b-2f6d1c3b5a99"`
}

// writeHeaders are those that every write of one document knows.
type writeHeaders struct {
	idempotencyHeader
	saidParams
}

// dryHeader tells of a write that was only tried.
const dryHeader = "Tenet-Dry-Run"

// unchangedHeader tells of a write that leaves everything as it was.
const unchangedHeader = "Tenet-Unchanged"

// notesHeader has what the writer of one document may not have meant, where the answer is the document itself.
const notesHeader = "Tenet-Notes"

// saidParams are what a caller says of a write besides its content.
type saidParams struct {
	Message string `query:"message" doc:"Why: one line that the history shows beside the change" maxLength:"500" example:"Seen twice in reviews"`
	DryRun  bool   `query:"dry_run" doc:"True asks whether the write would be taken: it is judged as any other, answered as it would be, and nothing is written" example:"false"`
}

// typeOf is the reflect.Type of T, nil for no body.
func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func jsonAnswer[T any](status int, text string, example any, heads ...string) answer {
	return answer{status: status, text: text, body: typeOf[T](), sample: example, heads: heads}
}

// media returns the type that a route answers with.
func (rt *route) media() string {
	if len(rt.answers) > 0 && rt.answers[0].media != "" {
		return rt.answers[0].media
	}
	return mediaJSON
}

// also returns the other type that a route answers with, "" for none.
func (rt *route) also() string {
	if len(rt.answers) > 0 {
		return rt.answers[0].also
	}
	return ""
}

func notModified() answer {
	return answer{status: http.StatusNotModified, text: "The caller has the current version", heads: []string{"ETag"}}
}

// statuses returns those of a route's problems, the ones that every operation has included.
func (rt *route) statuses() []int {
	all := append([]int{http.StatusBadRequest, http.StatusRequestURITooLong}, rt.refusals...)
	if slices.ContainsFunc(rt.answers, func(a answer) bool { return a.status == http.StatusNotModified }) {
		all = append(all, http.StatusPreconditionFailed)
	}
	if rt.body != nil {
		all = append(all, http.StatusRequestTimeout)
	}
	if !rt.raw {
		all = append(all, http.StatusNotAcceptable)
	}
	if !rt.public && !rt.probe {
		all = append(all, http.StatusTooManyRequests)
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

type noParams struct{}

const batchesPath = "/api/v1/batches"
