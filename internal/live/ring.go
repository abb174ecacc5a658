package live

import (
	"sort"

	"tenet/internal/knowledge"
)

// A ring holds the last events. Each has an index that counts up for the hub's lifetime; a subscriber's position is
// such an index. It needs the hub's lock.
type ring struct {
	events   []*event // circular: event i is at i modulo its length
	first    uint64   // index of the oldest event that is held
	next     uint64   // index of the next event
	bytes    int64
	maxBytes int64
	low      knowledge.Seq // every change after this one, up to high, is held
	high     knowledge.Seq // the newest change seen
	highMark []byte        // the first bytes of the chain value at high; nil if unknown
}

func newRing(size int, maxBytes int64) ring {
	return ring{events: make([]*event, size), maxBytes: maxBytes}
}

func (r *ring) at(index uint64) **event { return &r.events[index%uint64(len(r.events))] }

// add appends an event and drops the oldest ones that no longer fit. One event always fits.
func (r *ring) add(e *event) {
	if e.seq == 0 {
		e.before = r.high
	} else {
		r.highMark = e.mark
	}
	r.high = e.after()
	r.bytes += int64(len(e.full.frame))
	for r.next-r.first == uint64(len(r.events)) || r.next > r.first && r.bytes > r.maxBytes {
		oldest := r.at(r.first)
		r.bytes -= int64(len((*oldest).full.frame))
		r.low = max(r.low, (*oldest).after())
		*oldest = nil
		r.first++
	}
	*r.at(r.next) = e
	r.next++
}

// reset empties the ring: the log goes on after seq. Earlier indexes become invalid.
func (r *ring) reset(seq knowledge.Seq) {
	clear(r.events)
	r.next++
	r.first, r.bytes, r.low, r.high, r.highMark = r.next, 0, seq, seq, nil
}

// find returns the index of the first event that moves the log past a position, which must not be before low.
func (r *ring) find(after knowledge.Seq) uint64 {
	n := sort.Search(int(r.next-r.first), func(i int) bool { return (*r.at(r.first + uint64(i))).after() > after }) //nolint:gosec // both are small
	return r.first + uint64(n)                                                                                      //nolint:gosec // not negative
}

// change returns the event of a change, nil if it is not held.
func (r *ring) change(seq knowledge.Seq) *event {
	for i := r.find(seq - 1); i < r.next; i++ {
		if e := *r.at(i); e.seq == seq {
			return e
		}
	}
	return nil
}

// mark returns the mark of a position, without its chain value if that is not held.
func (r *ring) mark(seq knowledge.Seq) knowledge.Mark {
	switch e := r.change(seq); {
	case seq == 0:
		return knowledge.Mark{}
	case e != nil:
		return knowledge.Mark{Seq: seq, Chain: e.mark}
	case seq == r.high:
		return knowledge.Mark{Seq: seq, Chain: r.highMark}
	}
	return knowledge.Mark{Seq: seq}
}

// empty removes the texts of a purged document from every event before the purge.
func (r *ring) empty(key knowledge.Key) {
	for i := r.first; i < r.next; i++ {
		if e := r.at(i); (*e).key == key && (*e).cut > 0 {
			r.bytes -= int64(len((*e).full.frame))
			*e = (*e).without()
			r.bytes += int64(len((*e).full.frame))
		}
	}
}

// holds reports whether a change of a batch is held.
func (r *ring) holds(batch knowledge.BatchID) bool {
	for i := r.first; i < r.next; i++ {
		if e := *r.at(i); e.seq != 0 && e.batch == batch {
			return true
		}
	}
	return false
}
