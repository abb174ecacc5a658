package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

func concurrencyLaws() []law {
	return []law{
		{name: "of writers who saw the same version exactly one wins", check: oneWinnerPerVersion},
		{name: "of writers who create the same document exactly one wins", check: oneCreator},
		{name: "the same batch sent many times at once is done once", check: sameBatchAtOnce},
		{name: "a follower sees every seq once in order while many write", check: followerSeesAll, log: true},
		{name: "batches over the same keys in any order all come to an end", check: crossingBatches},
		{name: "readers of what is being written see whole versions only", check: readersSeeWholeVersions},
	}
}

// together runs fn n times at once and waits for all.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func oneWinnerPerVersion(s *suite) {
	const writers, rounds = 8, 10
	r := Rule()
	version := s.put(r).Version
	for round := range rounds {
		var won, lost atomic.Int64
		together(writers, func(i int) {
			d := Rule(func(d *knowledge.Rule) {
				d.RuleID, d.Title = r.RuleID, fmt.Sprintf("round %d writer %d", round, i)
			})
			receipt, err := s.s.Apply(s.ctx, Batch(knowledge.Put(d, version)))
			switch {
			case err == nil:
				won.Add(1)
				if got := receipt.Records[0].Version; got != version+1 {
					s.Errorf("round %d: the winner's version is %d, want %d", round, got, version+1)
				}
			case errors.Is(err, store.ErrConflict):
				lost.Add(1)
			default:
				s.Errorf("round %d: %v", round, err)
			}
		})
		if won.Load() != 1 || lost.Load() != writers-1 {
			s.Fatalf("round %d: %d won and %d lost, want 1 and %d", round, won.Load(), lost.Load(), writers-1)
		}
		version++
		if got := s.get(r.Key()).Version; got != version {
			s.Fatalf("round %d left version %d, want %d", round, got, version)
		}
	}
	if !s.o.NoLog && !s.o.Queued {
		s.checkLog(s.log())
	}
}

func oneCreator(s *suite) {
	for range 5 {
		d := Practice()
		var won atomic.Int64
		together(8, func(int) {
			_, err := s.s.Apply(s.ctx, Batch(knowledge.Put(d, knowledge.NoVersion)))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrConflict) {
				s.Errorf("creating at once: %v", err)
			}
		})
		if won.Load() != 1 {
			s.Errorf("%d writers created the same practice", won.Load())
		}
		if got := s.get(d.Key()).Version; got != 1 {
			s.Errorf("the practice has version %d", got)
		}
	}
}

func sameBatchAtOnce(s *suite) {
	for range 5 {
		r := Rule()
		b := Batch(knowledge.Put(r, knowledge.NoVersion), knowledge.Put(Practice(), knowledge.NoVersion))
		receipts := make([]knowledge.Receipt, 8)
		together(len(receipts), func(i int) {
			var err error
			if receipts[i], err = s.s.Apply(s.ctx, b); err != nil {
				s.Errorf("the same batch at once: %v", err)
			}
		})
		for _, got := range receipts[1:] {
			s.sameReceipt("the same batch at once", receipts[0], got)
		}
		if got := s.get(r.Key()).Version; got != 1 {
			s.Errorf("the rule has version %d after one batch", got)
		}
	}
}

