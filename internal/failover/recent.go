package failover

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
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
	forgot  atomic.Uint64 // counts the times at which something was forgotten
	hold    sync.RWMutex  // held by a read during which nothing may be forgotten; taken before mu
	mu      sync.RWMutex  // guards what follows
	known   map[knowledge.Key]sight
	level   time.Time               // when the last change that the mirror has applied was made, by the primary's clock
	applied map[knowledge.Key]int64 // versions that the mirror has applied since it was last level
	batches map[knowledge.BatchID]acknowledged
}

// A sight is what was seen of a document: a record, or nothing where it was gone.
type sight struct {
	record *knowledge.Record
	gone   int64     // without a record: the last version that is known to be gone
	at     time.Time // when the answer was there
}

// An acknowledged batch, and what its writer was told.
type acknowledged struct {
	batch   knowledge.Batch
	receipt knowledge.Receipt
	at      time.Time
}

// whole answers a read of the mirror that is then compared with what is remembered. Where something was forgotten meanwhile, the
// mirror may have been read before it had that: it is read again, and in the end while nothing is forgotten.
func whole[T any](r *recent, read func() (T, error)) (T, error) {
	for range 3 {
		before := r.forgot.Load()
		v, err := read()
		if r.forgot.Load() == before {
			return v, err
		}
	}
	r.hold.RLock()
	defer r.hold.RUnlock()
	return read()
}

func (r *recent) init() {
	r.known = map[knowledge.Key]sight{}
	r.applied = map[knowledge.Key]int64{}
	r.batches = map[knowledge.BatchID]acknowledged{}
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
	r.note(rec.Key, sight{record: rec})
}

// gone notes that the primary had no such document when it was asked at a time, although there was a version of it; 0 when
// none is known. One that comes to be later is not gone.
func (r *recent) gone(key knowledge.Key, asked time.Time, version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, there := r.known[key]
	if there && !asked.After(was.at) {
		return
	}
	if was.record != nil {
		version = max(version, was.record.Version)
	}
	if version > 0 {
		r.note(key, sight{gone: version})
	}
}

// note needs r.mu.
func (r *recent) note(key knowledge.Key, what sight) {
	if len(r.known) >= recentLimit {
		clear(r.known)
	}
	what.at = time.Now()
	r.known[key] = what
	r.n.Store(int64(len(r.known)))
}

// acknowledge remembers what the writer of a batch was told. Until the mirror has its changes nothing else here knows of it, and
// a batch that is sent again would stand in its own way.
func (r *recent) acknowledge(b *knowledge.Batch, rec *knowledge.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.batches) >= recentLimit {
		clear(r.batches)
	}
	r.batches[b.ID] = acknowledged{*b, *rec, time.Now()}
}

// acknowledgements returns what the mirror may not have of what was acknowledged before a time.
func (r *recent) acknowledgements(before time.Time) []acknowledged {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []acknowledged
	for _, was := range r.batches {
		if was.at.Before(before) {
			list = append(list, was)
		}
	}
	return list
}

// receipt returns what the writer of a batch was told; [store.ErrReused] when it was a batch of other content.
func (r *recent) receipt(b *knowledge.Batch) (knowledge.Receipt, bool, error) {
	r.mu.RLock()
	was, there := r.batches[b.ID]
	r.mu.RUnlock()
	if !there {
		return knowledge.Receipt{}, false, nil
	}
	before, err := was.batch.Fingerprint()
	if err != nil {
		return knowledge.Receipt{}, false, err
	}
	if now, err := b.Fingerprint(); err != nil || now != before {
		return knowledge.Receipt{}, false, errors.Join(store.ErrReused, err)
	}
	return was.receipt, true, nil
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
		return nil, mirrored != nil && mirrored.Version <= was.gone
	}
	return was.record, false
}

// followed notes the changes that the mirror has applied.
func (r *recent) followed(changes []knowledge.Change) {
	if len(changes) == 0 {
		return
	}
	r.hold.Lock()
	defer r.hold.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.level = changes[len(changes)-1].At.Time
	for i := range changes {
		c := &changes[i]
		r.applied[c.Key] = c.Version
		if was, there := r.batches[c.Batch]; there && c.Seq >= was.receipt.Seq {
			delete(r.batches, c.Batch)
		}
		if was, there := r.known[c.Key]; there && was.record != nil && was.record.Version <= c.Version {
			delete(r.known, c.Key)
			r.forgot.Add(1)
		}
	}
	if len(r.applied) > recentLimit {
		clear(r.applied)
	}
	r.n.Store(int64(len(r.known)))
}

// levelled forgets what was learnt before a question that found the mirror level with the primary.
func (r *recent) levelled(asked time.Time) {
	r.hold.Lock()
	defer r.hold.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, was := range r.batches {
		if was.at.Before(asked) {
			delete(r.batches, id)
		}
	}
	for key, was := range r.known {
		if was.at.Before(asked) {
			delete(r.known, key)
			r.forgot.Add(1)
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
