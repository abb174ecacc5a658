package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tenet/internal/access"
	"tenet/internal/failover"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
)

// outage returns how a server says that it stands to its PostgreSQL.
func (p *process) outage(t *testing.T) failover.Status {
	t.Helper()
	var s struct {
		Details struct {
			Outage failover.Status `json:"outage"`
		} `json:"details"`
	}
	if err := json.Unmarshal([]byte(p.command(t, "status", "--output", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return s.Details.Outage
}

// TestAClientCertificateThatHasEndedIsReplacedWithoutARestart lets the certificate end with which a server connects to
// PostgreSQL. The server says so, answers reads and refuses writes; a new one in its place is all it needs.
func TestAClientCertificateThatHasEndedIsReplacedWithoutARestart(t *testing.T) {
	pg, a := pgtest.Start(t, pgtest.Options{}), pgtest.NewAuthority(t)
	a.Server()
	a.Client("postgres", time.Now().Add(time.Hour))
	pgtest.UseTLS(pg, a)
	pgtest.UseRules(pg, "hostssl all all all cert\n")
	t.Setenv("TENET_BREAKER_RECOVERY", "500ms")
	s := newSite(t, pgtest.URLWith(pg, "postgres", "postgres", a.Query(a)))
	is := func(mode knowledge.Mode) {
		t.Helper()
		// Also the mirror must be there: an outage before that leaves nothing to answer from.
		if err := eventually(func() bool { o := s.outage(t); return o.Mode == mode && o.Mirror.Ready }); err != nil {
			t.Fatalf("not in mode %s with a mirror, but: %+v", mode, s.outage(t))
		}
	}
	is(knowledge.ModeNormal)
	s.put(t, "before")

	a.Client("postgres", time.Now().Add(-time.Minute))
	pgtest.Exec(t, pg.SocketURL("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "+
		"application_name = 'tenet'")
	is(knowledge.ModeDegraded)
	if err := eventually(func() bool {
		o := s.outage(t)
		return strings.Contains(o.Why, "client certificate") && strings.Contains(o.Halt, "client certificate")
	}); err != nil {
		t.Errorf("the status does not name the certificate: %+v", s.outage(t))
	}
	if _, err := s.client(t).Get(t.Context(), knowledge.Key{Kind: knowledge.KindCategory, ID: "before"}); err != nil {
		t.Errorf("a read meanwhile: %v", err)
	}
	c := &knowledge.Category{ID: "meanwhile", Name: "meanwhile"}
	c.Normalize()
	b := knowledge.Batch{
		ID: knowledge.NewBatchID(), Actor: access.SystemID,
		Ops: []knowledge.Op{knowledge.Put(c, knowledge.NoVersion)},
	}
	if _, err := s.client(t).Apply(t.Context(), b); err == nil || !strings.Contains(err.Error(), "certificates") {
		t.Errorf("a write meanwhile: %v, want a refusal that names certificates", err)
	}

	a.Client("postgres", time.Now().Add(time.Hour))
	is(knowledge.ModeNormal)
	s.put(t, "after")
}
