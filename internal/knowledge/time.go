package knowledge

import (
	"encoding/json"
	"fmt"
	"time"
)

// TimeLayout is how a time is written in JSON: UTC, always six digits after the second, so that the text sorts as the
// time does.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// A Time is an instant in UTC at microseconds, the precision of every engine.
type Time struct{ time.Time }

// At returns t in UTC, truncated to microseconds. Engines convert all times with it.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// MarshalJSON writes the time in [TimeLayout], or null for the zero time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	b := make([]byte, 0, len(TimeLayout)+2)
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, TimeLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads any RFC 3339 time, or null.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("want a time such as \"2026-01-31T12:00:00Z\"")
	}
	p, err := time.Parse(time.RFC3339Nano, s)
	if y := p.UTC().Year(); err != nil || y < 1 || y > 9999 { // the year in UTC, which is the one that is written
		return fmt.Errorf("%q is not a time: want RFC 3339, as in 2026-01-31T12:00:00Z", clipped(s))
	}
	*t = At(p)
	return nil
}
