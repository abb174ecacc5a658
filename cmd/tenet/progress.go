package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress is a bar on long work, shown only while a person watches. The zero value shows nothing.
type progress struct{ bar *progressbar.ProgressBar }

// progress starts a bar. What there is to do may be told later, with more.
func (a *app) progress(what string, of int) *progress {
	if a.Quiet || !isTerminal(a.err) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(of,
		progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(30),
	)}
}

func (p *progress) more(n int) {
	if p.bar != nil {
		p.bar.ChangeMax(p.bar.GetMax() + n)
	}
}

func (p *progress) set(n int) {
	if p.bar != nil {
		_ = p.bar.Set(n) // a bar that can't be drawn is no reason to stop
	}
}

// about tells of the work within one large file.
func (p *progress) about(what string, done, of int) {
	if p.bar == nil {
		return
	}
	text := what
	if of > 1 {
		text = what + " " + itoa(int64(done)) + "/" + itoa(int64(of))
	}
	if r := []rune(cell(text)); len(r) > 40 {
		text = "…" + string(r[len(r)-39:])
	}
	p.bar.Describe(text)
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}

// isTerminal reports whether a person sits at a reader or writer.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