func followerSeesAll(s *suite) {
	const writers, each = 6, 25
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	var seen []knowledge.Change
	caught := make(chan error, 1)
	var target atomic.Int64
	go func() {
		caught <- follow(ctx, s.s, 50*time.Millisecond, func(list []knowledge.Change) error {
			for _, c := range list {
				if c.Seq != knowledge.Seq(len(seen))+1 {
					return fmt.Errorf("change %d came after change %d", c.Seq, len(seen))
				}
				seen = append(seen, c)
			}
			if t := target.Load(); t != 0 && int64(seen[len(seen)-1].Seq) >= t {
				return errEnough
			}
			return nil
		})
	}()
	together(writers, func(w int) {
		for i := range each {
			ops := []knowledge.Op{knowledge.Put(Category(), knowledge.NoVersion)}
			for range (w + i) % 4 {
				ops = append(ops, knowledge.Put(Rule(), knowledge.NoVersion))
			}
			if _, err := s.s.Apply(s.ctx, Batch(ops...)); err != nil {
				s.Errorf("writer %d: %v", w, err)
				return
			}
		}
	})
	target.Store(int64(s.tail()))
	s.put(Category()) // one more, so that the follower looks once more
	if err := <-caught; !errors.Is(err, errEnough) {
		s.Fatalf("Follow: %v", err)
	}
	s.checkLog(seen)
	all := s.log()
	if len(seen) < len(all)-1 {
		s.Errorf("the follower saw %d changes of %d", len(seen), len(all))
	}
	for i := range seen {
		if seen[i].Chain != all[i].Chain {
			s.Fatalf("change %d was seen otherwise than the log has it", i+1)
		}
	}
}

var errEnough = errors.New("seen enough")

func crossingBatches(s *suite) {
	docs := make([]knowledge.Document, 6)
	for i := range docs {
		docs[i] = Category()
	}
	s.putAll(docs...)
	const writers, each = 6, 10
	together(writers, func(w int) {
		for i := range each {
			ops := make([]knowledge.Op, len(docs))
			for j := range docs { // every writer takes the keys in another order
				d := docs[(j*(1+4*(w%2))+w+i)%len(docs)]
				ops[j] = patchOp(d.Key(), fmt.Sprintf(`{"description":"writer %d, time %d"}`, w, i))
			}
			if _, err := s.s.Apply(s.ctx, Batch(ops...)); err != nil {
				s.Errorf("writer %d: %v", w, err)
				return
			}
		}
	})
	description := ""
	for i, d := range docs {
		c := s.document(d.Key()).(*knowledge.Category)
		if c.Version != 1+writers*each {
			s.Errorf("%s has version %d, want %d", c.ID, c.Version, 1+writers*each)
		}
		if i > 0 && c.Description != description {
			s.Errorf("%s says %q and the one before %q: a batch was torn", c.ID, c.Description, description)
		}
		description = c.Description
	}
}

func readersSeeWholeVersions(s *suite) {
	r := Rule()
	s.put(r)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			last := int64(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				rec, err := s.s.Get(s.ctx, r.Key())
				if err != nil {
					s.Errorf("Get while others write: %v", err)
					return
				}
				d, err := rec.Document()
				if err != nil {
					s.Errorf("Get while others write: %v", err)
					return
				}
				rule := d.(*knowledge.Rule)
				if rec.Version != rule.Version || rec.Version > 1 && rule.Priority != rule.Version {
					s.Errorf("version %d of the record, %d of its document, written as %d", rec.Version, rule.Version,
						rule.Priority)
					return
				}
				if rec.Version < last {
					s.Errorf("version %d was read after version %d", rec.Version, last)
					return
				}
				last = rec.Version
			}
		})
	}
	for v := int64(2); v <= 40; v++ {
		s.apply(patchOp(r.Key(), fmt.Sprintf(`{"priority":%d}`, v)))
		if got := s.get(r.Key()).Version; got != v {
			s.Errorf("Get after an acknowledged write of version %d has version %d", v, got)
		}
	}
	close(done)
	wg.Wait()
}

// follow hands every change of a log to fn until one of them fails.
func follow(ctx context.Context, feed store.Feed, floor time.Duration, fn func([]knowledge.Change) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := store.Watch{
		Feed: feed, Floor: floor, Begin: func(context.Context, error) (store.Place, error) {
			return store.Place{}, nil
		},
		Changed: func(list []knowledge.Change) error {
			err := fn(list)
			if err != nil {
				stop(err)
			}
			return err
		},
	}
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return context.Cause(ctx)
}
