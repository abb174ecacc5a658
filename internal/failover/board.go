package failover

import (
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// A topic names one kind of change that goroutines wait for.
type topic int

const (
	mirrorFollowed topic = iota // the mirror has applied more of the log
	modeMoved                   // the mode has changed
	batchWaits                  // a batch was journalled
	batchFinished               // a waiting batch was applied or parked
	lookWanted                  // the keeper has something to do
	topics
)

// A board wakes the goroutines that wait for a topic. It carries no data: a woken goroutine checks the state itself. To
// miss nothing, take the channel first, then check, then wait.
type board struct {
	o     *Options
	bells [topics]store.Bell
}

func newBoard(o *Options) *board { return &board{o: o} }

// next returns a channel that is closed the next time something is posted on a topic.
func (b *board) next(t topic) <-chan struct{} { return b.bells[t].Next() }

// post wakes the goroutines that wait for a topic.
func (b *board) post(t topic) { b.bells[t].Ring() }

// announce reports an event to Options.Event.
func (b *board) announce(e Event) {
	if b.o.Event == nil {
		return
	}
	e.At = knowledge.At(b.o.wall())
	b.o.Event(e)
}

// invalidate reports that documents may read differently although no change says so; nil keys stand for all documents.
func (b *board) invalidate(keys []knowledge.Key) {
	if b.o.Settled != nil {
		b.o.Settled(keys)
	}
}
