package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenet/internal/pgtest"
)

// TestASetupForAnAccountThatCannotReadItIsRefused sets backups up as root, whose data directory is closed to the
// account of PostgreSQL: its archive_command could not read the configuration there.
func TestASetupForAnAccountThatCannotReadItIsRefused(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	h := newHost(t)
	elsewhere := h.value("TENET_BACKUP_CONFIG")
	h.set("TENET_BACKUP_CONFIG", "")
	h.run("tenet migrate up; mkdir -p -m 700 \"$TENET_DATA_DIR\"")
	if os.Geteuid() == 0 { // every other account is that of PostgreSQL itself
		h.want(`tenet backup setup --backup-dir "$BACKUPS" --backup-key-file "$KEY" --write 2>&1 || echo "ends with $?"`,
			h.dir+" is closed to the account of PostgreSQL", "--backup-config, as in /etc/tenet/pgbackrest.conf",
			"ends with 1")
		if exists(filepath.Join(h.dir, "pgbackrest.conf")) || exists(filepath.Join(h.dir, "tenet.yaml")) {
			t.Error("a setup that was refused has written its files")
		}
	}
	h.want(`tenet backup setup --backup-dir "$BACKUPS" --backup-key-file "$KEY" --backup-config "`+elsewhere+
		`" --write`, "pgBackRest's configuration is written")
	h.want(`cat "$TENET_DATA_DIR/tenet.yaml"`, "backup_config: ")
}

// TestASetupFindsTheRoleThatTheSocketLetsIn sets backups up with the roles of deploy/postgres, and a PostgreSQL that
// lets the program's role in over the network alone, as with the settings of Debian. pgBackRest connects over the
// socket.
func TestASetupFindsTheRoleThatTheSocketLetsIn(t *testing.T) {
	t.Parallel() // it waits for other programs most of the time
	h := newHost(t)
	roles, err := os.ReadFile(filepath.Join("..", "..", "deploy", "postgres", "roles.sql"))
	if err != nil {
		t.Fatal(err)
	}
	super := h.value("TENET_DATABASE_URL")
	pgtest.Exec(t, super, string(roles))
	h.run(`TENET_DATABASE_URL="` + strings.Replace(super, "postgres@", "tenet_owner@", 1) + `" tenet migrate up --grants
sed -i '1i local all tenet_app reject' "$PGDATA/pg_hba.conf"`)
	h.pg.Restart()
	h.set("TENET_DATABASE_URL", strings.Replace(super, "postgres@", "tenet_app@", 1))
	setup := `tenet backup setup --backup-dir "$BACKUPS" --backup-key-file "$KEY" --write 2>&1`
	h.want(setup, "PostgreSQL's settings are changed", "restart PostgreSQL now")
	h.pg.Restart()
	h.run("tenet backup run")
	h.want("tenet backup drill", "is proven: back in")

	// A restored cluster is told not to archive, where it overrides postgresql.conf.
	h.archived()
	h.pg.Stop(pgtest.Fast)
	h.run(`rm -rf "$PGDATA"; tenet backup restore --into "$PGDATA"
sed -i '1i local all tenet_app reject' "$PGDATA/pg_hba.conf"`)
	h.pg.Start()
	h.want(setup, "restart PostgreSQL now")
	h.pg.Restart()
	h.run("tenet backup run")

	pgtest.Exec(t, super, "ALTER SYSTEM RESET ALL")
	h.run(`sed -i -e '1i local all postgres reject' -e '/tenet_app reject/d' "$PGDATA/pg_hba.conf"`)
	h.pg.Restart()
	h.want(setup+" || true", "ALTER SYSTEM SET archive_mode = on;", "execute the statements as a superuser")
	h.run(`sed -i '1i local all all reject' "$PGDATA/pg_hba.conf"`)
	h.pg.Restart()
	h.want(setup+" || true", "pg_hba.conf lets its account in neither as tenet_app nor as postgres")
}
