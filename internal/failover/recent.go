package failover

import (
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
)

// recentWindow is how much longer than the feed's position a record may be unknown to the mirror: a transaction that began
// before the last one applied and committed after it. No transaction of a tenet lasts longer.
const recentWindow = time.Minute

// recentLimit bounds what is remembered. Over it everything is forgotten but the newest: the mirror is then far behind,
// which its lag shows.
const recentLimit = 100_000

// recent remembers what this instance has learnt of the primary and the mirror may not have yet, so that a session never goes
// back in time when it falls to the mirror. What was learnt before a question that found the mirror level is in the mirror,
// and is forgotten then.
type recent struct {
	n       atomic.Int64
	mu      sync.RWMutex // guards what follows
	known   map[knowledge.Key]sight
	level   time.Time               // when the last change that the mirror has applied was made, by the primary's clock
	applied map[knowledge.Key]int64 // versions that the mirror has applied since it was last level
}

// A sight is what was seen of a document: a record, or nothing where it was gone.
type sight struct {
	record *knowledge.Record
	at     time.Time // when the answer was there
}

func (r *recent) init() {
	r.known = map[knowledge.Key]sight{}
	r.applied = map[knowledge.Key]int64{}
}

// saw notes a record that the primary answered to a question asked at a time.
func (r *recent) saw(rec *knowledge.Record, asked time.Time) {
	r.mu.RLock()
	old := rec.Updated.Before(r.level.Add(-recentWindow)) || r.applied[rec.Key] >= rec.Version
	was, there := r.known[rec.Key]
	r.mu.RUnlock()
	if old && !there || there && was.record != nil && was.record.Version >= rec.Version {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was, there = r.known[rec.Key]
	switch {
	case there && was.record != nil && was.record.Version >= rec.Version:
		return
	case there && was.record == nil && !asked.After(was.at):
		return // it was found gone after this question was asked: this is the older answer
	case r.applied[rec.Key] >= rec.Version && !there:
		return
	}
	r.note(rec.Key, rec)
}

// gone notes that the primary had no such document when it was asked at a time.
func (r *recent) gone(key knowledge.Key, asked time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, there := r.known[key]; there && !asked.After(was.at) {
		return
	}
	r.note(key, nil)
}

// note needs r.mu.
func (r *recent) note(key knowledge.Key, rec *knowledge.Record) {
	if len(r.known) >= recentLimit {
		clear(r.known)
	}
	r.known[key] = sight{rec, time.Now()}
	r.n.Store(int64(len(r.known)))
}

// newer returns what is remembered of key if the mirror's record (nil for none) is older: a record, or with gone nothing.
func (r *recent) newer(key knowledge.Key, mirrored *knowledge.Record) (rec *knowledge.Record, gone bool) {
	if r.n.Load() == 0 {
		return nil, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	was, there := r.known[key]
	switch {
	case !there, was.record != nil && mirrored != nil && mirrored.Version >= was.record.Version:
		return nil, false
	case was.record == nil:
		return nil, mirrored != nil
	}
	return was.record, false
}

// followed notes the changes that the mirror has applied.
func (r *recent) followed(changes []knowledge.Change) {
	if len(changes) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.level = changes[len(changes)-1].At.Time
	for i := range changes {
		c := &changes[i]
		r.applied[c.Key] = c.Version
		if was, there := r.known[c.Key]; there && was.record != nil && was.record.Version <= c.Version {
			delete(r.known, c.Key)
		}
	}
	if len(r.applied) > recentLimit {
		clear(r.applied)
	}
	r.n.Store(int64(len(r.known)))
}

// levelled forgets what was learnt before a question that found the mirror level with the primary.
func (r *recent) levelled(asked time.Time) {
	if r.n.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, was := range r.known {
		if was.at.Before(asked) {
			delete(r.known, key)
		}
	}
	r.n.Store(int64(len(r.known)))
}

// rebuilt forgets what a new mirror holds: all that was learnt before its snapshot was asked for.
func (r *recent) rebuilt(at, asked time.Time) {
	r.mu.Lock()
	clear(r.applied)
	r.level = at
	r.mu.Unlock()
	r.levelled(asked)
}
