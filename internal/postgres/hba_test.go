package postgres_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tenet/internal/needs"
	"tenet/internal/pgtest"
)

// deployed reads a file of deploy/postgres with its networks moved to the loopback interface: 10.0.1.7 becomes
// 127.0.1.7.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy/postgres", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "10.0.", "127.0.")
}

// A visitor tries to come into a server: from where, how, as whom.
type visitor struct {
	role, database, from, password string
	cert                           string // the role that its certificate names; "" for none
	plain                          bool   // without TLS
	old                            bool   // with TLS 1.2
	other                          bool   // with a certificate of another authority
}

// TestTheRulesOfThePostgresRecipeLetInWhomTheyShould starts a server with roles.sql, with pg_hba.conf, and with the
// settings of tenet.conf that are about who gets in, and comes as those who should be let in, and as those who should
// not.
func TestTheRulesOfThePostgresRecipeLetInWhomTheyShould(t *testing.T) {
	a, stranger := pgtest.NewAuthority(t), pgtest.NewAuthority(t)
	a.Server()
	settings := recipe(t)
	s := pgtest.Start(t, pgtest.Options{Settings: map[string]string{
		"password_encryption":      settings["password_encryption"],
		"ssl_min_protocol_version": settings["ssl_min_protocol_version"],
	}})
	s.Exec("CREATE DATABASE tenet")
	roles, err := os.ReadFile("../../deploy/postgres/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, s.URL("tenet"), string(roles))
	for _, role := range []string{
		"tenet_app", "tenet_owner", "tenet_reader", "tenet_backup", "tenet_replication",
		"postgres",
	} {
		s.Exec("ALTER ROLE " + role + " PASSWORD 'right'")
	}
	pgtest.UseTLS(s, a)
	pgtest.UseRules(s, deployed(t, "pg_hba.conf"))

	const tenets, hosts, people, elsewhere = "127.0.1.9", "127.0.0.9", "127.0.2.9", "127.0.3.9"
	for name, v := range map[string]visitor{
		"the program":    {role: "tenet_app", from: tenets, password: "right", cert: "tenet_app"},
		"who migrates":   {role: "tenet_owner", from: tenets, password: "right", cert: "tenet_owner"},
		"who only looks": {role: "tenet_reader", from: people, password: "right"},
		"backups":        {role: "tenet_backup", from: hosts, password: "right", cert: "tenet_backup"},
		"backups, cluster": {
			role: "tenet_backup", database: "postgres", from: hosts, password: "right",
			cert: "tenet_backup",
		},
		"a standby": {
			role: "tenet_replication", database: "replication", from: hosts,
			cert: "tenet_replication",
		},
	} {
		if err := v.come(t, s, a, stranger); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
	for name, v := range map[string]visitor{
		"without TLS": {role: "tenet_app", from: tenets, password: "right", plain: true},
		"with TLS 1.2": {
			role: "tenet_app", from: tenets, password: "right",
			cert: "tenet_app", old: true,
		},
		"with a wrong password": {
			role: "tenet_app", from: tenets, password: "wrong",
			cert: "tenet_app",
		},
		"with a password and no certificate": {role: "tenet_app", from: tenets, password: "right"},
		"with the certificate of another role": {
			role: "tenet_owner", from: tenets, password: "right",
			cert: "tenet_app",
		},
		"with a certificate of another authority": {
			role: "tenet_app", from: tenets, password: "right",
			cert: "tenet_app", other: true,
		},
		"as the program from another network": {
			role: "tenet_app", from: elsewhere, password: "right",
			cert: "tenet_app",
		},
		"as the program from where people are": {
			role: "tenet_app", from: people, password: "right",
			cert: "tenet_app",
		},
		"as the program into another database": {
			role: "tenet_app", database: "postgres", from: tenets,
			password: "right", cert: "tenet_app",
		},
		"as a superuser over the network": {
			role: "postgres", from: hosts, password: "right",
			cert: "postgres",
		},
		"as a standby from a host of tenets": {
			role: "tenet_replication", database: "replication",
			from: tenets, cert: "tenet_replication",
		},
		"as a standby with a password alone": {
			role: "tenet_replication", database: "replication", from: hosts,
			password: "right",
		},
		"as a standby into the database of tenets": {
			role: "tenet_replication", from: hosts,
			cert: "tenet_replication",
		},
		"as the program for replication": {
			role: "tenet_app", database: "replication", from: hosts,
			password: "right", cert: "tenet_app",
		},
		"as a reader from where the tenets are": {role: "tenet_reader", from: tenets, password: "right"},
		"as backups from outside the hosts' network": {
			role: "tenet_backup", from: "127.0.0.77", password: "right",
			cert: "tenet_backup",
		},
	} {
		if v.come(t, s, a, stranger) == nil {
			t.Errorf("%s one is let in", name)
		}
	}
}

// come connects once as the visitor, and for replication asks as a standby does.
func (v *visitor) come(t *testing.T, s *pgtest.Server, a, stranger *pgtest.Authority) error {
	t.Helper()
	var with *pgtest.Authority
	if v.cert != "" {
		if with = a; v.other {
			with = stranger
		}
		with.Client(v.cert, time.Now().Add(time.Hour))
	}
	query := a.Query(with)
	if v.plain {
		query = url.Values{"sslmode": {"disable"}}
	}
	database := v.database
	if database == "" {
		database = "tenet"
	}
	if database == "replication" {
		database = ""
		query.Set("replication", "true")
		query.Set("default_query_exec_mode", "simple_protocol")
	}
	cfg, err := pgx.ParseConfig(pgtest.URLWith(s, v.role, database, query))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Password = v.password
	if v.old {
		cfg.TLSConfig.MaxVersion = tls.VersionTLS12
	}
	cfg.DialFunc = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(v.from)}}).DialContext
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	ask := "SELECT 1"
	if query.Has("replication") {
		ask = "IDENTIFY_SYSTEM"
	}
	_, err = conn.Exec(ctx, ask)
	return err
}

// TestTheFirewallOfThePostgresRecipeLetsInItsNetworksOnly loads it where a server of the test is, for the networks and
// the port of the test.
func TestTheFirewallOfThePostgresRecipeLetsInItsNetworksOnly(t *testing.T) {
	needs.Program(t, "nft", "Debian: apt-get install nftables")
	network := pgtest.NewNetwork(t)
	s := pgtest.Start(t, pgtest.Options{Network: network})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../deploy/postgres/firewall.nft")
	if err != nil {
		t.Fatal(err)
	}
	load := func(network2 string) {
		t.Helper()
		rules := strings.NewReplacer("dport 5432", "dport "+port, "10.0.1.0/24", network2).Replace(string(text))
		for range 2 { // again it changes nothing
			if out, err := network.Run(t, rules, "nft", "-f", "-"); err != nil {
				t.Fatalf("load the firewall: %v: %s", err, out)
			}
		}
	}
	load("10.0.1.0/24")
	if c, err := net.DialTimeout("tcp", s.Addr(), 10*time.Second); err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from a network that is not named: %v, %v, want to be refused at once", c, err)
	}
	load("198.18.0.0/15")
	if got := pgtest.Value(t, s.URL("postgres"), "SELECT 1"); got != "1" {
		t.Errorf("from a network that is named: %q", got)
	}
}
