package observe

import (
	"io"
	"log/slog"
)

// Keys of log attributes. The same thing has the same key in every line.
const (
	KeyBatch     = "batch"      // a batch's id
	KeyBytes     = "bytes"      // the size of an answer
	KeyCaller    = "caller"     // the caller's id
	KeyEngine    = "engine"     // postgres or sqlite
	KeyError     = "error"      // an error, with its causes
	KeyKey       = "key"        // a document, as kind/id
	KeyMethod    = "method"     // of HTTP, or of a store
	KeyMode      = "mode"       // an instance's mode
	KeyPath      = "path"       // of a request
	KeyPeer      = "peer"       // the remote address
	KeyPlan      = "plan"       // of a slow statement
	KeyPrincipal = "principal"  // the id of a principal other than the caller
	KeyReason    = "reason"     // why something was refused
	KeyRequestID = "request_id" // of the request that a line belongs to
	KeyRoute     = "route"      // the pattern that a request matched
	KeySeq       = "seq"        // the number of a change
	KeySource    = "source"     // the source of an answer
	KeyStatement = "statement"  // the name of an SQL statement
	KeyStatus    = "status"     // of an HTTP answer
	KeyTook      = "took"       // a duration
	KeyVersion   = "version"    // of the program, or of a document
)

// Log formats.
const (
	FormatJSON = "json" // for programs; also used for unknown names
	FormatText = "text" // for people
)

// NewLogger returns a logger that writes lines at or above a level to w.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == FormatText {
		return slog.New(slog.NewTextHandler(w, o))
	}
	o.ReplaceAttr = inSeconds
	return slog.New(slog.NewJSONHandler(w, o))
}

// inSeconds writes durations in seconds, like the metrics. By default slog writes nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
