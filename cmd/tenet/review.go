package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

type reviewSettings struct {
	Comment string `name:"comment" by:"flag" doc:"In words"`
	Ops     string `name:"ops" by:"flag" doc:"The ops that you have read, as tenet review show names them: refused if they have changed since"`
	Batch   string `name:"batch" by:"flag" doc:"UUID of the write: sent again with it, nothing is done twice"`
}

type reviewListSettings struct {
	State string `name:"state" default:"open" by:"flag" doc:"open, applied, rejected or withdrawn; any for all"`
}

func addReview(a *app) {
	review := &cobra.Command{
		Use:   "review",
		Short: "Decide about what others propose",
		Long: `Shows proposals, says what you think of them, and applies them. A proposal is named by its id, or by the first or last signs of it (four at least)
that no other one has. An approval counts for the ops as they were when it was given. Nobody
decides about their own, and agents decide about none.`,
	}
	a.root.AddCommand(review)
	var list reviewListSettings
	a.command(review, &cobra.Command{
		Use: "list", Short: "List proposals", Example: `  tenet review list`,
		Long:        `Lists the proposals that are open, or those of another state.`,
		Annotations: prints(asWide, asCSV, asName),
	}, &list, func(ctx context.Context, _ []string) error {
		return listProposals(ctx, a, list.State)
	})
	a.command(review, &cobra.Command{
		Use: "show ID", Short: "Show what a proposal would do, and what was said of it",
		Long: `Shows a proposal with the lines that it changes. Of a document that is no longer as the proposal saw it,
what has changed meanwhile is shown too.`,
		Example: `  tenet review show 01890a5d-ac96-774b-bcce-b302099a8050`, Args: cobra.ExactArgs(1),
	}, nil, func(ctx context.Context, args []string) error { return showProposal(ctx, a, args[0]) })
	for _, v := range []struct{ verdict, use, short, long string }{
		{knowledge.VerdictApprove, "approve", "Approve of a proposal", "Approves of the ops as they are now."},
		{knowledge.VerdictAsk, "ask", "Ask for an answer or a change", "Says what is to be answered or changed first; it takes an approval of yours back."},
		{knowledge.VerdictReject, "reject", "Reject a proposal", "Closes a proposal without doing anything."},
		{knowledge.VerdictOverride, "override", "Let a proposal be applied without its approvals", `Lets a proposal be applied without the approvals that the policy asks for: for an
emergency, by an admin, also for a proposal of their own. The reason is needed. It stays in the proposal, and tenet audit and the log tell
who has applied it.`},
		{knowledge.VerdictComment, "comment", "Comment on a proposal", "Says a word about a proposal, which decides nothing."},
	} {
		var s reviewSettings
		a.command(review, &cobra.Command{
			Use: v.use + " ID", Short: v.short, Long: v.long,
			Example: "  tenet review " + v.use + " 01890a5d-ac96-774b-bcce-b302099a8050 --comment 'As we said'",
			Args:    cobra.ExactArgs(1),
		}, &s, func(ctx context.Context, args []string) error { return giveReview(ctx, a, &s, args[0], v.verdict) })
	}
	var withdraw reviewSettings
	a.command(review, &cobra.Command{
		Use: "withdraw ID", Short: "Withdraw a proposal of your own", Long: `Closes a proposal of your own without doing anything.`,
		Example: `  tenet review withdraw 01890a5d-ac96-774b-bcce-b302099a8050`, Args: cobra.ExactArgs(1),
	}, &withdraw, func(ctx context.Context, args []string) error {
		return onProposal(ctx, a, withdraw.Batch, args[0], func(_ *knowledge.Proposal, rec *knowledge.Record, id knowledge.BatchID, actor string) (knowledge.Batch, bool) {
			return store.ProposalBatch(rec, id, actor, map[string]any{"state": knowledge.ProposalWithdrawn}), false
		})
	})
	a.command(review, &cobra.Command{
		Use: "apply ID", Short: "Do what a proposal proposes",
		Long: `Does the ops of a proposal and says so in it, all or nothing. Asked for twice, also after a lost answer, it is done once. Where a document
is no longer as the proposal saw it, nothing is done.`,
		Example: `  tenet review apply 01890a5d-ac96-774b-bcce-b302099a8050`, Args: cobra.ExactArgs(1),
	}, nil, func(ctx context.Context, args []string) error { return applyProposal(ctx, a, args[0]) })
}

func listProposals(ctx context.Context, a *app, state string) error {
	f := filters{Limit: knowledge.MaxLimit, All: true, Active: "true"}
	if state != "any" {
		f.Status = state
	}
	if err := proposalState(state); err != nil {
		return err
	}
	return listDocuments(ctx, a, knowledge.KindProposal, &f)
}

