package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tenet/internal/client"
	"tenet/internal/knowledge"
)

type watchSettings struct {
	Kind     []string `name:"kind" by:"flag" doc:"Only documents of this kind; may stand several times"`
	Category []string `name:"category" by:"flag" doc:"Only documents of this category; may stand several times"`
	Key      []string `name:"key" by:"flag" doc:"Only this document, as in rule/SEC-001; may stand several times"`
	After    string   `name:"after" by:"flag" doc:"Begin after this change or position, as in 42 or 42-9f86d081884c7d65; 0 for the start of the log (default: only what comes from now on)"`
	Count    int      `name:"count" least:"1" short:"n" by:"flag" doc:"Stop after so many changes"`
}

func addWatch(a *app) {
	var s watchSettings
	a.command(a.root, &cobra.Command{
		Use:   "watch",
		Short: "Follow changes as they happen",
		Long: `Follows the changes of a running tenet as they happen, until it is interrupted. When the connection is
lost it is opened again, and goes on where it ended: nothing is missed, and nothing is shown twice.

With --output json every line is one message: a change, or a change in how the server stands to its database.`,
		Example: `  tenet watch --kind rule --category security
  tenet watch --after 0 --output json`,
	}, &s, func(ctx context.Context, _ []string) error {
		w, err := s.watch()
		if err != nil {
			return err
		}
		d, err := a.openToLook(ctx)
		if err != nil {
			return err
		}
		defer a.close(d)
		if d.remote == nil {
			return usageError("no server is running on %s, and while this command looks nobody else can write: start "+
				"one with "+
				"`tenet serve`, or name one with --url", a.DataDir)
		}
		return watch(ctx, a, d.remote, w, s.Count)
	})
}

// watch returns what the settings ask for.
func (s *watchSettings) watch() (client.Watch, error) {
	w := client.Watch{Categories: s.Category, Tail: s.After == ""}
	if s.After != "" {
		after, err := knowledge.ParseMark(s.After)
		if err != nil {
			return w, usageError("--after %s", err)
		}
		w.After = after
	}
	if s.Count < 0 {
		return w, usageError("--count %d: want a number from 1", s.Count)
	}
	for _, name := range s.Kind {
		kind, err := parseKind(name)
		if err != nil {
			return w, usageError("--kind: %s", err)
		}
		w.Kinds = append(w.Kinds, kind)
	}
	for _, name := range s.Key {
		key, err := parseKey(name)
		if err != nil {
			return w, err
		}
		w.Keys = append(w.Keys, key)
	}
	return w, nil
}

// errSeenAll ends a watch that has shown as many changes as were asked for.
var errSeenAll = errors.New("all changes were shown")

func watch(ctx context.Context, a *app, c *client.Store, w client.Watch, count int) error {
	w.NoDocuments = a.Output == "table"
	seen, connected := 0, false
	err := c.Watch(ctx, w, func(m client.LiveMessage) error {
		switch m.Type {
		case client.LiveLost:
			if !connected {
				return m.Err // a wrong address should not look like a quiet tenet
			}
			a.say("%s; trying again", cell(m.Why))
			return nil
		case client.LiveHello:
			if connected {
				a.say("connected again, after change %d", m.Seq)
			}
			connected = true
			return nil
		case client.LivePing:
			return nil
		}
		if err := printLive(a, &m); err != nil {
			return err
		}
		if m.Type == client.LiveChange && !m.Provisional {
			seen++
		}
		if count > 0 && seen == count {
			return errSeenAll
		}
		return nil
	})
	if errors.Is(err, errSeenAll) || ctx.Err() != nil {
		return nil //nolint:nilerr // to be interrupted is how a watch ends
	}
	return err
}

// printLive prints one message: a line of JSON, a YAML document, or a line for a person.
func printLive(a *app, m *client.LiveMessage) error {
	switch a.Output {
	case "json":
		_, err := fmt.Fprintf(a.out, "%s\n", m.Raw)
		return err
	case "yaml":
		if _, err := fmt.Fprintln(a.out, "---"); err != nil {
			return err
		}
		return printYAML(a.out, m.Raw)
	}
	switch m.Type {
	case client.LiveChange:
		return printLiveChange(a, m)
	case client.LiveMode:
		if m.From != "" { // the moves of the breaker are for programs
			a.say("mode %s: %s", cell(string(m.Mode)), cell(m.Why))
		}
	case client.LiveParked:
		a.say("%s was not changed by batch %s, which waits for a person: %s", cell(m.Key.String()), m.Batch,
			cell(m.Why))
	}
	return nil
}

func printLiveChange(a *app, m *client.LiveMessage) error {
	seq := itoa(int64(m.Seq))
	if m.Provisional {
		seq = "waiting"
	}
	c := m.Change
	_, err := fmt.Fprintf(a.out, "%7s  %s  %-7s  %-40s  v%-4d  %s\n", seq, moment(c.At), cell(string(c.Verb)),
		cell(c.Key.String()), c.Version,
		cell(c.Actor))
	return err
}
