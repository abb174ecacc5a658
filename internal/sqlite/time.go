package sqlite

import (
	"time"

	"tenet/internal/knowledge"
)

// moment returns the time of a column value.
func moment(micros int64) knowledge.Time {
	return knowledge.At(time.UnixMicro(micros))
}

// maybe returns the time of a column value, the zero time for NULL.
func maybe(micros *int64) knowledge.Time {
	if micros == nil {
		return knowledge.Time{}
	}
	return moment(*micros)
}

// micros returns the column value of a time: microseconds since 1970.
func micros(t knowledge.Time) int64 { return t.UnixMicro() }
