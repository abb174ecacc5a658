// Package hook answers an assistant before an edit: it reads a tool's description of the edit, and writes the answer in
// that tool's format.
package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Tools are the assistants whose hooks are known. Their forms were read in their owners' documents in 2026-11:
//
//   - claude: https://code.claude.com/docs/en/hooks
//   - copilot: https://docs.github.com/en/copilot/reference/hooks-configuration
//   - cursor: https://cursor.com/docs/agent/hooks
//   - codex: https://developers.openai.com/codex/hooks
func Tools() []string { return []string{"claude", "copilot", "cursor", "codex"} }

// An Edit is a file with its content before and after the edit.
type Edit struct {
	Path    string // in the tool's form
	Was     string // the path before a move; "" for none
	Before  []byte // nil for a new file
	After   []byte
	Deleted bool
}

// An Event is what a tool is about to do.
type Event struct {
	Cwd  string
	Name string // the tool's name of the event
	Tool string // the assistant's own tool, such as Write
	// Session is the conversation of the edit; "" if the tool does not send it.
	Session string
	Other   bool // it is for another assistant's hook, which runs too
	Edits   []Edit
}

// raw has the fields of all tools' formats.
type raw struct {
	Cwd        string          `json:"cwd"`
	Session    string          `json:"session_id"`
	Session2   string          `json:"sessionId"`
	Session3   string          `json:"conversation_id"`
	Event      string          `json:"hook_event_name"`
	ToolName   string          `json:"tool_name"`
	ToolInput  json.RawMessage `json:"tool_input"`
	ToolName2  string          `json:"toolName"`
	ToolArgs   json.RawMessage `json:"toolArgs"`
	Workspaces []string        `json:"workspace_roots"`
}

// input has the fields of an edit in all tools' formats.
type input struct {
	FilePath   string  `json:"file_path"`
	Path       string  `json:"path"`
	Notebook   string  `json:"notebook_path"`
	Content    *string `json:"content"`
	Contents   *string `json:"contents"`
	FileText   *string `json:"file_text"`
	NewSource  *string `json:"new_source"`
	Command    words   `json:"command"`
	Input      string  `json:"input"`
	Patch      string  `json:"patch"`
	ReplaceAll bool    `json:"replace_all"`
	OldString  *string `json:"old_string"`
	NewString  *string `json:"new_string"`
	OldStr     *string `json:"old_str"`
	NewStr     *string `json:"new_str"`
	InsertText *string `json:"insert_text"`
	InsertLine *int    `json:"insert_line"`
	Edits      []struct {
		OldString  string `json:"old_string"`
		NewString  string `json:"new_string"`
		ReplaceAll bool   `json:"replace_all"`
	} `json:"edits"`
}

// words are a command: one text, or a list as the program gets it.
type words string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *words) UnmarshalJSON(text []byte) error {
	var list []string
	if json.Unmarshal(text, &list) == nil {
		*w = words(strings.Join(list, "\n"))
		return nil
	}
	return json.Unmarshal(text, (*string)(w))
}

// MaxEvent is the largest size of an event, in bytes.
const MaxEvent = 16 << 20

// Read reads an event. The function file returns the current content of a file, nil for none; it gets absolute paths.
func Read(tool string, text []byte, file func(path string) ([]byte, error)) (*Event, error) {
	var r raw
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("the event is not JSON: %w", err)
	}
	e := &Event{Cwd: r.Cwd, Name: r.Event, Tool: r.ToolName, Session: r.Session + r.Session2 + r.Session3}
	args := r.ToolInput
	if r.ToolName == "" && r.ToolName2 != "" { // Copilot's own format; it also runs the hooks of Claude's settings
		e.Tool, args, e.Other = r.ToolName2, r.ToolArgs, tool != "copilot"
		var quoted string
		if json.Unmarshal(args, &quoted) == nil {
			args = json.RawMessage(quoted)
		}
	}
	if e.Cwd == "" && len(r.Workspaces) > 0 {
		e.Cwd = r.Workspaces[0]
	}
	if e.Other {
		return e, nil
	}
	if e.Name != "" && !strings.EqualFold(e.Name, "PreToolUse") {
		return e, fmt.Errorf("%w %q: only edits that are about to be made are judged", ErrUnknown, e.Name)
	}
	var in input
	err := json.Unmarshal(args, &in) // arguments that are not an object are no edit
	if err == nil {
		if err := e.read(&in, file); err != nil {
			return e, err
		}
	}
	if len(e.Edits) == 0 && slices.Contains(editTools(), e.Tool) {
		return e, fmt.Errorf("the edit by %s has a form that this version of tenet does not know", e.Tool)
	}
	return e, nil
}

