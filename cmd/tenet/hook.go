package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tenet/internal/bundle"
	"tenet/internal/check"
	"tenet/internal/hook"
)

type hookSettings struct {
	Tool    string `name:"tool" by:"flag" doc:"The assistant: claude, copilot, cursor or codex"`
	OnError string `name:"on-error" default:"allow" by:"flag" doc:"For an edit that can't be judged: allow or deny"`
}

func addHook(a *app) {
	var s hookSettings
	group := a.command(a.root, &cobra.Command{
		Use:   "hook",
		Short: "Judge an edit that an assistant is about to make",
		Long: `Reads on standard input what an assistant is about to do, in the form that its hooks have, and answers
in that form: an edit that breaks a mandatory rule is denied with the reason, another departure is told. Of an edit
that is let through the assistant learns what holds there, once in a conversation and only what its own files don't
hold (all but Copilot, whose hooks have no place for it). Only what the edit brings in counts, not what stood there
before.

It asks nobody: the rules are those that the work tree took last ("tenet sync" and "tenet check" take them). "tenet
hook install" writes it into the assistant's settings.`,
		Example: `  tenet hook install --tool claude
  echo '{"tool_name":"Write","tool_input":{"file_path":"a.go","content":"..."}}' | tenet hook --tool claude`,
	}, &s, nil)
	group.RunE = func(cmd *cobra.Command, _ []string) error {
		debug.SetGCPercent(hookHeap) // it ends before there is much to collect, and somebody waits for it
		// It asks nobody and needs no settings, and most tools take exit code 2 for a denial.
		if err := a.load(cmd, a.settings[cmd]); err != nil {
			a.say("the settings were not read: %s", err)
		}
		return judgeEdit(a, &s)
	}
	var in hookInstallSettings
	a.command(group, &cobra.Command{
		Use:   "install",
		Short: "Write the hook into an assistant's settings",
		Long: `Writes the hook into the settings of an assistant, in the work tree around the working directory. What
else stands there stays, comments and layout too; --remove takes it out again.`,
		Example: "  tenet hook install --tool claude\n  tenet hook install --tool cursor --on-error deny\n  tenet " +
			"hook install --tool claude --remove",
	}, &in, func(context.Context, []string) error {
		if in.Remove {
			if err := a.idle("with --remove", "on-error"); err != nil {
				return err
			}
		}
		return installHook(a, &in)
	})
}

// hookHeap lets the heap of a hook grow to some 30 MB before anything of it is collected.
const hookHeap = 800

func checkTool(tool, onError string) error {
	if !slices.Contains(hook.Tools(), tool) {
		return wantOneOf("tool", tool, hook.Tools())
	}
	if onError != "allow" && onError != "deny" {
		return usageError("--on-error %q: want allow or deny", onError)
	}
	return nil
}

// judgeEdit answers an event. Whatever goes wrong is answered too, as --on-error says: most tools take a failing hook
// for consent.
func judgeEdit(a *app, s *hookSettings) error {
	if err := checkTool(s.Tool, s.OnError); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(a.in, hook.MaxEvent+1))
	if err == nil && len(text) > hook.MaxEvent {
		err = fmt.Errorf("the event has more than %d bytes", hook.MaxEvent)
	}
	e := &hook.Event{}
	var v hook.Verdict
	if err == nil {
		e, v, err = judged(a, s.Tool, text)
	}
	if errors.Is(err, hook.ErrUnknown) {
		a.say("nothing was judged: %s", err)
		return nil
	}
	if err != nil {
		a.say("the edit was not judged: %s", err)
		if s.OnError == "deny" {
			v = hook.Verdict{Deny: true, Reason: "Tenet could not judge the edit: " + err.Error() + "."}
		}
	}
	out := hook.Answer(s.Tool, e, v)
	_, err = a.out.Write(out)
	return err
}

func judged(a *app, tool string, text []byte) (*hook.Event, hook.Verdict, error) {
	var v hook.Verdict
	e, err := hook.Read(tool, text, existing)
	if e == nil {
		e = &hook.Event{}
	}
	if err != nil || len(e.Edits) == 0 {
		return e, v, err
	}
	dir := e.Cwd
	if dir == "" {
		dir = "."
	}
	w, err := openTree(a, dir)
	if err != nil {
		return e, v, err
	}
	before, after, paths := w.edited(dir, e)
	b, err := bundle.LoadFor(w.cache, paths)
	if err != nil {
		return e, v, err
	}
	if b == nil {
		return e, v, errors.New("no rules were taken for this work tree yet: run `tenet check` once")
	}
	set, err := setOf(b)
	if err != nil {
		return e, v, err
	}
	v = hook.Judge(set.RunSince(after, before), ageOf(b))
	tellWhatHolds(w, b, tool, e, paths, &v)
	noteEdit(w.cache, v)
	return e, v, nil
}

// ageOf says how old what was taken is, where it is not from a moment ago.
func ageOf(b *bundle.Bundle) string {
	d := ago(b.Fetched)
	if strings.Contains(d, "moment") {
		return ""
	}
	return "\n(The rules are as of " + d + " ago.)"
}

// edited returns the files of an event that are of the tree, as they are and as they will be, and their paths.
func (w *workTree) edited(dir string, e *hook.Event) (before, after []check.File, paths []string) {
	at := func(path string) (string, bool) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return w.relative(path)
	}
	for i := range e.Edits {
		edit := &e.Edits[i]
		rel, ok := at(edit.Path)
		if !ok || edit.Deleted {
			continue // it is another tree's, or gone
		}
		paths = append(paths, rel)
		after = append(after, check.File{Path: rel, Content: edit.After})
		was, in := rel, true
		if edit.Was != "" {
			was, in = at(edit.Was)
		}
		if edit.Before != nil && in { // what comes from elsewhere is new here
			before = append(before, check.File{Path: rel, Was: was, Content: edit.Before})
		}
	}
	return before, after, paths
}

// existing reads a file as it is now; nil for none.
func existing(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > check.MaxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, check.MaxFile)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the assistant names what it edits
	if text == nil && err == nil {
		text = []byte{}
	}
	return text, err
}
