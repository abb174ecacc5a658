//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// A bareRule is what a handler written by hand for this table would hold.
type bareRule struct {
	RuleID                string         `json:"rule_id"`
	Category              string         `json:"category"`
	Title                 string         `json:"title"`
	Description           string         `json:"description"`
	Severity              string         `json:"severity"`
	Enforcement           string         `json:"enforcement"`
	Examples              []bareExample  `json:"examples"`
	AntiPatterns          []bareExample  `json:"anti_patterns"`
	ViolationsConsequence string         `json:"violations_consequence"`
	Priority              int64          `json:"priority"`
	Status                string         `json:"status"`
	Active                bool           `json:"active"`
	Tags                  []string       `json:"tags"`
	Scope                 bareScope      `json:"scope"`
	Extra                 map[string]any `json:"extra"`
	CreatedBy             string         `json:"created_by"`
	CreatedAt             time.Time      `json:"created_at"`
	UpdatedBy             string         `json:"updated_by"`
	UpdatedAt             time.Time      `json:"updated_at"`
	Version               int64          `json:"version"`
}

type bareExample struct {
	Title    string `json:"title,omitempty"`
	Language string `json:"language,omitempty"`
	Code     string `json:"code,omitempty"`
	Note     string `json:"note,omitempty"`
}

type bareScope struct {
	Activation string   `json:"activation"`
	Globs      []string `json:"globs"`
	Languages  []string `json:"languages"`
	Targets    []string `json:"targets"`
}

const bareColumns = `rule_id, category, title, description, severity, enforcement, examples, anti_patterns, violations_consequence, priority, status,
active, tags, scope, extra, created_by, created_at, updated_by, updated_at, version`

func (r *bareRule) into() []any {
	return []any{
		&r.RuleID, &r.Category, &r.Title, &r.Description, &r.Severity, &r.Enforcement, &r.Examples, &r.AntiPatterns,
		&r.ViolationsConsequence,
		&r.Priority, &r.Status, &r.Active, &r.Tags, &r.Scope, &r.Extra, &r.CreatedBy, &r.CreatedAt, &r.UpdatedBy,
		&r.UpdatedAt, &r.Version,
	}
}

// servePgx is the least that answers the same questions from the same tables: net/http, pgx, encoding/json.
func servePgx(addr string) {
	cfg, err := pgxpool.ParseConfig(os.Getenv("TENET_BENCH_DATABASE"))
	if err != nil {
		panic(err)
	}
	cfg.MaxConns = 10
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		panic(err)
	}
	answer := func(w http.ResponseWriter, v any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /rules/{id}", func(w http.ResponseWriter, r *http.Request) {
		var rule bareRule
		err := pool.QueryRow(r.Context(), "SELECT "+bareColumns+" FROM rules WHERE rule_id = $1",
			r.PathValue("id")).Scan(rule.into()...)
		answer(w, &rule, err)
	})
	mux.HandleFunc("GET /rules", func(w http.ResponseWriter, r *http.Request) {
		rows, err := pool.Query(r.Context(), "SELECT "+bareColumns+
			" FROM rules WHERE active AND category = $1 ORDER BY rank, rule_id LIMIT 50", r.FormValue("category"))
		if err != nil {
			answer(w, nil, err)
			return
		}
		defer rows.Close()
		list := make([]bareRule, 0, 50)
		for rows.Next() {
			var rule bareRule
			if err := rows.Scan(rule.into()...); err != nil {
				answer(w, nil, err)
				return
			}
			list = append(list, rule)
		}
		answer(w, map[string]any{"items": list}, rows.Err())
	})
	mux.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		words := strings.Join(strings.Fields(r.FormValue("q")), " & ")
		rows, err := pool.Query(r.Context(), "SELECT "+bareColumns+` FROM rules
			JOIN (SELECT s.id, ts_rank(s.vector, to_tsquery('tenet', $1)) AS score
			FROM (SELECT id, vector FROM search WHERE kind = 'rule' AND vector @@ to_tsquery('tenet', $1)
			ORDER BY kind, rank, id LIMIT 500) s
			ORDER BY score DESC LIMIT 20) hit ON hit.id = rule_id ORDER BY score DESC`, words)
		if err != nil {
			answer(w, nil, err)
			return
		}
		defer rows.Close()
		list := make([]bareRule, 0, 20)
		for rows.Next() {
			var rule bareRule
			if err := rows.Scan(rule.into()...); err != nil {
				answer(w, nil, err)
				return
			}
			list = append(list, rule)
		}
		answer(w, map[string]any{"hits": list}, rows.Err())
	})
	if err := http.ListenAndServe(addr, mux); err != nil {
		panic(err)
	}
}
