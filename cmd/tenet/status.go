package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A statusShown is what the command tells, for programs.
type statusShown struct {
	Place   string          `json:"place"`   // where the answers come from
	Running bool            `json:"running"` // whether a server answers, or this command has opened the database itself
	Version string          `json:"version"`
	Mode    knowledge.Mode  `json:"mode"`
	AsOf    knowledge.Time  `json:"as_of"`
	Ready   bool            `json:"ready"`
	Reasons []string        `json:"reasons"`
	Seq     knowledge.Seq   `json:"seq"`              // of the newest change
	Caller  string          `json:"caller,omitempty"` // who calls, with the role
	Details json.RawMessage `json:"details,omitempty"`
}

type statusSettings struct {
	All bool `name:"all" by:"flag" doc:"Show every figure of the parts, too"`
}

func addStatus(a *app) {
	var set statusSettings
	a.command(a.root, &cobra.Command{
		Use:   "status",
		Short: "Show how the server is",
		Long: `Shows which tenet or database the commands reach, whether it can answer, and how fresh its answers are.
The exit code is 5 when it can't answer, which makes the command a health check. --all shows the figures of its parts,
for who looks after it; --output json always has them.`,
		Example: `  tenet status
  tenet status --all
  tenet status --quiet || echo down`,
	}, &set, func(ctx context.Context, _ []string) error {
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		s, err := withTimeout(ctx, a.Timeout, d.status)
		if err != nil {
			return err
		}
		if !a.Quiet || a.Output != "table" {
			if err := a.print(s, func(w io.Writer, sc screen) error {
				return writeStatus(w, sc, s, set.All)
			}); err != nil {
				return err
			}
		}
		if !s.Ready {
			return &store.UnavailableError{Reason: strings.Join(s.Reasons, "; ")}
		}
		return nil
	})
}

func (d *door) status(ctx context.Context) (*statusShown, error) {
	s := &statusShown{
		Place: d.place(), Running: d.remote != nil, Version: buildInfo().Version,
		Mode: knowledge.ModeNormal, Ready: true, Reasons: []string{},
	}
	if d.remote != nil {
		d.shown = true
		said, err := d.remote.Status(ctx)
		if err != nil {
			return nil, err
		}
		s.fill(said)
		if me, err := d.remote.Me(ctx); err == nil { // without a token the rest is told too
			s.Caller = me.ID + ", " + me.Role
		}
	}
	if d.local != nil {
		s.Caller = d.local.Actor() + ", the owner of the files"
		stat, err := d.local.Stat(ctx)
		if err != nil {
			return nil, err
		}
		if s.Details, err = json.Marshal(stat); err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
	}
	tail, err := store.Tail(ctx, d)
	if err != nil && d.remote == nil {
		return nil, err
	}
	s.Seq = tail
	return s, nil
}

func (s *statusShown) fill(said *client.Status) {
	s.Version, s.Mode, s.AsOf, s.Ready, s.Reasons, s.Details = said.Version, said.Mode, said.AsOf, said.Ready,
		said.Reasons, said.Details
}

// writeStatus prints what a person wants to know first, and with all every figure.
func writeStatus(w io.Writer, sc screen, s *statusShown, all bool) error {
	t := &table{head: []string{"", ""}, wide: 1}
	t.add("from", s.Place)
	t.add("you are", orDash(s.Caller))
	t.add("version", s.Version)
	t.add("ready", yesNo(s.Ready)+colon(strings.Join(s.Reasons, "; ")))
	t.add("mode", string(s.Mode))
	if !s.AsOf.IsZero() {
		t.add("current as of", moment(s.AsOf))
	}
	t.add("newest change", itoa(int64(s.Seq)))
	if !all {
		addIndexLine(t, s.Details)
		addCacheLine(t, s.Details)
		addOutage(t, s.Details)
		return t.writeRows(w, sc)
	}
	if len(s.Details) > 0 && string(s.Details) != "null" {
		var details map[string]any
		if json.Unmarshal(s.Details, &details) == nil {
			delete(details, "newest_change") // said already
			if addCache(t, s.Details) {
				delete(details, "cache")
			}
			if addOutage(t, s.Details) {
				delete(details, "outage")
			}
			if addBackups(t, s.Details) {
				delete(details, "backups")
			}
			addDetails(t, nil, details)
		}
	}
	return t.writeRows(w, sc)
}

// addIndexLine adds how far a search index is that is being made.
func addIndexLine(t *table, details json.RawMessage) {
	var d struct {
		Index struct {
			Documents int64 `json:"documents"`
			Of        int64 `json:"of"`
		} `json:"search_index"`
	}
	if json.Unmarshal(details, &d) == nil && d.Index.Of > 0 {
		t.add("search", fmt.Sprintf("is not answered yet by this instance: %d of %s are in its index", d.Index.Documents,
			knowledge.Count(d.Index.Of, "document", "documents")))
	}
}

// addBackups adds what a server tells of its backups, as a diagnosis says it, and reports whether it tells something.
func addBackups(t *table, details json.RawMessage) bool {
	var h health
	if json.Unmarshal(details, &h) != nil || h.Backups == nil {
		return false
	}
	for _, f := range examineBackups(&h, recoveryGoals{}, time.Now()) {
		t.add(strings.TrimSuffix("backups "+f.Check, " backups"), f.Text)
	}
	return true
}

// colon puts a text behind what it explains; nothing where there is none.
func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
