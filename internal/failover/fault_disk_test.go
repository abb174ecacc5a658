package failover_test

import (
	"path/filepath"
	"testing"
	"time"

	"tenet/internal/pgtest"
)

// TestFaultsOfDisks fills up the disks of the server and of an instance.
func TestFaultsOfDisks(t *testing.T) {
	t.Parallel()
	var free func()
	var server *pgtest.Server
	var disk string
	runAll(t, nil, []trouble{
		{
			name: "the disk of the tables is full",
			site: func(t *testing.T) *site {
				t.Helper()
				disk = pgtest.SmallDisk(t, 64<<20)
				server = pgtest.Start(t, pgtest.Options{})
				server.Tablespace("small", disk)
				s := newSite(t, server)
				s.large = true
				pgtest.Exec(t, server.URL("postgres"), "ALTER DATABASE "+s.name+" SET TABLESPACE small")
				return s
			},
			inject: func(c *cluster) { free = pgtest.Fill(c.t, disk) },
			heal:   func(*cluster) { free() },
		},
		{
			name: "the disk of the log is full, which ends the server", soak: true,
			site: func(t *testing.T) *site {
				t.Helper()
				disk = pgtest.SmallDisk(t, 64<<20)
				server = pgtest.Start(t, pgtest.Options{WALDir: filepath.Join(disk, "wal")})
				s := newSite(t, server)
				s.large = true
				return s
			},
			inject: func(c *cluster) {
				free = pgtest.Fill(c.t, disk)
				pgtest.FillLog(c.t, server.URL("postgres"))
				server.WaitStopped()
			},
			heal: func(c *cluster) {
				free()
				pgtest.Grow(c.t, disk, 256<<20)
				server.Start()
			},
		},
		{
			name: "the disk of a journal is full in an outage", refuses: true,
			site: func(t *testing.T) *site {
				t.Helper()
				disk = pgtest.SmallDisk(t, 48<<20)
				server = pgtest.Start(t, pgtest.Options{})
				s := newSite(t, server)
				s.large = true
				s.journal = disk
				return s
			},
			inject: func(c *cluster) {
				server.Kill()
				c.until("writes to wait in the journals", time.Now(), 30, wasQueued)
				free = pgtest.Fill(c.t, disk)
			},
			heal: func(*cluster) {
				free()
				server.Start()
			},
		},
	})
}
