package observe

import (
	"io"
	"log/slog"
)

// Keys of attributes. A thing has the same key in every line of the log.
const (
	KeyBatch     = "batch"      // a batch's id
	KeyBytes     = "bytes"      // the size of an answer
	KeyCaller    = "caller"     // the id of who is calling
	KeyEngine    = "engine"     // postgres or sqlite
	KeyError     = "error"      // an error, with its causes
	KeyKey       = "key"        // a document, as kind/id
	KeyMethod    = "method"     // of HTTP, or of a store
	KeyMode      = "mode"       // how a tenet stands to its primary
	KeyPath      = "path"       // of a request
	KeyPeer      = "peer"       // the address of who is calling
	KeyPlan      = "plan"       // of a slow statement
	KeyPrincipal = "principal"  // the id of a principal that is spoken of
	KeyReason    = "reason"     // why something was refused
	KeyRequestID = "request_id" // of the request that a line belongs to
	KeyRoute     = "route"      // the pattern that a request matched
	KeySeq       = "seq"        // a change's place in the log of changes
	KeySource    = "source"     // where an answer came from
	KeyStatement = "statement"  // the name of an SQL statement
	KeyStatus    = "status"     // of an HTTP answer
	KeyTook      = "took"       // how long something lasted
	KeyVersion   = "version"    // of the program, or of a document
)

// Formats of a log.
const (
	FormatJSON = "json" // for programs; also what any other name stands for
	FormatText = "text" // for people
)

// NewLogger returns a logger that writes lines of a level and above to w, in one of the formats.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == FormatText {
		return slog.New(slog.NewTextHandler(w, o))
	}
	o.ReplaceAttr = inSeconds
	return slog.New(slog.NewJSONHandler(w, o))
}

// inSeconds writes how long something lasted as measures do. Left alone it would be a number of nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
