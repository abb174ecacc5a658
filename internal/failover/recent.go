package failover

import (
	"sync"
	"time"

	"tenet/internal/knowledge"
)

// recentWindow is how much longer than the feed's position a record may be unknown to the mirror: a transaction that began
// before the last one applied and committed after it. No transaction of a tenet lasts longer.
const recentWindow = time.Minute

// recentLimit bounds what is remembered. Over it everything is forgotten but the newest: the mirror is then far behind,
// which its lag shows.
const recentLimit = 100_000

// recent remembers the records that this instance has handed out and the mirror may not have yet, so that a session never goes
// back in time when it falls to the mirror.
type recent struct {
	mu      sync.RWMutex // guards what follows
	records map[knowledge.Key]*knowledge.Record
	level   time.Time               // when the last change that the mirror has applied was made
	applied map[knowledge.Key]int64 // versions that the mirror has applied within the window
}

func (r *recent) init() {
	r.records = map[knowledge.Key]*knowledge.Record{}
	r.applied = map[knowledge.Key]int64{}
}

// saw notes a record that the primary answered.
func (r *recent) saw(rec *knowledge.Record) {
	r.mu.RLock()
	old := rec.Updated.Before(r.level.Add(-recentWindow)) || r.applied[rec.Key] >= rec.Version
	known := r.records[rec.Key]
	r.mu.RUnlock()
	if old || known != nil && known.Version >= rec.Version {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.records[rec.Key]; known != nil && known.Version >= rec.Version || r.applied[rec.Key] >= rec.Version {
		return
	}
	if len(r.records) >= recentLimit {
		clear(r.records)
	}
	r.records[rec.Key] = rec
}

// newer returns what is remembered of key if it is newer than the mirror's record (nil for none), else nil.
func (r *recent) newer(key knowledge.Key, mirrored *knowledge.Record) *knowledge.Record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	seen := r.records[key]
	if seen == nil || mirrored != nil && mirrored.Version >= seen.Version {
		return nil
	}
	return seen
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
		if seen := r.records[c.Key]; seen != nil && (seen.Version <= c.Version || c.Record == nil) {
			delete(r.records, c.Key)
		}
	}
	if len(r.applied) > recentLimit {
		clear(r.applied)
	}
}

// rebuilt forgets everything: a new mirror holds it all.
func (r *recent) rebuilt(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.records)
	clear(r.applied)
	r.level = at
}
