package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/postgres"
	"tenet/internal/server"
)

// addOutage shows how a server on a PostgreSQL stands to it, and reports whether there was such a thing to show.
func addOutage(t *table, details json.RawMessage) bool {
	var d struct {
		Outage   *failover.Status   `json:"outage"`
		Standbys *postgres.Standbys `json:"standbys"`
		Replica  *server.Replica    `json:"replica"`
	}
	if json.Unmarshal(details, &d) != nil || d.Outage == nil {
		return false
	}
	o := d.Outage
	t.add("outage mode", fmt.Sprintf("%s since %s, after %s of mode", o.Mode, moment(o.Since),
		plural(o.Moves, "change", "changes")))
	t.add("outage why", o.Why)
	if o.Halt != "" {
		t.add("outage halt", o.Halt)
	}
	t.add("outage breaker", o.Breaker)
	if d.Standbys != nil {
		t.add("outage standbys", standbyText(*d.Standbys))
	}
	if d.Replica != nil {
		t.add("outage replica", replicaText(*d.Replica))
	}
	m := o.Mirror
	t.add("outage mirror", m.State+colon(m.Why)+fmt.Sprintf("; at change %d, level %s ago, built %s since the start",
		m.Seq, age(m.Lag), plural(m.Builds, "time", "times")))
	j := o.Journal
	waits := "nothing waits"
	if j.Depth > 0 {
		waits = fmt.Sprintf("%s, %.1f of %.0f MB, the oldest for %s", plural(j.Depth, "batch waits", "batches wait"),
			megabytes(j.Bytes), megabytes(j.Limit), age(j.Oldest))
	}
	t.add("outage journal", fmt.Sprintf("%s; since the start %d were taken and %d applied", waits, j.Queued,
		j.Replayed))
	if j.Rate > 0 && j.Depth > 0 {
		t.add("outage replay", fmt.Sprintf("%d of %d done, %.0f a second", j.Done, j.Done+j.Depth, j.Rate))
	}
	if j.Parked > 0 {
		t.add("outage conflicts", plural(j.Parked, "batch waits", "batches wait")+
			" for a person: see tenet conflicts list")
	}
	t.add("outage reads", fmt.Sprintf("by the mirror, but for %d that PostgreSQL was asked; of those the mirror "+
		"answered %d, since PostgreSQL failed", o.Passed, o.FellBack))
	for i, text := range repeated(o.Errors) {
		t.add([]string{"outage errors", ""}[min(i, 1)], text)
	}
	return true
}

// repeated returns errors that begin with their time, each text once: with the time when it was last seen, and how
// often.
func repeated(errs []string) []string {
	var out []string
	seen := map[string]int{}
	for _, e := range slices.Backward(errs) { // the newest is last
		_, text, _ := strings.Cut(e, " ")
		if seen[text]++; seen[text] == 1 {
			out = append(out, e)
		}
	}
	for i, e := range out {
		if _, text, _ := strings.Cut(e, " "); seen[text] > 1 {
			out[i] += fmt.Sprintf(" (%d times)", seen[text])
		}
	}
	slices.Reverse(out)
	return out
}

func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

func plural[N ~int | ~int64](n N, one, many string) string {
	return knowledge.Count(n, one, many)
}
