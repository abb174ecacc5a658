package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

// ask returns what a server answers to a GET with its admin's token.
func (s *site) ask(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token(t))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestATenetTellsWhetherASynchronousStandbyIsPresent gives a PostgreSQL a standby, makes it synchronous, and stops it.
func TestATenetTellsWhetherASynchronousStandbyIsPresent(t *testing.T) {
	t.Parallel() // it waits for most of its time
	primary := pgtest.Start(t, pgtest.Options{})
	s := newSite(t, primary.URL("postgres"))
	says := func(status, ready, metric string) {
		t.Helper()
		// The metrics are asked until they say so, since a command costs a process.
		if err := eventually(func() bool {
			return strings.Contains(s.ask(t, "/metrics"), "\n"+metric+"\n")
		}); err != nil {
			t.Errorf("the metrics lack %q", metric)
		}
		if got := s.ask(t, "/readyz"); !strings.Contains(got, ready) {
			t.Errorf("readiness says %s, want %s", got, ready)
		}
		if got := s.command(t, "status", "--all"); !strings.Contains(got, status) {
			t.Errorf("the status does not say %q:\n%s", status, got)
		}
	}
	says("outage standbys         none", `{"ready":true}`, "tenet_standbys 0")
	standby := primary.Standby(pgtest.Options{})
	says("none of them synchronous", `{"ready":true}`, "tenet_standbys 1")
	primary.Synchronous()
	says("synchronous standby present;", `{"ready":true}`, "tenet_synchronous_standbys 1")
	standby.Kill()
	says("no synchronous standby present", `"notes":["no synchronous standby is present`,
		"tenet_synchronous_standbys 0")
	standby.Start()
	says("synchronous standby present;", `{"ready":true}`, "tenet_synchronous_standbys 1")
}

// TestAMirrorIsBuiltFromAStandby starts tenets beside a filled one, each without a mirror and with the address of a
// standby: one that runs, and one that has stopped.
func TestAMirrorIsBuiltFromAStandby(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	primary := pgtest.Start(t, pgtest.Options{})
	first := newSite(t, primary.URL("postgres"))
	first.put(t, "written-before-the-standby")
	standby := primary.Standby(pgtest.Options{})
	first.put(t, "written-after-it")
	builds := func(from ...string) {
		t.Helper()
		p := serveProcess(t, t.TempDir(), primary.URL("postgres"), "--database-replica-url", standby.URL("postgres"))
		if err := eventually(func() bool { return strings.Contains(p.log.text(), "mirror is complete") }); err != nil {
			t.Fatalf("there is no mirror:\n%s", p.log.text())
		}
		for _, want := range from {
			if !strings.Contains(p.log.text(), want) {
				t.Errorf("the log lacks %q:\n%s", want, p.log.text())
			}
		}
		primary.Stop(pgtest.Immediate)
		defer primary.Start()
		for _, id := range []string{"written-before-the-standby", "written-after-it"} {
			if _, err := p.client(t).Get(t.Context(), knowledge.Key{Kind: knowledge.KindCategory, ID: id}); err != nil {
				t.Errorf("%s, of the mirror: %v", id, err)
			}
		}
	}
	builds(`"from":"replica"`)
	standby.Kill()
	builds(`"from":"primary"`, "mirror can't be built from the replica")
}

// TestATenetTellsHowOldItsReplicaIs pauses the replay of a standby, and stops the standby.
func TestATenetTellsHowOldItsReplicaIs(t *testing.T) {
	t.Parallel() // it waits for most of its time
	primary := pgtest.Start(t, pgtest.Options{})
	s := newSite(t, primary.URL("postgres"))
	standby := primary.Standby(pgtest.Options{})
	p := serveProcess(t, t.TempDir(), primary.URL("postgres"), "--database-replica-url", standby.URL("postgres"))
	says := func(what, status string) {
		t.Helper()
		if err := eventually(func() bool { return strings.Contains(p.command(t, "status", "--all"), status) }); err != nil {
			t.Errorf("%s the status does not say %q:\n%s", what, status, p.command(t, "status", "--all"))
		}
	}
	says("with a standby", " s old")
	// An old heartbeat that the standby has, and the new one not: the tenets write that within seconds.
	if err := eventually(func() bool {
		standby.Exec("SELECT pg_wal_replay_resume()")
		primary.Exec("UPDATE heartbeat SET at = at - interval '1 hour'")
		primary.CatchUp(standby)
		standby.Exec("SELECT pg_wal_replay_pause()")
		return pgtest.Value(t, standby.URL("postgres"),
			"SELECT at < now() - interval '30 minutes' FROM heartbeat") == "t"
	}); err != nil {
		t.Fatal(err)
	}
	says("while the standby does not replay", "heartbeat 36")
	says("while the standby does not replay", "KiB behind at most")
	standby.Kill()
	says("when the standby is gone", "it can't be asked")
	standby.Start()
	if err := eventually(func() bool {
		return !strings.Contains(p.command(t, "status", "--all"), "it can't be asked")
	}); err != nil {
		t.Errorf("when it is back the status says:\n%s", p.command(t, "status", "--all"))
	}
	if got := s.ask(t, "/metrics"); !strings.Contains(got, "\ntenet_replica_heartbeat_age_seconds -1\n") {
		t.Error("a tenet without a replica knows its heartbeat")
	}
}
