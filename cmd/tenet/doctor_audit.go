package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/store"
)

func addDoctorAudit(a *app, group *cobra.Command) {
	var s changesSettings
	a.command(group, &cobra.Command{
		Use:   "audit",
		Short: "Verify the audit: who was refused, and who read what",
		Long: `Reads all of the audit and verifies it: numbers without gaps, the hash of each entry, a chain value on
every entry that is made of the one before it, and that the last one is there. Entries from which a person was erased
are compared with what that erasure has left. A running tenet is asked for its job audit.verify, which only an admin
may do.

Who writes past tenet can make the whole chain anew. The head that is shown, noted elsewhere and given with --head
later, shows that too.`,
		Example: `  tenet doctor audit
  tenet doctor audit --head 42-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
	}, &s, func(ctx context.Context, _ []string) error { return doctorAudit(ctx, a, s.Head) })
}

func doctorAudit(ctx context.Context, a *app, head string) error {
	want, err := parseAnchor(head)
	if err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	found, err := verifiedAudit(ctx, a, d)
	if err != nil {
		return err
	}
	if want.seq != 0 {
		if err := holdsHead(ctx, a, d, want); err != nil {
			return err
		}
	}
	return a.print(struct {
		Head string `json:"head"`
	}{found}, func(w io.Writer, _ screen) error {
		_, err := fmt.Fprintf(w, "the audit of %s verifies\nhead %s: note it elsewhere, and give it with --head "+
			"later\n", d.place(), found)
		return err
	})
}

// verifiedAudit verifies the audit, and returns its head.
func verifiedAudit(ctx context.Context, a *app, d *door) (string, error) {
	if d.local != nil {
		head, err := d.local.VerifyAudit(ctx)
		return head.String(), err
	}
	run, err := d.remote.RunJob(ctx, "audit.verify")
	if err == nil {
		run, err = awaitRun(ctx, a, d.remote, run)
	}
	if err == nil && run.Error != "" {
		err = errors.New(run.Error)
	}
	if err != nil {
		return "", err
	}
	_, head, _ := strings.Cut(run.Changed, auditHead)
	return head, nil
}

// auditHead stands before the head in what the job audit.verify says.
const auditHead = "head "

// holdsHead checks that the audit still holds an entry that was noted as its head.
func holdsHead(ctx context.Context, a *app, d *door, want anchor) error {
	held := false
	err := auditOf(ctx, a, d, store.AuditQuery{Below: int64(want.seq) + 1}, 1, func(e *store.AuditEntry) error {
		held = e.Seq == int64(want.seq) && strings.HasPrefix(e.Chain, want.chain)
		return nil
	})
	if err == nil && !held {
		err = fmt.Errorf("the audit does not hold entry %d as it was noted as its head: it was written anew, cut "+
			"off, or is older than is kept", want.seq)
	}
	return err
}