// proposalState refuses what --state does not know.
func proposalState(given string) error {
	states := append(knowledge.ProposalStates(), "any")
	if slices.Contains(states, given) {
		return nil
	}
	all := strings.Join(states, ", ")
	if near := knowledge.Nearest(given, slices.Values(states)); near != "" {
		return usageError("--state %q: did you mean %s? There are %s", given, near, all)
	}
	return usageError("--state %q: want one of %s", given, all)
}

// onProposal changes a proposal as it is now. Change returns the batch, or that nothing is left to do.
func onProposal(
	ctx context.Context, a *app, batch, id string,
	change func(*knowledge.Proposal, *knowledge.Record, knowledge.BatchID, string) (knowledge.Batch, bool),
) error {
	write, err := batchID(batch)
	if err != nil {
		return err
	}
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return err
	}
	p, rec, err := proposalOf(ctx, a, d, id)
	if err != nil {
		return err
	}
	b, done := change(p, rec, write, actor)
	if done {
		return a.print(rec.JSON, func(w io.Writer, _ screen) error {
			_, err := fmt.Fprintf(w, "%s says so already\n", rec.Key)
			return err
		})
	}
	return send(ctx, a, d, b)
}

func proposalOf(ctx context.Context, a *app, d *door, id string) (*knowledge.Proposal, *knowledge.Record, error) {
	var p *knowledge.Proposal
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (rec *knowledge.Record, err error) {
		if id, err = proposalID(ctx, d, id); err != nil {
			return nil, err
		}
		p, rec, err = store.ProposalOf(ctx, d, id)
		return rec, err
	})
	return p, rec, noProposal(err)
}

// proposalID returns the id of the proposal that a person names: whole, or by its first or last signs where no other
// one begins or ends like that. Those that are open count before the others.
func proposalID(ctx context.Context, d store.Reader, given string) (string, error) {
	id := strings.ToLower(strings.TrimPrefix(given, "proposal/"))
	if _, err := uuid.Parse(id); err == nil || len(id) < 4 {
		return id, nil
	}
	for _, state := range []string{knowledge.ProposalOpen, ""} {
		var fit []string
		q := knowledge.Query{
			Kind: knowledge.KindProposal, Status: state, Activity: knowledge.AnyActivity,
			Order: knowledge.OrderID, Limit: knowledge.MaxLimit,
		}
		for {
			page, err := d.List(ctx, q)
			if err != nil {
				return "", err
			}
			for _, r := range page.Records {
				if meansID(r.Key.ID, id) {
					fit = append(fit, r.Key.ID)
				}
			}
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
		switch {
		case len(fit) == 1:
			return fit[0], nil
		case len(fit) > 1:
			return "", usageError("%q is the beginning or the end of %d proposals: %s", given, len(fit),
				strings.Join(fit[:min(len(fit), 5)], ", "))
		}
	}
	return strings.TrimPrefix(given, "proposal/"), nil // the store says that there is none
}

func giveReview(ctx context.Context, a *app, s *reviewSettings, id, verdict string) error {
	if verdict == knowledge.VerdictComment && s.Comment == "" {
		return usageError("say what, as in --comment 'Which services does this touch?'")
	}
	if verdict == knowledge.VerdictOverride && strings.TrimSpace(s.Comment) == "" {
		return usageError("say why, as in --comment 'Production is down: the approvers are asleep'")
	}
	var given knowledge.Key
	err := onProposal(ctx, a, s.Batch, id, func(p *knowledge.Proposal, rec *knowledge.Record, write knowledge.BatchID,
		actor string,
	) (knowledge.Batch, bool) {
		given = rec.Key
		return store.ReviewBatch(p, rec, write, knowledge.Review{
			By: actor, Verdict: verdict, Comment: s.Comment, OpsDigest: s.Ops,
			At: knowledge.At(time.Now()),
		})
	})
	if err == nil && (verdict == knowledge.VerdictApprove || verdict == knowledge.VerdictOverride) {
		a.say("nothing is done yet: `tenet review apply %s` does it", given.ID)
	}
	return outdated(err, given.ID)
}

// outdated adds to a conflict about a document of a proposal what to do about it.
func outdated(err error, id string) error {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if !ok || conflict.Key.Kind == knowledge.KindProposal {
		return err
	}
	return fmt.Errorf("%w\nThe document is no longer as the proposal saw it: `tenet review show %s` shows what has "+
		"changed meanwhile; propose it anew", conflict, id)
}

// noProposal adds to the error about a proposal that is not there how to find those that are.
func noProposal(err error) error {
	none, ok := errors.AsType[*store.NotFoundError](err)
	if !ok || none.Key.Kind != knowledge.KindProposal {
		return err
	}
	return fmt.Errorf("%w: `tenet review list` lists the proposals that are open", err)
}

func applyProposal(ctx context.Context, a *app, id string) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	actor, err := withTimeout(ctx, a.Timeout, d.actor)
	if err != nil {
		return err
	}
	var r knowledge.Receipt
	rec, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) (rec *knowledge.Record, err error) {
		if id, err = proposalID(ctx, d, id); err != nil {
			return nil, err
		}
		r, rec, err = store.ApplyProposal(ctx, d, actor, id)
		return rec, err
	})
	if no, ok := errors.AsType[*store.ForbiddenError](err); ok && no.Right == access.DoPublish {
		return fmt.Errorf("%w\nWho applies a proposal needs the right to make its changes: ask a maintainer for "+
			"`tenet review apply %s`", err, id)
	}
	if err != nil {
		return outdated(noProposal(err), id)
	}
	p, err := rec.Document()
	if err != nil {
		return err
	}
	return a.print(p, func(w io.Writer, _ screen) error {
		for _, done := range r.Records {
			if done == nil || done.Key == rec.Key {
				continue
			}
			if _, err := fmt.Fprintf(w, "%s, version %d\n", done.Key, done.Version); err != nil {
				return err
			}
		}
		says := "is applied"
		if r.Queued {
			says = "is queued as batch " + r.Batch.String() + ": the primary is down, and gets it when it is back"
		}
		_, err := fmt.Fprintf(w, "%s %s\n", rec.Key, says)
		return err
	})
}

