package main

import (
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// TestTheMonthsOfTheAuditAreMadeAndDroppedByJobs takes a month away and adds one of long ago, and runs the jobs.
func TestTheMonthsOfTheAuditAreMadeAndDroppedByJobs(t *testing.T) {
	url := pgtest.URL(t)
	p := serveProcess(t, filepath.Join(t.TempDir(), "data"), url)
	pgtest.Exec(t, url, `DO $$ BEGIN
  EXECUTE (SELECT format('DROP TABLE %I', max(part::text)) FROM tenet_audit_parts() WHERE month);
END $$;
ALTER TABLE audit DETACH PARTITION audit_first;
ALTER TABLE audit ATTACH PARTITION audit_first FOR VALUES FROM (MINVALUE) TO ('2024-01-01Z');
CREATE TABLE audit_2024_01 PARTITION OF audit FOR VALUES FROM ('2024-01-01Z') TO ('2024-02-01Z');
INSERT INTO audit (added_at, at, kind, actor, door, action, key, question, count, reason, request_id, peer)
VALUES ('2024-01-05Z', '2024-01-05Z', 'read', 'ann', '', 'get', 'rule/x', '', 1, '', '', '')`)
	if said := p.command(t, "audit", "--kind", "read"); !strings.Contains(said, "ann") {
		t.Fatalf("before the jobs the audit says:\n%s", said)
	}
	if said := p.command(t, "jobs", "run", "audit.months"); !strings.Contains(said, "2 months made") {
		t.Errorf("the job that makes months says %s", said)
	}
	if said := p.command(t, "jobs", "run", "retention.log"); !strings.Contains(said, "removed") {
		t.Errorf("the job that drops months says %s", said)
	}
	if got := pgtest.Value(t, url, "SELECT to_regclass('audit_2024_01') IS NULL"); got != "t" {
		t.Errorf("the old month is gone: %s", got)
	}
	if said := p.command(t, "audit"); strings.Contains(said, "ann") || !strings.Contains(said, "trim") {
		t.Errorf("after the jobs the audit says:\n%s", said)
	}
	if said := p.command(t, "doctor", "audit"); !strings.Contains(said, "verifies") {
		t.Errorf("after the jobs, doctor audit says:\n%s", said)
	}
}
