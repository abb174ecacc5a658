package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

const (
	metricsPath = "/metrics"
	livePath    = "/api/v1/live"
)

// readyAnswer is the answer of a server that is ready.
type readyAnswer struct {
	Ready bool     `json:"ready" doc:"True"`
	Notes []string `json:"notes,omitempty" doc:"What to know all the same, as when a synchronous standby is missing"`
}

// healthAnswer is the answer of a running process.
type healthAnswer struct {
	OK bool `json:"ok" doc:"True"`
}

func opsRoutes(h *Handler) []*route {
	routes := []*route{
		{
			method: http.MethodGet, path: "/api/v1/status", id: "get-status", tag: "operations",
			summary:     "Ask how tenet is",
			description: "The version, how fresh the answers are, and the details of the parts of this server.",
			handler:     with(getStatus),
			answers:     []answer{jsonAnswer[api.StatusAnswer](http.StatusOK, "How tenet is", exampleStatus())},
			storeless:   true,
		},
		{
			method: http.MethodGet, path: "/api/v1/me", id: "get-caller", tag: "operations",
			summary:     "Ask who is calling",
			description: "The principal that the token belongs to.",
			handler:     with(getCaller),
			answers:     []answer{jsonAnswer[api.CallerAnswer](http.StatusOK, "Who is calling", exampleCaller())},
			storeless:   true,
		},
		{
			method: http.MethodGet, path: "/healthz", id: "get-health", tag: "operations",
			summary:     "Ask whether the process lives",
			description: "It answers as long as the process does, without a token.",
			handler:     with(getHealth), public: true, probe: true, storeless: true,
			answers: []answer{jsonAnswer[healthAnswer](http.StatusOK, "The process lives", healthAnswer{OK: true})},
		},
		{
			method: http.MethodGet, path: "/readyz", id: "get-readiness", tag: "operations",
			summary: "Ask whether tenet can answer",
			description: "Without a token. 503 lists the reasons. How old the answers are is another matter: see " +
				"the status.",
			handler: with(h.ready), public: true, probe: true,
			answers:  []answer{jsonAnswer[readyAnswer](http.StatusOK, "Tenet can answer", readyAnswer{Ready: true})},
			refusals: []int{http.StatusServiceUnavailable},
		},
	}
	routes = append(routes, auditRoute(), archiveRoute())
	if h.o.MetricsHandler != nil {
		routes = append(routes, &route{
			method: http.MethodGet, path: metricsPath, id: "get-metrics", tag: "operations",
			summary: "Read the measures",
			description: "In the text format of Prometheus, for any token; without one where an operator has said " +
				"so (`--metrics-open`).",
			handler: with(showMetrics), probe: true, raw: true, storeless: true,
			answers: []answer{{
				status: http.StatusOK, text: "The measures", body: typeOf[string](),
				media: "text/plain",
			}},
		})
	}
	return append(routes, specRoutes(h)...)
}

func getStatus(c *call, _ *noParams) error {
	a := api.StatusAnswer{
		Version: c.h.o.Version, Mode: c.level.Mode, AsOf: c.level.AsOf,
		Reasons: append(c.h.o.Ready(c.limited()), crowdedReasons(c.h)...),
	}
	a.Ready = len(a.Reasons) == 0
	if a.Ready {
		a.Reasons = []string{}
	}
	if c.h.o.Status != nil {
		a.Details = c.h.o.Status(c.limited())
	}
	return c.json(http.StatusOK, a)
}

func getCaller(c *call, _ *noParams) error {
	return c.json(http.StatusOK, api.CallerAnswer{
		ID: c.request.Caller.ID, Name: c.request.Caller.Name, Role: c.request.Caller.Role,
		Expiry: c.request.Caller.Expiry, Local: c.request.Caller.Local,
	})
}

func getHealth(c *call, _ *noParams) error {
	return c.json(http.StatusOK, healthAnswer{OK: true})
}

func (h *Handler) ready(c *call, _ *noParams) error {
	reasons := append(h.o.Ready(c.limited()), crowdedReasons(h)...)
	if len(reasons) == 0 {
		return c.json(http.StatusOK, readyAnswer{Ready: true, Notes: h.o.Notes()})
	}
	p := api.ProblemOf(&store.UnavailableError{Reason: strings.Join(reasons, "; ")})
	p.Title, p.Reasons = "Tenet is not ready", reasons
	c.sendProblem(p)
	return nil
}

// readyTimeout bounds the ping of the store: probes do not wait long.
const readyTimeout = 2 * time.Second

// pingReasons returns why a store does not answer.
func pingReasons(ctx context.Context, s store.Store) []string {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.Ping(access.System(ctx)); err != nil { // the question is tenet's own: a probe has no token
		return []string{api.ProblemOf(fmt.Errorf("ping: %w", err)).Detail}
	}
	return nil
}

func showMetrics(c *call, _ *noParams) error {
	c.h.o.MetricsHandler.ServeHTTP(c, c.r.WithContext(c.ctx))
	return nil
}

// crowdedReasons returns which bounds of the door are reached, nothing when none is.
func crowdedReasons(h *Handler) []string {
	var why []string
	if n := h.working.Load(); float64(n) >= nearlyFull*float64(h.o.Limits.MaxConcurrent) {
		why = append(why, fmt.Sprintf("%d requests are at work, of %d at most", n, h.o.Limits.MaxConcurrent))
	}
	if n := h.bodies.Load(); float64(n) >= nearlyFull*float64(h.o.Limits.MaxBodies) {
		why = append(why, fmt.Sprintf("bodies of %d bytes are on their way, of %d at most", n, h.o.Limits.MaxBodies))
	}
	if n := h.answers.Load(); float64(n) >= nearlyFull*float64(h.o.Limits.MaxAnswers) {
		why = append(why, fmt.Sprintf("answers of %d bytes are on their way, of %d at most", n, h.o.Limits.MaxAnswers))
	}
	if h.o.Crowded != nil {
		if reason := h.o.Crowded(); reason != "" {
			why = append(why, reason)
		}
	}
	return why
}

func exampleStatus() any {
	return api.StatusAnswer{
		Version: "1.4.0", Mode: knowledge.ModeNormal, AsOf: exampleTime(), Ready: true,
		Reasons: []string{},
	}
}

func exampleCaller() any {
	return api.CallerAnswer{ID: "ci-payments", Name: "CI of the payments team", Role: knowledge.RoleContributor}
}
