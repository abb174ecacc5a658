package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"tenet/internal/access"
	"tenet/internal/check"
	"tenet/internal/erasure"
	"tenet/internal/guidance"
	"tenet/internal/knowledge"
	"tenet/internal/store"
	"tenet/internal/upkeep"
)

// Options configure a door. Only Store is required.
type Options struct {
	// Store answers the requests. It checks the rights; the door only authenticates the caller.
	Store store.Store
	// Authenticate returns the holder of a token. If nil, no token is valid, and only the public paths answer.
	Authenticate func(token string) (*access.Caller, error)
	// Refused is called for every request without a valid token. The store reports its own refusals. May be nil.
	Refused func(ctx context.Context, r access.Refusal)
	// Level returns how fresh the answers are, for every request. If nil, the mode is normal, as of now.
	Level func() knowledge.Level
	// Position returns a place in the log that every read which begins later shows; false where none is known. Nil:
	// none is.
	Position func() (knowledge.Mark, bool)
	// Seq returns a seq that no answer given so far is ahead of. If nil, answers have no Tenet-Seq.
	Seq func() knowledge.Seq
	// Status returns the details of the status page, beyond the version and the level. May be nil.
	Status func(ctx context.Context) any
	// Guidance finds the documents for a path or a task. If nil, there are no such paths.
	Guidance *guidance.Index
	// Labels lists and searches documents as they stand at a label. Nil: only single documents are read at labels.
	Labels store.LabelReader
	// Batches returns the state of a batch. If nil, it is read from the log of changes.
	Batches BatchTeller
	// Found returns the seq of what a batch found that changed nothing: the log knows nothing of it. May be nil.
	Found func(ctx context.Context, id knowledge.BatchID) (seq knowledge.Seq, there bool, err error)
	// Desk keeps the conflicts of an outage. Nil: there are none.
	Desk access.Desk
	// Policy names the documents that only proposals may write. A decision about a conflict is no way around it.
	Policy access.Policy
	// Mirror is the copy of the primary on this disk. If nil, there is none.
	Mirror Mirror
	// Jobs are the scheduled jobs. May be nil.
	Jobs Jobs
	// Fleet knows the state of repositories. If nil, there are no such paths.
	Fleet Fleet
	// Check checks files. If nil, there is no such path.
	Check func(ctx context.Context, q *check.Question) (*check.Result, error)
	// Effects knows the effects of rules and practices. If nil, there is no such path.
	Effects Effects
	// Audit keeps who was refused, and who read what. May be nil.
	Audit Audit
	// Reads is called for reads that the store does not see. May be nil.
	Reads access.Reads
	// Uses counts how often templates are rendered. May be nil.
	Uses UseCounter
	// Ready returns why the server can't answer, nothing if it can. If nil, the store's Ping decides.
	Ready func(ctx context.Context) []string
	// Notes returns warnings for the operator of a server that can answer. May be nil.
	Notes func() []string
	// Crowded returns why there is no room for more callers before they reach the door, "" when there is. Nil: there
	// always is.
	Crowded func() string
	// Trusted are the addresses of proxies whose X-Forwarded-For is believed.
	Trusted []netip.Prefix
	// Origins are those of other sites whose pages may ask, as [CheckOrigin] takes them. None: no other site's may.
	Origins []string
	// Fresh marks the context of a request with Cache-Control: no-cache. If nil, such requests are like others.
	Fresh func(ctx context.Context) context.Context
	// Observe returns the function to call after every request of a route, such as "GET /api/v1/rules/{id}". It is
	// called once for each route, when that is first used. May be nil.
	Observe func(route string) func(status int, took time.Duration)
	// Archive holds the documents that were retired long ago. May be nil.
	Archive store.Archive
	// Erase erases a person. If nil, the server can't.
	Erase Eraser
	// MetricsOpen lets /metrics be read without a token.
	MetricsOpen bool
	// MetricsHandler answers /metrics. Nil: there is no such path.
	MetricsHandler http.Handler
	// Mounts are the other doors.
	Mounts []Mount
	// LiveDescription is the AsyncAPI document of the stream of changes, as JSON. Nil: there is no such path.
	LiveDescription []byte
	// Pages show problems to people with a browser. If nil, browsers get them as programs do.
	Pages Pages
	// Log gets panics, unexpected errors and outages. If nil, nothing is logged.
	Log *slog.Logger
	// AccessLog gets a line for every request. Nil: none is written.
	AccessLog *slog.Logger
	// Limits bounds the requests.
	Limits Limits
	// Version is that of the program, for the status page.
	Version string
}

