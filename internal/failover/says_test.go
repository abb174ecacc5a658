package failover_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"tenet/internal/failover"
	"tenet/internal/knowledge"
)

// lines is a log handler that keeps what it is told.
type lines struct {
	mu   sync.Mutex
	list []slog.Record
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r.Clone())
	return nil
}

// warnings returns the warnings and errors so far, each as its text and its attributes.
func (l *lines) warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, r := range l.list {
		if r.Level < slog.LevelWarn {
			continue
		}
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		list = append(list, text)
	}
	return list
}

// TestTheLogSaysWhy lets a primary refuse, be halted, and be away at a start. Each time one warning names the error and
// its class, and many looks later there is still one.
func TestTheLogSaysWhy(t *testing.T) {
	log := &lines{}
	p := &faulty{Store: openEngine(t), system: "one"}
	s, _ := openInstance(t, t.TempDir(), p, patient, func(o *failover.Options) { o.Log = slog.New(log) })
	run(t, s)
	waitFor(t, "there is a mirror", func() bool {
		st, err := s.Status(t.Context())
		return err == nil && st.Mirror.Ready && st.Mode == knowledge.ModeNormal
	})
	for _, way := range []struct {
		fault       fault
		class, text string
	}{{refused, "class=unreachable", "connection refused"}, {halts, "class=halted", "relation does not exist"}} {
		before := len(log.warnings())
		p.set(way.fault)
		waitMode(t, s, knowledge.ModeDegraded)
		asked := p.asked.Load()
		waitFor(t, "the primary was asked many times", func() bool { return p.asked.Load() > asked+5 })
		var said []string
		for _, line := range log.warnings()[before:] {
			if strings.HasPrefix(line, "mode changed") {
				said = append(said, line)
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], way.class) || !strings.Contains(said[0], way.text) ||
			!strings.Contains(said[0], "to=degraded") {
			t.Errorf("the log said %q, want one change of mode with %q and %q", said, way.class, way.text)
		}
		if n := len(log.warnings()) - before; n > 2 { // a halt is an error of its own
			t.Errorf("%d warnings for one outage: %q", n, log.warnings()[before:])
		}
		p.set(healthy)
		waitMode(t, s, knowledge.ModeNormal)
	}
	last := log.warnings()
	if line := last[len(last)-1]; !strings.Contains(line, "to=normal") || strings.Contains(line, "error=") {
		t.Errorf("the end of the outage was told as %q, want no error", line)
	}
}

func TestAStartWithoutThePrimarySaysSoOnce(t *testing.T) {
	log := &lines{}
	engine := openEngine(t)
	p := &faulty{Store: engine, system: "one"}
	p.set(refused)
	s, _ := openInstance(t, t.TempDir(), p, func(o *failover.Options) { o.Log = slog.New(log) })
	run(t, s)
	waitFor(t, "the primary was asked many times", func() bool { return p.asked.Load() > 8 })
	if said := log.warnings(); len(said) != 1 || !strings.Contains(said[0], "connection refused") ||
		!strings.Contains(said[0], "mode=cold") {
		t.Errorf("the log said %q, want one line that names the error", said)
	}
}
