package sqlite

import (
	"time"

	"tenet/internal/knowledge"
)

// moment returns the time that a column holds.
func moment(micros int64) knowledge.Time {
	return knowledge.At(time.UnixMicro(micros))
}

// maybe returns the time that a column holds, the zero time for none.
func maybe(micros *int64) knowledge.Time {
	if micros == nil {
		return knowledge.Time{}
	}
	return moment(*micros)
}

// orNull is a column's value for a time that may be missing.
func orNull(t knowledge.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}

// micros is how a time stands in a column: microseconds since 1970.
func micros(t knowledge.Time) int64 { return t.UnixMicro() }
