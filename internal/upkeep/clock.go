package upkeep

import (
	"context"
	"log/slog"
	"time"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// How far ahead of this clock a run may be dated, by that of another instance or before a small correction. One that is
// further ahead was dated by a clock that was wrong then, or is now.
const (
	slackAlone  = time.Minute
	slackShared = time.Hour
)

func (k *Keeper) slack(j *Job) time.Duration {
	if k.alone(j) {
		return slackAlone
	}
	return slackShared
}

// newest returns the newest run of a job by this clock, and the newest of those that are dated ahead of it; nil for
// none. A job does not wait for what is dated ahead: that may be years.
func (k *Keeper) newest(ctx context.Context, j *Job, now time.Time) (last, ahead *store.Run, err error) {
	limit := knowledge.At(now.Add(k.slack(j)))
	list, err := k.book(j).Runs(ctx, store.RunQuery{Job: j.Name, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, nil, err
	}
	if list[0].Due.Before(limit.Time) {
		return &list[0], nil, nil
	}
	ahead = &list[0]
	list, err = k.book(j).Runs(ctx, store.RunQuery{Job: j.Name, Before: limit, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, ahead, err
	}
	return &list[0], ahead, nil
}

// since returns the time after which a job's next run is due: the due time of its last one, or else when the keeper
// began. A clock that was set back passes the same times again. Where no other process runs the job, it runs at those
// again; elsewhere a time is claimed once, and the last that was claimed counts.
func (k *Keeper) since(ctx context.Context, j *Job, last, ahead *store.Run, began, now time.Time) time.Time {
	from := began // a job that never ran is due at its next time, not at once
	if last != nil {
		from = last.Due.Time
	}
	again := ahead != nil && k.alone(j)
	k.mu.Lock()
	defer k.mu.Unlock()
	if ahead != nil && !k.toldAhead {
		k.toldAhead = true
		k.o.Log.LogAttrs(ctx, slog.LevelWarn, "the clock was set back, or was ahead for a while: jobs go on by the "+
			"time that it tells now", slog.String("job", j.Name), slog.Time("ran", ahead.Due.Time))
	}
	if !again && !from.After(now.Add(k.slack(j))) {
		delete(k.anew, j.Name)
		return from
	}
	if at, ok := k.anew[j.Name]; !ok || at.After(now) {
		if k.anew[j.Name] = from; last == nil || from.After(now) {
			k.anew[j.Name] = now
		}
	}
	return k.anew[j.Name]
}

// dueAs returns the due time under which a run is claimed. That of a time which passes again may be taken.
func (k *Keeper) dueAs(j *Job, due time.Time, ahead *store.Run, now time.Time) knowledge.Time {
	if ahead == nil || !k.alone(j) {
		return knowledge.At(due)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.anew[j.Name] = now
	at := knowledge.At(now)
	if at.Equal(due) {
		at = knowledge.At(now.Add(time.Microsecond))
	}
	return at
}
