package hook

import (
	"encoding/json"
	"fmt"
	"strings"

	"tenet/internal/check"
)

// maxContext bounds what a tool is told, in bytes: Claude Code cuts at 10,000 characters.
const maxContext = 8000

// A Verdict is what is said of an edit.
type Verdict struct {
	Deny   bool
	Reason string   // why it is denied
	Note   string   // what the model should know where it is not
	Rules  []string // that the edit breaks or departs from
}

// Judge makes a verdict of what was found. The text says what is so, and does not command: it is context, not a prompt.
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
		v.Reason = clip("The edit breaks mandatory rules of this team, kept in Tenet:\n" + strings.Join(deny, "\n") + age)
	}
	if len(warn) > 0 {
		v.Note = clip("The edit departs from rules of this team, kept in Tenet:\n" + strings.Join(warn, "\n") + age)
	}
	return v
}

// Tell adds what holds where the edit is made. A denied edit comes again, and is told then.
func (v *Verdict) Tell(lines, paths []string) {
	if v.Deny || len(lines) == 0 {
		return
	}
	if v.Note != "" {
		v.Note += "\n\n"
	}
	v.Note = clip(v.Note + "These documents of the team, kept in Tenet, hold for " + strings.Join(paths, ", ") + ":\n" + strings.Join(lines, "\n") +
		"\nThe command `tenet get KEY` and the tool get show one whole.")
}

// Hears reports whether a tool has a place for a note.
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

// Answer writes a verdict in a tool's form. Nothing is said where there is nothing to say: an edit that is let through asks its user
// as it always does.
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
			m = map[string]string{"agent_message": v.Note} // "allow" would spare its user a question
		}
	default: // Claude Code, and Codex, which takes the same and no other keys
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
