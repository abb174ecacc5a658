package access

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A Quota limits the writes of one principal. Zero means no limit.
type Quota struct {
	Writes int64 // ops per minute
	Bytes  int64 // of documents and patches per day
}

// QuotaAgent is the key in [Quotas] for the quota of agents, whatever their role.
const QuotaAgent = "agent"

// Quotas maps each role, and [QuotaAgent], to its quota.
type Quotas map[string]Quota

// DefaultQuotas limits contributors and agents, so that an assistant in a loop can't fill the disk or hold up others.
// Maintainers and admins import whole collections and have no limit.
func DefaultQuotas() Quotas {
	proposer := Quota{Writes: 600, Bytes: 256 << 20}
	return Quotas{knowledge.RoleContributor: proposer, QuotaAgent: proposer}
}

// ParseQuotas returns what principals may write: [DefaultQuotas], but for the roles that a list names, each as in
// "contributor=600,256": writes a minute and MiB of documents a day, 0 for no bound.
func ParseQuotas(list []string) (Quotas, error) {
	quotas := DefaultQuotas()
	roles := append(knowledge.Roles(), QuotaAgent)
	for _, text := range list {
		role, numbers, ok := strings.Cut(text, "=")
		if !slices.Contains(roles, role) {
			return nil, fmt.Errorf("%q: want a role before the =, one of %s", text, strings.Join(roles, ", "))
		}
		writes, size, both := strings.Cut(numbers, ",")
		w, err := strconv.ParseInt(writes, 10, 64)
		m, err2 := strconv.ParseInt(size, 10, 64)
		if !ok || !both || err != nil || err2 != nil || w < 0 || m < 0 || m > 1<<30 {
			return nil, fmt.Errorf("%q: want writes a minute and MiB a day, 0 for no bound, as in contributor=600,256",
				text)
		}
		quotas[role] = Quota{Writes: w, Bytes: m << 20}
	}
	return quotas, nil
}

// of returns the quota of a caller.
func (q Quotas) of(c *Caller) Quota {
	if c.Agent {
		return q[QuotaAgent]
	}
	return q[c.Role]
}

// A meter counts the recent writes of each principal.
type meter struct {
	quotas Quotas
	now    func() time.Time
	mu     sync.Mutex
	of     map[string]*written // at most one for each principal
}

// written is what one principal may still write. It is negative after a batch larger than the rest, since a batch is
// never split.
type written struct {
	at            time.Time
	writes, bytes float64
	turn          chan struct{} // holds the write under way
}

func newMeter(q Quotas) *meter {
	return &meter{quotas: q, now: time.Now, of: map[string]*written{}}
}

const day = 24 * time.Hour

// take counts a batch, or returns an error with the time to wait.
func (m *meter) take(c *Caller, b *knowledge.Batch) error {
	quota := m.quotas.of(c)
	if quota == (Quota{}) || c.ID == SystemID {
		return nil
	}
	size := int64(0)
	if quota.Bytes > 0 {
		size = sizeOf(b)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	w := m.of[c.ID]
	if w == nil {
		w = &written{turn: make(chan struct{}, 1), at: now, writes: float64(quota.Writes), bytes: float64(quota.Bytes)}
		m.of[c.ID] = w
	}
	passed := now.Sub(w.at)
	w.at = now
	w.writes = min(w.writes+float64(quota.Writes)*float64(passed)/float64(time.Minute), float64(quota.Writes))
	w.bytes = min(w.bytes+float64(quota.Bytes)*float64(passed)/float64(day), float64(quota.Bytes))
	if quota.Writes > 0 && w.writes < 1 {
		return over(knowledge.Count(quota.Writes, "write", "writes")+" a minute",
			(1-w.writes)/float64(quota.Writes)*float64(time.Minute))
	}
	if quota.Bytes > 0 && w.bytes < 1 {
		return over(fmt.Sprintf("%d bytes of documents a day", quota.Bytes),
			(1-w.bytes)/float64(quota.Bytes)*float64(day))
	}
	w.writes -= float64(len(b.Ops))
	w.bytes -= float64(size)
	return nil
}

func over(what string, wait float64) error {
	return &store.UnavailableError{
		Reason: "this token has written its quota of " + what +
			": wait, or ask an operator for a larger quota (--quota)",
		TooMany: true, NotDone: true, RetryAfter: time.Duration(wait).Truncate(time.Second) + time.Second,
	}
}

// enter waits for the caller's turn. A principal with a quota has one write under way at a time, so nobody waits behind
// many writes of one principal.
func (m *meter) enter(ctx context.Context, c *Caller) (leave func(), err error) {
	m.mu.Lock()
	w := m.of[c.ID]
	m.mu.Unlock()
	if w == nil {
		return func() {}, nil
	}
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// sizeOf returns the bytes of a batch's documents and patches.
func sizeOf(b *knowledge.Batch) int64 {
	n := 0
	for i := range b.Ops {
		n += len(b.Ops[i].Patch)
		if b.Ops[i].Doc == nil {
			continue
		}
		// the store refuses a document that can't be encoded
		if text, err := knowledge.Canonical(b.Ops[i].Doc); err == nil {
			n += len(text)
		}
	}
	return int64(n)
}
