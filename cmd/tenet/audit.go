package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type auditSettings struct {
	Actor  string `name:"actor" by:"flag" doc:"Only the calls of one principal"`
	Key    string `name:"key" by:"flag" doc:"Only those about a document, as in rule/SEC-001; a kind means its lists"`
	Kind   string `name:"kind" by:"flag" doc:"One of refused, read, signed-in, entered, overridden, proposed, counted, erased, trimmed"`
	Since  string `name:"since" by:"flag" doc:"Only what is of this time or later, as in 2026-11-24T08:00:00Z"`
	Before string `name:"before" by:"flag" doc:"Only what is older than this time, as in 2026-11-24T08:00:00Z"`
	Limit  int    `name:"limit" default:"50" by:"flag" doc:"How many at most, 100000 at most"`
	Export string `name:"export" by:"flag" doc:"A new file for all entries that fit, as JSON lines; - for standard output"`
}

func addAudit(a *app) {
	var s auditSettings
	a.command(a.root, &cobra.Command{
		Use: "audit", Short: "Show who was refused, and who read what",
		Long: `Shows who was refused what, when and from where, the newest first; who applied a proposal without its
approvals; who entered a write under another's name or another time; and, where "tenet serve" runs with --audit-reads
all, who read which document, list or search, when, by which door and from where, and who called at all. Of a list, a
search and guidance the question and the number of documents is kept. What was written stands in the log of changes:
see "tenet history". Only admins may ask a running tenet.

How long entries are kept says --retain-audit of "tenet serve". Of one principal, or of one address without a token, a
minute's first 60 refusals are kept one by one; the rest is counted. "tenet doctor audit" verifies that no entry was
changed or removed.`,
		Example: `  tenet audit --key rule/SEC-001 --kind read
  tenet audit --kind refused --since 2026-11-01T00:00:00Z
  tenet audit --actor ada --limit 500 --output csv
  tenet audit --export audit.jsonl`,
		Annotations: prints(asWide, asCSV),
	}, &s, func(ctx context.Context, _ []string) error { return showAudit(ctx, a, &s) })
}

// maxAudit is how many entries are shown at most, and auditPage how many are asked for at once.
const (
	maxAudit  = 100_000
	auditPage = 500
)

// query reads what is asked for.
func (s *auditSettings) query() (store.AuditQuery, error) {
	q := store.AuditQuery{Actor: s.Actor, Kind: s.Kind}
	for _, at := range []struct {
		name, text string
		into       *knowledge.Time
	}{{"--since", s.Since, &q.Since}, {"--before", s.Before, &q.Before}} {
		if at.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, at.text)
		if err != nil {
			return q, usageError("%s %q: want a time such as 2026-11-24T08:00:00Z", at.name, at.text)
		}
		*at.into = knowledge.At(t)
	}
	if s.Kind != "" && !slices.Contains(store.AuditKinds(), s.Kind) {
		return q, usageError("--kind %q: want one of %s", s.Kind, strings.Join(store.AuditKinds(), ", "))
	}
	if s.Key != "" {
		var err error
		if q.Key, err = store.AuditAbout(s.Key); err != nil {
			return q, usageError("--key %q: want kind and id, as in rule/SEC-001, or a kind: %s", s.Key, err)
		}
	}
	if s.Limit < 1 || s.Limit > maxAudit {
		return q, usageError("--limit %d: want 1 to %d", s.Limit, maxAudit)
	}
	return q, nil
}

func showAudit(ctx context.Context, a *app, s *auditSettings) error {
	q, err := s.query()
	if err == nil && s.Export != "" {
		err = a.idle("with --export, which takes all entries that fit", "limit")
	}
	if err != nil {
		return err
	}
	if s.Export != "" && a.Output == asCSV {
		return usageError("--export writes JSON lines, and --output csv a table: give one of them")
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	if s.Export != "" {
		return exportAudit(ctx, a, d, q, s.Export)
	}
	list := []store.AuditEntry{}
	if err := auditOf(ctx, a, d, q, s.Limit+1, func(e *store.AuditEntry) error {
		list = append(list, *e)
		return nil
	}); err != nil {
		return err
	}
	if len(list) > s.Limit {
		list = list[:s.Limit]
		defer a.sayMore(s.Limit, fmt.Sprintf("--limit %d shows more at once, --before %s goes on, --export FILE takes all",
			min(10*s.Limit, maxAudit), list[s.Limit-1].At.Format(time.RFC3339Nano)))
	}
	t := &table{head: []string{
		"AT (UTC)", "KIND", "ACTOR", "DOOR", "FROM", "ACTION", "KEY", "COUNT",
		"QUESTION OR REASON",
	}, wide: 8, wrap: true, none: "no entries"}
	for i := range list {
		e := &list[i]
		t.add(moment(e.At), e.Kind, orDash(e.Actor), orDash(e.Door), orDash(e.Peer), e.Action, orDash(e.Key),
			strconv.FormatInt(e.Count, 10), strings.TrimSpace(e.Question+" "+e.Reason))
	}
	return a.printTable(struct {
		Entries []store.AuditEntry `json:"entries"`
	}{list}, t)
}

// auditOf reads entries page by page, limit at most; 0 for all.
func auditOf(ctx context.Context, a *app, d *door, q store.AuditQuery, limit int,
	each func(*store.AuditEntry) error,
) error {
	for n := 0; ; {
		q.Limit = auditPage
		if limit > 0 {
			q.Limit = min(auditPage, limit-n)
		}
		list, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]store.AuditEntry, error) {
			if d.remote != nil {
				return d.remote.Audit(ctx, q)
			}
			return d.local.Audit(ctx, q)
		})
		if err != nil {
			return err
		}
		for i := range list {
			if err := each(&list[i]); err != nil {
				return err
			}
		}
		n += len(list)
		if len(list) < q.Limit || n == limit {
			return nil
		}
		if q.Below = list[len(list)-1].Seq; q.Below <= 1 {
			return nil
		}
	}
}

// exportAudit writes all entries that fit to a new file.
func exportAudit(ctx context.Context, a *app, d *door, q store.AuditQuery, dest string) error {
	n := int64(0)
	err := a.exportLines(dest, func(enc *json.Encoder) error {
		return auditOf(ctx, a, d, q, 0, func(e *store.AuditEntry) error {
			n++
			return enc.Encode(e)
		})
	})
	if err != nil {
		return err
	}
	a.say("%s written to %s", plural(n, "entry", "entries"), dest)
	return nil
}
