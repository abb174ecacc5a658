package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// line returns what identifies a taken document: its key, its version, and how strictly it holds.
func line(key knowledge.Key, version int64, severity, enforcement string) string {
	return fmt.Sprintf("%s@%d %s %s", key, version, severity, enforcement)
}

// sum returns a digest of lines, independent of their order.
func sum(lines []string) string {
	slices.Sort(lines)
	h := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(h[:12])
}

// Digest returns a digest of the bundle's documents and versions. Bundles with equal digests have equal content.
func (b *Bundle) Digest() (string, error) {
	lines := make([]string, 0, len(b.Documents))
	for _, e := range b.Documents {
		d, err := decode(e)
		if err != nil {
			return "", err
		}
		severity, enforcement := knowledge.Strictness(d)
		lines = append(lines, line(d.Key(), d.Stamps().Version, severity, enforcement))
	}
	return sum(lines), nil
}

// A Taking is the digest of what a repository takes now; see [Bundle.Digest].
type Taking struct {
	Digest string
	Fault  string // why the digest can't be computed; "" if it can
}

// Takings returns what repositories take now, by their ids. Repositories with the same packs and label are computed
// together, and all of one label in one pass over the documents.
func Takings(ctx context.Context, s store.Past, list []*knowledge.Repository) (map[string]Taking, error) {
	out := make(map[string]Taking, len(list))
	err := eachSubscription(ctx, s, list, func(u *subscription) {
		t := Taking{Fault: u.fault}
		if t.Fault == "" {
			t.Digest = sum(u.lines)
		}
		for _, id := range u.by {
			out[id] = t
		}
	})
	return out, err
}

// Takers returns for each document how many of some repositories take it now.
func Takers(ctx context.Context, s store.Past, list []*knowledge.Repository) (map[knowledge.Key]int, error) {
	out := map[knowledge.Key]int{}
	err := eachSubscription(ctx, s, list, func(u *subscription) {
		for _, key := range u.keys {
			out[key] += len(u.by)
		}
	})
	return out, err
}

// eachSubscription computes what repositories take, and calls fn with each list of packs at a label and its
// repositories.
func eachSubscription(ctx context.Context, s store.Past, list []*knowledge.Repository, fn func(*subscription)) error {
	labels := map[string]map[string]*subscription{} // by label, and by packs
	for _, r := range list {
		packs, err := json.Marshal(r.Packs)
		if err != nil {
			return err
		}
		at := labels[r.Label]
		if at == nil {
			at = map[string]*subscription{}
			labels[r.Label] = at
		}
		if at[string(packs)] == nil {
			at[string(packs)] = &subscription{packs: r.Packs}
		}
		at[string(packs)].by = append(at[string(packs)].by, r.RepositoryID)
	}
	for label, subs := range labels {
		if err := takeAll(ctx, s, label, subs); err != nil {
			return err
		}
		for _, u := range subs {
			fn(u)
		}
	}
	return nil
}

// A subscription is a list of packs with the repositories that take it.
type subscription struct {
	packs  []string
	by     []string
	chosen *knowledge.Composition
	fault  string
	lines  []string
	keys   []knowledge.Key
}

// takeAll computes what subscriptions at one label take. One that names a missing document gets a fault; the others go
// on.
func takeAll(ctx context.Context, s store.Past, label string, subs map[string]*subscription) error {
	v, err := stand(ctx, s, label)
	if Fault(err) != "" || errors.Is(err, store.ErrGone) {
		for _, sub := range subs {
			sub.fault = err.Error()
		}
		return nil
	}
	if err != nil {
		return err
	}
	for _, sub := range subs {
		sub.chosen, err = v.compose(ctx, sub.packs)
		if Fault(err) != "" || errors.Is(err, store.ErrGone) {
			sub.fault, err = err.Error(), nil
		}
		if err != nil {
			return err
		}
	}
	return v.each(ctx, func(r *knowledge.Record) error {
		d, err := r.Document()
		if err != nil {
			return err
		}
		severity, enforcement := knowledge.Strictness(d)
		for _, sub := range subs {
			sub.add(d, severity, enforcement)
		}
		return nil
	})
}

func (u *subscription) add(d knowledge.Document, severity, enforcement string) {
	if u.fault != "" {
		return
	}
	if u.chosen != nil {
		if u.chosen.Holding(d) == nil {
			return
		}
		if d.Key().Kind == knowledge.KindRule { // packs make rules stricter
			severity, enforcement = u.chosen.Raised(d.Key(), severity, enforcement)
		}
	}
	u.keys = append(u.keys, d.Key())
	u.lines = append(u.lines, line(d.Key(), d.Stamps().Version, severity, enforcement))
}