// Limits bounds requests. Zero values stand for the defaults.
type Limits struct {
	// Timeout is how long the store may take for a write or a long read.
	Timeout time.Duration `name:"command-timeout" default:"60s" least:"1" doc:"Longest time for one request's work"`
	// MaxBody and MaxBatchBody bound the bytes of a request's body, and of a batch.
	MaxBody      int64 `name:"max-body" default:"4194304" least:"1" doc:"Bytes of a request's body"`
	MaxBatchBody int64 `name:"max-batch-body" default:"33554432" least:"1" doc:"Bytes of a batch"`
	// MaxConcurrent bounds the requests at a time, probes not counted; more are refused with 503.
	MaxConcurrent int `name:"max-requests" default:"1024" least:"1" doc:"Requests at one time; more are refused"`
	// MaxEach bounds those of one principal, and of those whose body is on its way; more are refused with 429. When 0
	// it is a quarter of MaxConcurrent, 64 at least.
	MaxEach    int           `name:"requests-each" default:"256" least:"1" doc:"Requests of one principal at one time; more are refused with 429, and the others are answered"`
	MaxWaiting int           // of these, requests that wait for a change; more are refused with 503: 512
	MaxBodies  int64         // bytes of all bodies in flight; more are refused with 503: 256 MiB
	MaxAnswers int64         // bytes of all answers of more than 64 KiB in flight; more are refused with 503: 256 MiB
	BodyWindow time.Duration // in which 16 KiB of a body must come, or all that is left of it: 10 s
	MaxURL     int           // bytes of the path and query: 8 KiB
	// bytes from which an answer is compressed for clients that accept it: 12 KiB; negative: never
	CompressFrom int
}

// A BatchTeller returns the state of batches.
type BatchTeller interface {
	// Batch returns the status of a batch; an unknown one is [store.ErrNotFound].
	Batch(ctx context.Context, id knowledge.BatchID) (knowledge.BatchStatus, error)
}

// A UseCounter counts how often templates are rendered.
type UseCounter interface {
	// Use counts one rendering. It does not wait.
	Use(template string)
	// Uses returns how often each of these templates was rendered; those never rendered may be left out.
	Uses(ctx context.Context, ids []string) (map[string]int64, error)
}

// A Mirror is a copy of the primary's documents. Neither call waits.
type Mirror interface {
	// CheckMirror asks for a comparison with the primary.
	CheckMirror()
	// AcceptPrimary lets the mirror be rebuilt from a primary with another history.
	AcceptPrimary()
}

// Jobs are the scheduled jobs.
type Jobs interface {
	// Jobs returns the state of the jobs, and as much of it as is known together with an error.
	Jobs(ctx context.Context) ([]upkeep.Standing, error)
	// Start asks for a run now; it is [store.ErrNotFound] for a job that there is not, [store.ErrConflict] while it
	// runs.
	Start(ctx context.Context, name, by string) (store.Run, error)
	// History returns runs of a job, the newest first.
	History(ctx context.Context, q store.RunQuery) ([]store.Run, error)
	// Pause keeps a job from being run by its schedule, or lets it run again.
	Pause(ctx context.Context, name, by string, paused bool) error
}

// Fleet knows the state of repositories.
type Fleet interface {
	// CheckIn records the report of a work tree, and returns the state of its repository, which is read with the rights
	// of the caller.
	CheckIn(ctx context.Context, reader store.Reader, c store.CheckIn) (*store.Standing, error)
	// Page returns repositories by their ids.
	Page(ctx context.Context, q store.FleetQuery) ([]store.Standing, error)
	// Counts returns how many repositories have each state, and as of when.
	Counts() ([]store.FleetCount, knowledge.Time)
	// News returns a repository with the changes since it last took its documents.
	News(ctx context.Context, reader store.Past, id string) (*store.FleetNews, error)
}

// Effects knows the effects of rules and practices.
type Effects interface {
	// Page returns the effects as of the last nightly run, ordered by key.
	Page(ctx context.Context, q store.EffectQuery) ([]store.Effect, error)
}

// An Audit keeps who was refused, and who read what.
type Audit interface {
	// Entries returns entries, the newest first.
	Entries(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error)
}

// An Eraser erases a person, and reports what it did.
type Eraser func(ctx context.Context, r erasure.Request) (*erasure.Report, error)

// Pages make the error pages for browsers.
type Pages interface {
	// Refusal returns the page for a problem.
	Refusal(r *http.Request, status int, title, detail string) []byte
	// Head sets the headers of every page.
	Head(h http.Header)
}

// A Mount is another door that callers reach through this one, which finds out who is calling, bounds what each may
// take, counts and logs. Its routes are no operations of the OpenAPI document: its protocol describes itself.
type Mount struct {
	Tag string // of its requests, for people who read the routes
	// Door names the door in the audit.
	Door string
	// Routes are a method and a path each, as in "GET /search".
	Routes []string
	// Serve answers a request; the context says who is calling. An error is answered as any other of this door.
	Serve func(w http.ResponseWriter, r *http.Request) error
	// Token returns the token that a request signed in with, "" for a stranger, who is let through. If nil, the token
	// is in the Authorization header, and a request without one is refused.
	Token func(r *http.Request) string
	// Streams reports whether the answer to a request is a stream, which the other door bounds by itself; the body is
	// nil for methods without one. If nil, every request is a request at work, and its body is not read before Serve.
	Streams func(method string, body []byte) bool
}
