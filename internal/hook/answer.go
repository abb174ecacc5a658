package hook

import (
	"encoding/json"
	"fmt"
	"strings"

	"tenet/internal/check"
)

// maxContext is the largest size of a note for a tool, in bytes: Claude Code cuts at 10,000 characters.
const maxContext = 8000

// A Verdict is the answer to an edit.
type Verdict struct {
	Deny   bool
	Reason string   // why it is denied
	Note   string   // what the model should know if it is not
	Rules  []string // rules that the edit breaks or departs from
}

// Judge returns the verdict for findings. Its text states facts and gives no orders: it is context, not a prompt.
func Judge(r *check.Result, age string) Verdict {
	var deny, warn []string
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Exempt != nil {
			continue
		}
		line := fmt.Sprintf("- %s (rule/%s, %s, %s): %s", place(f), f.Rule, f.Severity, f.Enforcement, f.Message)
		if f.Title != f.Message {
			line += " The rule: " + f.Title + "."
		}
		if f.Fix != "" {
			line += " What helps: " + f.Fix
		}
		if f.Enforcement == "mandatory" {
			deny = append(deny, line)
		} else {
			warn = append(warn, line)
		}
	}
	for _, skip := range r.Skipped {
		warn = append(warn, "- "+skip.Path+" was not looked at as a whole: "+skip.Why)
	}
	v := Verdict{Deny: len(deny) > 0}
	_, v.Rules, _ = r.Outcomes()
	if len(deny) > 0 {
		v.Reason = clip("The edit breaks mandatory rules of this team, kept in Tenet:\n" + strings.Join(deny, "\n") +
			age)
	}
	if len(warn) > 0 {
		v.Note = clip("The edit departs from rules of this team, kept in Tenet:\n" + strings.Join(warn, "\n") + age)
	}
	return v
}

// Tell adds the rules that hold for the edited files, and how old they are. Not to a denied edit: the retry gets them.
func (v *Verdict) Tell(lines, paths []string, age string) {
	if v.Deny || len(lines) == 0 {
		return
	}
	if v.Note != "" {
		v.Note, age = v.Note+"\n\n", "" // it says so
	}
	v.Note = clip(v.Note + "These documents of the team, kept in Tenet, hold for " + strings.Join(paths, ", ") +
		":\n" + strings.Join(lines, "\n") +
		"\nThe command `tenet get KEY` and the tool get show one whole." + age)
}

// Hears reports whether a tool accepts a note.
func Hears(tool string) bool { return tool != "copilot" }

func place(f *check.Finding) string {
	if f.Line == 0 {
		return f.Path
	}
	return fmt.Sprintf("%s:%d", f.Path, f.Line)
}

func clip(s string) string {
	if len(s) <= maxContext {
		return s
	}
	return strings.ToValidUTF8(s[:maxContext], "") + "\n..."
}

// Answer encodes a verdict in a tool's format. An allowed edit without a note has no output: the tool then asks its
// user as usual.
func Answer(tool string, e *Event, v Verdict) []byte {
	var m any
	switch {
	case e.Other || !v.Deny && v.Note == "":
		return nil
	case tool == "copilot":
		if !v.Deny {
			return nil // see [Hears]
		}
		m = map[string]string{"permissionDecision": "deny", "permissionDecisionReason": v.Reason}
	case tool == "cursor":
		if v.Deny {
			m = map[string]string{"permission": "deny", "user_message": v.Reason, "agent_message": v.Reason}
		} else {
			m = map[string]string{"agent_message": v.Note} // "allow" would skip the question to its user
		}
	default: // Claude Code, and Codex, which accepts the same keys and no others
		out := map[string]string{"hookEventName": "PreToolUse"}
		if v.Deny {
			out["permissionDecision"], out["permissionDecisionReason"] = "deny", v.Reason
		} else {
			out["additionalContext"] = v.Note
		}
		m = map[string]any{"hookSpecificOutput": out}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil // texts can be encoded
	}
	return append(text, '\n')
}
