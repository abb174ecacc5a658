package upkeep

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A schedule computes when a job is due. A due time depends on the schedule alone, so all instances compute the same.
type schedule interface {
	// due returns the newest due time after from and up to now, or else the next one. If several were missed, only the
	// last is returned.
	due(from, now time.Time) time.Time
}

type cronSchedule struct{ s cron.Schedule }

// parseSchedule parses five cron fields in UTC, or one of @hourly, @daily, @weekly, @monthly and @yearly. It returns
// nil for "".
func parseSchedule(text string) (schedule, error) {
	if text == "" {
		return nil, nil
	}
	if strings.HasPrefix(text, "@every") || strings.Contains(text, "TZ=") {
		return nil, fmt.Errorf("%q: want five fields of cron in UTC, as in \"0 2 * * *\"; instances can't agree on "+
			"the times of an interval", text)
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("%q: want five fields of cron in UTC, as in \"0 2 * * *\", or @hourly, @daily, "+
			"@weekly, @monthly: %w", text, err)
	}
	return cronSchedule{s}, nil
}

// manyDue is how many missed times are stepped through; a schedule of every minute reaches it in two days.
const manyDue = 3000

func (c cronSchedule) due(from, now time.Time) time.Time {
	now = now.UTC()
	due := c.s.Next(from.UTC())
	for range manyDue {
		next := c.s.Next(due)
		if next.After(now) {
			return due
		}
		due = next
	}
	// Too many to step through: start again a day ago.
	return c.due(now.Add(-24*time.Hour), now)
}

// A Window limits when heavy jobs may start, as in "first sunday 03:00-05:00". The zero window is always open.
type Window struct {
	nth      int // which of its weekdays in a month, 1 to 5; 0 for all
	weekday  time.Weekday
	daily    bool
	from, to time.Duration // since midnight
}

// ParseWindow parses a maintenance window in UTC: "daily 03:00-05:00", "sunday 03:00-05:00" or "first sunday
// 03:00-05:00". "" is always open.
func ParseWindow(text string) (Window, error) {
	bad := fmt.Errorf("%q: want a window in UTC such as \"daily 03:00-05:00\", \"sunday 03:00-05:00\" or \"first "+
		"sunday 03:00-05:00\"", text)
	words := strings.Fields(strings.ToLower(text))
	var w Window
	switch len(words) {
	case 0:
		return w, nil
	case 2:
	case 3:
		if w.nth = 1 + indexOf(words[0], "first", "second", "third", "fourth", "fifth"); w.nth == 0 {
			return w, bad
		}
		words = words[1:]
	default:
		return w, bad
	}
	if words[0] == "daily" {
		w.daily = true
	} else {
		day := indexOf(words[0], "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
		if day < 0 {
			return w, bad
		}
		w.weekday = time.Weekday(day)
	}
	from, to, ok := strings.Cut(words[1], "-")
	var okFrom, okTo bool
	w.from, okFrom = clockTime(from)
	w.to, okTo = clockTime(to)
	if !ok || !okFrom || !okTo || w.from >= w.to || w.daily && w.nth > 0 {
		return w, bad
	}
	return w, nil
}

func indexOf(word string, list ...string) int {
	for i, w := range list {
		if w == word {
			return i
		}
	}
	return -1
}

func clockTime(text string) (time.Duration, bool) {
	h, m, ok := strings.Cut(text, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || len(m) != 2 || err1 != nil || err2 != nil || hour < 0 || hour > 24 || minute < 0 || minute > 59 ||
		hour == 24 && minute > 0 {
		return 0, false
	}
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute, true
}

// open returns when a due run may start: at the first time at or after its due time at which the window is open.
func (w Window) open(due, now time.Time) time.Time {
	if w == (Window{}) {
		return due
	}
	at := due.UTC()
	if now = now.UTC(); now.After(at) {
		at = now
	}
	for day := midnight(at); ; day = day.AddDate(0, 0, 1) {
		if !w.on(day) || !at.Before(day.Add(w.to)) {
			continue
		}
		if start := day.Add(w.from); start.After(at) {
			return start
		}
		return at
	}
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

func (w Window) on(day time.Time) bool {
	if w.daily {
		return true
	}
	return day.Weekday() == w.weekday && (w.nth == 0 || (day.Day()-1)/7+1 == w.nth)
}
