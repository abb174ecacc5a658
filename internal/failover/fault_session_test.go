package failover_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"tenet/internal/pgtest"
	"tenet/internal/postgres"
)

// TestFaultsByOtherSessions does what other users of a server do to it, and what administrators do.
func TestFaultsByOtherSessions(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{Settings: map[string]string{
		"max_connections":  "40",
		"deadlock_timeout": "50ms",
	}})
	var end func() // of what was injected last
	heal := func(*cluster) { end() }
	runAll(t, func() *site { return newSite(t, server) }, []trouble{
		{name: "too many connections", inject: func(*cluster) { end = server.Crowd() }, heal: heal},
		{
			name: "connections terminated again and again", soak: true,
			inject: func(c *cluster) {
				end = c.repeat("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = " +
					"'tenet'")
			},
			heal: heal,
		},
		{
			name: "read and write wait for a lock", inject: func(c *cluster) { end = c.lock("ACCESS EXCLUSIVE") },
			heal: heal,
		},
		{
			name: "writes wait for a lock", soak: true, inject: func(c *cluster) { end = c.lock("SHARE") },
			heal: heal,
		},
		{
			name: "statements take too long", soak: true,
			site: func(t *testing.T) *site {
				t.Helper()
				s := newSite(t, server)
				s.database = func(o *postgres.Options) { o.StatementTimeout = 300 * time.Millisecond }
				return s
			},
			inject: func(c *cluster) {
				pgtest.Exec(c.t, c.site.url, `CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					PERFORM pg_sleep(5); RETURN NEW; END $$;
					CREATE TRIGGER a_dawdle AFTER INSERT OR UPDATE ON rules FOR EACH ROW EXECUTE FUNCTION dawdle()`)
			},
			heal: func(c *cluster) { pgtest.Exec(c.t, c.site.url, "DROP TRIGGER a_dawdle ON rules") },
		},
		{
			name: "deadlocks", unfelt: true, soak: true,
			inject: func(c *cluster) { end = c.deadlock() },
			heal: func(c *cluster) {
				pgtest.Await(c.t, "a deadlock", func() bool {
					return pgtest.Value(c.t, c.site.url,
						"SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") != "0"
				})
				end()
			},
		},
		{
			name: "read-only", inject: func(c *cluster) { readOnly(c.t, c.site.url, "on") },
			heal: func(c *cluster) { readOnly(c.t, c.site.url, "off") },
		},
		{
			name: "a table is missing", refuses: true, soak: true,
			inject: func(c *cluster) { pgtest.Exec(c.t, c.site.url, "ALTER TABLE rules RENAME TO elsewhere") },
			heal:   func(c *cluster) { pgtest.Exec(c.t, c.site.url, "ALTER TABLE elsewhere RENAME TO rules") },
		},
	})
	runAll(t, func() *site { return limited(t, server) }, []trouble{
		{
			name: "rights revoked", refuses: true, soak: true,
			inject: func(c *cluster) {
				pgtest.Exec(c.t, c.site.url, "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM limited")
			},
			heal: func(c *cluster) { pgtest.Exec(c.t, c.site.url, grants) },
		},
		{
			name: "writing revoked", refuses: true,
			inject: func(c *cluster) {
				pgtest.Exec(c.t, c.site.url, "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM "+
					"limited")
			},
			heal: func(c *cluster) { pgtest.Exec(c.t, c.site.url, grants) },
		},
		{
			name: "login refused", refuses: true, soak: true,
			inject: func(c *cluster) {
				pgtest.Exec(c.t, c.site.url, "ALTER ROLE limited NOLOGIN")
				pgtest.Exec(c.t, c.site.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename "+
					"= 'limited'")
			},
			heal: func(c *cluster) { pgtest.Exec(c.t, c.site.url, "ALTER ROLE limited LOGIN") },
		},
	})
}

const grants = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited"

// limited returns a site whose instances have no more rights than they need.
func limited(t *testing.T, server *pgtest.Server) *site {
	t.Helper()
	s := newSite(t, server)
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("limited")
	s.address = u.String()
	pgtest.Exec(t, s.url, `DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'limited') THEN CREATE `+
		`ROLE limited LOGIN; END IF; END $$`)
	pgtest.Exec(t, s.url, grants)
	// Which cluster it is tells pg_control_system, which monitors may ask.
	pgtest.Exec(t, s.url, "GRANT pg_monitor TO limited")
	return s
}

// readOnly makes new transactions of the server read-only, as on a standby or a primary that was fenced off.
func readOnly(t *testing.T, url, state string) {
	t.Helper()
	// The session that says so must be able to take it back.
	pgtest.Exec(t, url, "SET default_transaction_read_only = off")
	pgtest.Exec(t, url, "ALTER SYSTEM SET default_transaction_read_only = "+state)
	pgtest.Exec(t, url, "SELECT pg_reload_conf()")
}

// lock holds a lock on the rules until the returned function is called.
func (c *cluster) lock(mode string) (release func()) {
	c.t.Helper()
	conn := pgtest.Connect(c.t, c.site.url)
	for _, sql := range []string{"BEGIN", "LOCK TABLE rules IN " + mode + " MODE"} {
		if _, err := conn.Exec(c.t.Context(), sql); err != nil {
			c.t.Fatalf("%s: %v", sql, err)
		}
	}
	return func() { conn.Close(c.t.Context()) }
}

// repeat runs a statement again and again until the returned function is called.
func (c *cluster) repeat(statements ...string) (stop func()) {
	c.t.Helper()
	conn := pgtest.Connect(c.t, c.site.url)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, sql := range statements {
				conn.Exec(c.t.Context(), sql) // a deadlock may choose this session
			}
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	})
	return func() { close(ended); wg.Wait() }
}

// deadlock takes the locks of a batch of two documents in the other order.
func (c *cluster) deadlock() (stop func()) {
	c.t.Helper()
	statements := []string{}
	for client := range clients {
		statements = append(statements, "BEGIN")
		for _, doc := range []string{"b", "a"} {
			statements = append(statements, fmt.Sprintf(
				"SELECT pg_sleep(0.02) FROM rules WHERE rule_id = 'I0-C%d-%s' FOR UPDATE", client, doc))
		}
		statements = append(statements, "ROLLBACK")
	}
	return c.repeat(statements...)
}
