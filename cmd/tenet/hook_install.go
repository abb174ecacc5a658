package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/worktree"
)

type hookInstallSettings struct {
	Tool    string `name:"tool" by:"flag" doc:"The assistant: claude, copilot, cursor or codex"`
	OnError string `name:"on-error" default:"allow" by:"flag" doc:"For an edit that can't be judged: allow or deny"`
	Remove  bool   `name:"remove" by:"flag" doc:"Take the hook out again"`
}

// A hookPlace is where an assistant keeps its hooks, and what stands there for ours.
type hookPlace struct {
	tool  string
	file  string
	names []string // of the list in the file
	entry map[string]any
	// hook is the part of entry that is ours where an entry has a list of hooks, and others may stand beside it; nil
	// where each entry is one hook
	hook map[string]any
}

func hookPlaceOf(tool, command string) *hookPlace {
	const edits = "Write|Edit|MultiEdit|NotebookEdit"
	nested := func(file, matcher string) *hookPlace {
		hook := map[string]any{"type": "command", "command": command, "timeout": 10}
		return &hookPlace{
			tool, file,
			[]string{"hooks", "PreToolUse"},
			map[string]any{"matcher": matcher, "hooks": []any{hook}},
			hook,
		}
	}
	flat := func(file string, entry map[string]any) *hookPlace {
		return &hookPlace{tool: tool, file: file, names: []string{"hooks", "preToolUse"}, entry: entry}
	}
	switch tool {
	case "copilot":
		return flat(".github/hooks/tenet.json", map[string]any{
			"type": "command", "bash": command, "powershell": command, "timeoutSec": 10,
		})
	case "cursor":
		return flat(".cursor/hooks.json", map[string]any{
			"command": command, "failClosed": strings.HasSuffix(command, "deny"),
		})
	case "codex":
		return nested(".codex/hooks.json", "apply_patch|"+edits)
	}
	return nested(".claude/settings.json", edits)
}

func installHook(a *app, s *hookInstallSettings) error {
	if err := checkTool(s.Tool, s.OnError); err != nil {
		return err
	}
	command := hookMark + s.Tool
	if s.OnError == "deny" {
		command += " --on-error deny"
	}
	p := hookPlaceOf(s.Tool, command)
	w, err := openTree(a, ".")
	if err != nil {
		return err
	}
	f, err := w.Read(p.file)
	if err != nil {
		return err
	}
	where := filepath.Join(w.Dir(), filepath.FromSlash(p.file))
	text, by, err := p.with(f.Text)
	if s.Remove {
		text, err = p.without(f.Text)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.file, err)
	case by != "" && !s.Remove:
		a.say("%s stays as it is: somebody has written a hook of tenet into it (%s), and two would judge each edit "+
			"twice; take that out to have this one written", where, cell(by))
		return nil
	case string(text) == string(f.Text):
		a.say("%s is up to date", where)
		return nil
	}
	if s.Remove {
		empty, err := p.empty()
		if err != nil {
			return err
		}
		if string(text) == string(empty) { // nothing but ours stood there
			if err := w.Remove(p.file); err != nil {
				return err
			}
			a.say("%s was removed", where)
			return nil
		}
	}
	if err := w.Write(p.file, text, 0); err != nil {
		return err
	}
	if s.Remove {
		a.say("%s was written", where)
		return nil
	}
	a.say("%s was written; %s reads it when it starts, and edits are judged by the rules that `tenet sync` or "+
		"`tenet check` took last", where, s.Tool)
	a.sayNotOnPath(s.Tool)
	return nil
}

// hookMark begins the command of our hook, and tells it from those of others.
const hookMark = "tenet hook --tool "

// commandsOf returns the commands of an entry: of each of its hooks, or its own.
func commandsOf(entry json.RawMessage) []string {
	var e struct {
		Command string            `json:"command"`
		Bash    string            `json:"bash"`
		Hooks   []json.RawMessage `json:"hooks"`
	}
	if json.Unmarshal(entry, &e) != nil {
		return nil // an entry of another form is somebody else's
	}
	list := []string{e.Command + e.Bash}
	for _, h := range e.Hooks {
		list = append(list, commandsOf(h)...)
	}
	return list
}

func isOurHook(entry json.RawMessage) bool {
	return slices.ContainsFunc(commandsOf(entry), func(c string) bool { return strings.HasPrefix(c, hookMark) })
}

// with returns a file with our hook in it; by is a hook of tenet that a person wrote, which is left alone.
func (p *hookPlace) with(text []byte) (out []byte, by string, err error) {
	var list []json.RawMessage
	if _, err := worktree.GetJSON(text, &list, p.names...); err == nil {
		for _, entry := range list {
			for _, c := range commandsOf(entry) {
				if strings.Contains(c, hookMark+p.tool) && !strings.HasPrefix(c, hookMark) {
					return text, c, nil
				}
			}
		}
	}
	if p.tool == "copilot" || p.tool == "cursor" {
		var version any
		if there, err := worktree.GetJSON(text, &version, "version"); err == nil && !there {
			if text, err = worktree.SetJSON(text, 1, "version"); err != nil {
				return nil, "", err
			}
		}
	}
	out, err = p.set(text, true)
	return out, "", err
}

// without returns a file without our hook.
func (p *hookPlace) without(text []byte) ([]byte, error) { return p.set(text, false) }

// set puts our hook in or takes it out. Of an entry that holds others' hooks beside ours, only ours is touched.
func (p *hookPlace) set(text []byte, in bool) ([]byte, error) {
	var list []struct {
		Hooks []json.RawMessage `json:"hooks"`
	}
	var entry, hook any // nil to take it out
	if in {
		entry, hook = p.entry, p.hook
	}
	if _, err := worktree.GetJSON(text, &list, p.names...); err == nil && p.hook != nil {
		for i := range list {
			if len(list[i].Hooks) > 1 && slices.ContainsFunc(list[i].Hooks, isOurHook) {
				return worktree.SetInJSON(text, hook, isOurHook, append(slices.Clone(p.names), strconv.Itoa(i), "hooks")...)
			}
		}
	}
	return worktree.SetInJSON(text, entry, isOurHook, p.names...)
}

// empty returns what is left of a file that holds nothing but our hook when that is taken out.
func (p *hookPlace) empty() ([]byte, error) {
	text, _, err := p.with(nil)
	if err != nil {
		return nil, err
	}
	return p.without(text)
}
