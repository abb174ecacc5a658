package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tenet/internal/knowledge"
)

type mirrorSettings struct {
	Accept bool `name:"accept" by:"flag" doc:"In mode diverged: rebuild the mirror, although the history is another"`
}

// A mirrorReport is what a server's status tells of its mirror.
type mirrorReport struct {
	Mode   knowledge.Mode `json:"mode"`
	Why    string         `json:"why"`
	Mirror struct {
		Ready    bool          `json:"ready"`
		State    string        `json:"state"`
		Why      string        `json:"why"`
		Seq      knowledge.Seq `json:"seq"`
		Lag      float64       `json:"lag_seconds"`
		Errors   int64         `json:"errors"`
		Builds   int64         `json:"builds"`
		Compared struct {
			At        knowledge.Time `json:"at"`
			Seq       knowledge.Seq  `json:"seq"`
			Documents int64          `json:"documents"`
			Equal     bool           `json:"equal"`
		} `json:"compared"`
	} `json:"mirror"`
	Journal struct {
		Depth  int64 `json:"depth"`
		Parked int64 `json:"parked"`
	} `json:"journal"`
}

func addDoctorMirror(a *app, group *cobra.Command) {
	var s mirrorSettings
	a.command(group, &cobra.Command{
		Use:   "mirror",
		Short: "Compare the mirror of a running tenet with its PostgreSQL",
		Long: `Asks a running tenet that works on a PostgreSQL to compare its mirror with it, document by document,
waits for the outcome and shows it. A mirror that differs is rebuilt by the server itself; what it alone holds is kept
among the conflicts.

In the mode diverged the server has found another database than the one it knows, and follows it only once a person
has said so: that is --accept. It needs the admin's token.`,
		Example: `  tenet doctor mirror
  tenet doctor mirror --accept`,
	}, &s, func(ctx context.Context, _ []string) error { return doctorMirror(ctx, a, s.Accept) })
}

func doctorMirror(ctx context.Context, a *app, accept bool) error {
	d, err := openRunning(ctx, a)
	if err != nil {
		return err
	}
	defer a.close(d)
	before, err := a.mirrorReport(ctx, d)
	if err != nil {
		return err
	}
	ask := d.remote.CheckMirror
	if accept {
		ask = d.remote.AcceptPrimary
	}
	if _, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, ask(ctx)
	}); err != nil {
		return err
	}
	after, done, err := awaitMirror(ctx, a, d, before, accept)
	if err != nil {
		return err
	}
	if err := a.print(after, func(w io.Writer, sc screen) error { return writeMirror(w, sc, after) }); err != nil {
		return err
	}
	switch {
	case !done && accept:
		return fmt.Errorf("the server has not left the mode %s yet; look again with `tenet status`", after.Mode)
	case !done:
		a.say("the comparison was asked for and is not done yet: it comes once PostgreSQL answers and the journal " +
			"is empty")
	case !accept && !after.Mirror.Compared.Equal:
		return fmt.Errorf("the mirror was another than PostgreSQL; it is rebuilt, and `tenet conflicts list` " +
			"shows what it alone held")
	}
	return nil
}

// mirrorPatience is how long the command waits for the outcome.
const mirrorPatience = 10 * time.Second

// awaitMirror waits until the server has done what was asked for, and returns its report as it then is.
func awaitMirror(ctx context.Context, a *app, d *door, before *mirrorReport, accept bool) (*mirrorReport, bool, error) {
	wait, cancel := context.WithTimeout(ctx, mirrorPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := a.mirrorReport(ctx, d)
		if err != nil {
			return nil, false, err
		}
		compared := now.Mirror.Compared.At.After(before.Mirror.Compared.At.Time)
		if accept && now.Mode != knowledge.ModeDiverged || !accept && compared {
			return now, true, nil
		}
		select {
		case <-tick.C:
		case <-wait.Done():
			return now, false, ctx.Err()
		}
	}
}

// mirrorReport reads the server's status.
func (a *app) mirrorReport(ctx context.Context, d *door) (*mirrorReport, error) {
	s, err := withTimeout(ctx, a.Timeout, d.status)
	if err != nil {
		return nil, err
	}
	var details struct {
		Outage *mirrorReport `json:"outage"`
	}
	if len(s.Details) > 0 {
		if err := json.Unmarshal(s.Details, &details); err != nil {
			return nil, fmt.Errorf("read the status of %s: %w", d.place(), err)
		}
	}
	if details.Outage == nil {
		return nil, usageError("%s has no mirror: it runs without a PostgreSQL", d.place())
	}
	return details.Outage, nil
}

func writeMirror(w io.Writer, sc screen, r *mirrorReport) error {
	t := &table{wide: 1}
	t.add("mode", string(r.Mode)+colon(r.Why))
	t.add("mirror", fmt.Sprintf("%s%s, up to change %d, level %.1f s ago", r.Mirror.State, colon(r.Mirror.Why),
		r.Mirror.Seq, r.Mirror.Lag))
	t.add("built", plural(r.Mirror.Builds, "time", "times")+" since the start")
	compared := "not since the start"
	if c := r.Mirror.Compared; !c.At.IsZero() {
		compared = fmt.Sprintf("%s at change %d: %s, equal: %s", moment(c.At), c.Seq,
			plural(c.Documents, "document", "documents"), yesNo(c.Equal))
	}
	t.add("compared", compared)
	t.add("journal", fmt.Sprintf("%s for PostgreSQL, %d for a person",
		plural(r.Journal.Depth, "batch waits", "batches wait"), r.Journal.Parked))
	return t.writeRows(w, sc)
}