func showProposal(ctx context.Context, a *app, id string) error {
	d, err := a.openToLook(ctx)
	if err != nil {
		return err
	}
	defer a.close(d)
	p, _, err := proposalOf(ctx, a, d, id)
	if err != nil {
		return err
	}
	list, err := withTimeout(ctx, a.Timeout, func(ctx context.Context) ([]store.ProposedChange, error) {
		return store.Preview(ctx, d, p)
	})
	if err != nil {
		return err
	}
	return a.print(struct {
		Proposal *knowledge.Proposal    `json:"proposal"`
		Changes  []store.ProposedChange `json:"changes"`
	}{p, list}, func(w io.Writer, _ screen) error { return writeProposal(w, p, list) })
}

func writeProposal(w io.Writer, p *knowledge.Proposal, list []store.ProposedChange) error {
	var b strings.Builder
	by := p.CreatedBy
	if agent := p.Agent(); agent != "" {
		by += ", by agent " + cell(agent)
	}
	fmt.Fprintf(&b, "%s\n%s by %s, %s UTC, %s, ops %.12s\n", cell(p.Title), p.Key(), by, moment(p.CreatedAt),
		p.State, p.OpsDigest)
	if p.Why != "" {
		fmt.Fprintf(&b, "\n%s\n", p.Why)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	for i := range list {
		c := &list[i]
		if _, err := fmt.Fprintf(w, "\n%s %s/%s\n", c.Verb, c.Kind, c.ID); err != nil {
			return err
		}
		if c.Moved {
			if _, err := fmt.Fprintf(w, "It was proposed for version %s and is at version %s: propose it anew. "+
				"Meanwhile:\n", versionCell(max(c.Base, 0)), versionCell(c.Current)); err != nil {
				return err
			}
			if err := writeBetween(w, c.Records[0], c.Records[1], ""); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(w, "Proposed:"); err != nil {
				return err
			}
		}
		if err := writeBetween(w, c.Records[0], c.Records[2], "as proposed"); err != nil {
			return err
		}
	}
	for i := range p.Reviews {
		r := &p.Reviews[i]
		stands := ""
		if r.OpsDigest != p.OpsDigest {
			stands = " (of other ops than now)"
		}
		if _, err := fmt.Fprintf(w, "\n%s by %s, %s UTC%s\n", r.Verdict, r.By, moment(r.At), stands); err != nil {
			return err
		}
		if r.Comment != "" {
			if _, err := fmt.Fprintln(w, r.Comment); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeBetween shows what differs between two forms of a document, of which there may be none. The second has a name
// where it is no version.
func writeBetween(w io.Writer, before, after *knowledge.Record, name string) error {
	switch {
	case after == nil && before != nil:
		_, err := fmt.Fprintln(w, "it can't be applied: `tenet review apply` says why")
		return err
	case after == nil:
		_, err := fmt.Fprintln(w, "there is no such document")
		return err
	}
	if name == "" {
		name = after.Key.String() + " version " + itoa(after.Version)
	}
	was, old := "no document", []byte(nil)
	if before != nil {
		was, old = before.Key.String()+" version "+itoa(before.Version), before.JSON
	}
	text, err := diffOf(was, old, name, after.JSON)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		text = []byte("changes nothing\n")
	}
	_, err = w.Write(text)
	return err
}
