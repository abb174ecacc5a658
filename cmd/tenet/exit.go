package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Exit codes. They are part of what a program can rely on, and are listed in docs/cli.md.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnavailable = 5
	exitDenied      = 6
	exitInterrupted = 130
)

// exitCodes tells what each exit code means, in order.
func exitCodes() []struct {
	code int
	text string
} {
	return []struct {
		code int
		text string
	}{
		{exitOK, "done"},
		{exitFailed, "refused or failed: the message says what and where"},
		{exitUsage, "the command line or a setting is wrong"},
		{exitNotFound, "there is no such document"},
		{exitConflict, "the document is not at the version that was expected, or the batch id was used before"},
		{exitUnavailable, "the server or its database can't be reached or can't answer now"},
		{exitDenied, "not authenticated, or not allowed"},
		{exitInterrupted, "interrupted from the keyboard"},
	}
}

// errUsage marks errors that the command line or the settings are to blame for.
var errUsage = errors.New("usage")

type usage struct{ text string }

func (e *usage) Error() string { return e.text }

func (e *usage) Is(target error) bool { return target == errUsage }

// usageError returns an error about the command line or the settings.
func usageError(format string, args ...any) error { return &usage{fmt.Sprintf(format, args...)} }

// wantOneOf says that the value of a flag is none of those that there are, or is not given.
func wantOneOf(flag, value string, names []string) error {
	if value == "" {
		return usageError("--%s is missing: want one of %s", flag, strings.Join(names, ", "))
	}
	return usageError("--%s %q: want one of %s", flag, value, strings.Join(names, ", "))
}

// exitCode returns the code that a command ends with after err.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage), isQueryFault(err):
		return exitUsage
	case errors.Is(err, store.ErrNotFound):
		return exitNotFound
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrReused):
		return exitConflict
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed),
		errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	case errors.Is(err, store.ErrUnauthenticated), errors.Is(err, store.ErrForbidden):
		return exitDenied
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// isQueryFault reports whether what was asked for can't be: flags and arguments say that, and no document.
func isQueryFault(err error) bool {
	invalid, ok := errors.AsType[*knowledge.InvalidError](err)
	return ok && invalid.Query
}

// ofFlags names the flags whose values a question was refused for.
func ofFlags(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok && invalid.Query {
		for i := range invalid.Faults {
			f := &invalid.Faults[i]
			name := strings.ReplaceAll(strings.TrimPrefix(f.Pointer, "/"), "_", "-")
			if f.Pointer == "/q" { // the words
				f.Pointer = ""
			} else if cmd.Flags().Changed(name) {
				f.Pointer = "--" + name
			}
		}
	}
	return err
}

// movedOn reports whether a conflict is one of two versions that can be compared.
func movedOn(c *store.ConflictError) bool { return c.Want > 0 && c.Got > 0 && c.Want != c.Got }

// explain returns an error as lines for a person: what is wrong, and what to do about it.
func explain(err error) string {
	if invalid, ok := errors.AsType[*knowledge.InvalidError](err); ok {
		text := explainInvalid(err, invalid)
		if c, ok := errors.AsType[*categoryError](err); ok {
			text += "\n" + c.hint + "--create-category of `tenet put` creates it"
		}
		return text
	}
	text := err.Error()
	switch exitCode(err) {
	case exitNotFound:
		if none, ok := errors.AsType[*store.NotFoundError](err); ok && none.Archived {
			text += fmt.Sprintf(": `tenet get %s --archived` shows it, and `tenet restore %[1]s` brings it back", none.Key)
		}
	case exitConflict:
		// else it says already what to do
		if conflict, ok := errors.AsType[*store.ConflictError](err); ok && conflict.Want != knowledge.NoVersion &&
			!strings.Contains(text, "\n") {
			text += "\nSomebody has changed it since. "
			if movedOn(conflict) {
				text += fmt.Sprintf("`tenet diff %s %d %d` shows what came in. Put that into what you write, "+
					"and write it with --if-version %[3]d.", conflict.Key, conflict.Want, conflict.Got)
			} else {
				text += "Look at it with `tenet get`, and write on top of that version."
			}
		}
	case exitUnavailable:
		if errors.Is(err, context.DeadlineExceeded) {
			text = "no answer in time; give more with --timeout"
		}
	case exitDenied:
		if errors.Is(err, store.ErrUnauthenticated) {
			text += "\nGive a token in TENET_TOKEN, or in a file named by --token-file."
		}
		no, ok := errors.AsType[*store.ForbiddenError](err)
		_, imports := errors.AsType[*stoppedError](err)
		switch {
		case !ok || no.Right != access.DoPublish:
		case imports:
			text += "\nGive --status DRAFT: a contributor brings rules as drafts, and proposes other changes with " +
				"`tenet propose`."
		case !strings.Contains(text, "\n"):
			text += "\nA contributor proposes a change with `tenet propose`, and brings rules as drafts with " +
				"`tenet import --status DRAFT`."
		}
	case exitInterrupted:
		text = "interrupted"
		if stopped, ok := errors.AsType[*stoppedError](err); ok {
			text += ": " + stopped.rest()
		}
	}
	return text
}

// explainInvalid puts every fault on a line of its own.
func explainInvalid(err error, invalid *knowledge.InvalidError) string {
	var b strings.Builder
	before, after, _ := strings.Cut(err.Error(), invalid.Error())
	b.WriteString(before)
	if len(invalid.Faults) == 1 {
		b.WriteString(faultText(invalid, invalid.Faults[0]))
		return b.String() + after
	}
	b.WriteString(plural(len(invalid.Faults), "fault", "faults") + ":")
	for _, f := range invalid.Faults {
		b.WriteString("\n  " + faultText(invalid, f))
	}
	return b.String() + after
}

func faultText(invalid *knowledge.InvalidError, f knowledge.Fault) string {
	where := f.Pointer
	if strings.HasSuffix(where, "/category") && strings.HasPrefix(f.Detail, "missing: ") {
		f.Detail += "; `tenet list categories` shows those that there are"
	}
	if invalid.Query {
		where = strings.TrimPrefix(where, "/")
	}
	if where == "" {
		return f.Detail
	}
	return where + ": " + f.Detail
}