// ErrUnknown means that the event is not one of those that our hooks are installed for.
var ErrUnknown = errors.New("an event of another kind")

// editTools returns the assistants' tools that only edit files.
func editTools() []string {
	return []string{"Write", "Edit", "MultiEdit", "apply_patch", "create", "edit", "str_replace", "insert"}
}

func (e *Event) read(in *input, file func(string) ([]byte, error)) error {
	for _, text := range []string{in.Input, in.Patch, string(in.Command)} {
		if strings.Contains(text, patchBegin) {
			return e.applyPatch(text, file)
		}
	}
	path := in.FilePath
	if path == "" {
		path = in.Path
	}
	if path == "" {
		path = in.Notebook
	}
	if path == "" {
		return nil
	}
	before, err := file(e.absolute(path))
	if err != nil {
		return err
	}
	edit := Edit{Path: path, Before: before}
	switch {
	case in.Content != nil, in.Contents != nil, in.FileText != nil:
		edit.After = []byte(*first(in.Content, in.Contents, in.FileText))
	case in.NewSource != nil: // a notebook cell: its new source is checked as if it were at the end of the file
		edit.After = append(append([]byte{}, before...), *in.NewSource...)
	case in.InsertText != nil && in.InsertLine != nil:
		edit.After = insert(before, *in.InsertLine, *in.InsertText)
	case len(in.Edits) > 0:
		text := string(before)
		for _, one := range in.Edits {
			if text, err = replace(text, one.OldString, one.NewString, one.ReplaceAll); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		edit.After = []byte(text)
	case first(in.OldString, in.OldStr) != nil || first(in.NewString, in.NewStr) != nil:
		text, err := replace(string(before), value(first(in.OldString, in.OldStr)),
			value(first(in.NewString, in.NewStr)), in.ReplaceAll)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		edit.After = []byte(text)
	default:
		return nil // it reads
	}
	e.Edits = append(e.Edits, edit)
	return nil
}

func (e *Event) absolute(path string) string {
	if filepath.IsAbs(path) || e.Cwd == "" {
		return path
	}
	return filepath.Join(e.Cwd, path)
}

func first(list ...*string) *string {
	for _, s := range list {
		if s != nil {
			return s
		}
	}
	return nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// errNoPlace means that the text to replace is missing. The tool itself will refuse the edit.
var errNoPlace = errors.New("the text to replace is not there")

func replace(text, before, after string, all bool) (string, error) {
	if !strings.Contains(text, before) && strings.Contains(text, "\r\n") { // the tools show such a file without \r
		before, after = withCR(before), withCR(after)
		if !strings.Contains(text, before) { // its line ends are mixed
			text, before, after = withoutCR(text), withoutCR(before), withoutCR(after)
		}
	}
	switch {
	case before == "" && text == "":
		return after, nil
	case before == "" || !strings.Contains(text, before):
		return "", errNoPlace
	case all:
		return strings.ReplaceAll(text, before, after), nil
	}
	return strings.Replace(text, before, after, 1), nil
}

func withoutCR(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

func withCR(text string) string { return strings.ReplaceAll(withoutCR(text), "\n", "\r\n") }

func insert(text []byte, line int, what string) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	line = max(0, min(line, len(lines)))
	return []byte(strings.Join(lines[:line], "") + what + "\n" + strings.Join(lines[line:], ""))
}
