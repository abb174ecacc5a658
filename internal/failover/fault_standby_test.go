package failover_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"tenet/internal/pgtest"
)

// A pair is a primary and its standby, with a name for either that can be given to the other.
type pair struct {
	old, standby *pgtest.Server
	names        [2]*pgtest.Proxy // one for the first instance, one for the others
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{old: pgtest.Start(t, pgtest.Options{})}
	p.standby = p.old.Standby(pgtest.Options{})
	for i := range p.names {
		p.names[i] = pgtest.NewProxy(t, p.old.Addr(), "nothing")
	}
	return p
}

// site returns a database on the pair, which is reached by name.
func (p *pair) site(t *testing.T) *site {
	t.Helper()
	s := newSite(t, p.old)
	s.first, s.address = p.names[0].Through(s.url), p.names[1].Through(s.url)
	return s
}

// look makes the test look at the server that was promoted.
func (p *pair) look(c *cluster) {
	c.t.Helper()
	c.site.url = strings.Replace(c.site.url, p.old.Addr(), p.standby.Addr(), 1)
	c.look = openPrimary(c.t, c.site.url)
}

// TestFailoverOfPostgreSQL promotes standbys, and puts older data in the place of newer.
func TestFailoverOfPostgreSQL(t *testing.T) {
	t.Parallel()
	var p *pair
	runAll(t, nil, []trouble{
		{
			name: "a standby that lacks the last commits is promoted",
			site: func(t *testing.T) *site { p = newPair(t); s := p.site(t); s.forgets = true; return s },
			inject: func(c *cluster) {
				p.standby.Detach()
				c.until("something to be written that the standby lacks", time.Now(), 40, wasDirect)
				p.old.Kill()
				p.standby.Promote()
				p.names[0].Turn(p.standby.Addr())
				p.names[1].Turn(p.standby.Addr())
				p.look(c)
			},
		},
		{
			// Both take writes, the instances move one after the other, and what was written at the old one is lost to
			// the new.
			name: "a standby is promoted while the old primary lives", soak: true,
			site: func(t *testing.T) *site { p = newPair(t); s := p.site(t); s.forgets = true; return s },
			inject: func(c *cluster) {
				p.old.CatchUp(p.standby)
				p.standby.Detach()
				p.standby.Promote()
				p.names[0].Turn(p.standby.Addr())
				c.until("both to be written to", time.Now(), 40, wasDirect)
				p.names[1].Turn(p.standby.Addr())
				p.look(c)
			},
		},
		{
			name: "an older backup is restored", soak: true,
			site: func(t *testing.T) *site {
				p = &pair{old: pgtest.Start(t, pgtest.Options{})}
				s := newSite(t, p.old)
				s.forgets = true
				return s
			},
			inject: func(c *cluster) {
				p.old.Backup()
				c.until("something to be written that the backup lacks", time.Now(), 40, wasDirect)
				p.old.Stop(pgtest.Immediate)
				p.old.Restore()
				p.old.Start()
			},
		},
		{
			name: "an address of two hosts follows the promotion",
			site: func(t *testing.T) *site {
				p = newPair(t)
				p.old.Synchronous()
				s := newSite(t, p.old)
				u, err := url.Parse(s.url)
				if err != nil {
					t.Fatal(err)
				}
				u.Host = p.old.Addr() + "," + p.standby.Addr()
				u.RawQuery += "&target_session_attrs=read-write"
				s.address = u.String()
				return s
			},
			inject: func(c *cluster) {
				p.old.Kill()
				p.standby.Promote()
				p.look(c)
			},
		},
	})
}
