// Package awaittest is how tests wait for what has no signal of its own.
package awaittest

import "time"

const (
	// soonest is the first pause between two questions. What comes at once is seen at once.
	soonest = time.Millisecond
	// rarest is the longest. A test that waits for seconds, beside others that reckon, asks five times in each.
	rarest = 200 * time.Millisecond
)

// Until asks until holds says yes, and returns whether it did so within a time. It asks at least once. The pause
// between two questions is a tenth of the time that it has waited, from 1 ms to 200 ms.
func Until(limit time.Duration, holds func() bool) bool {
	began := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		<-pause.C
		if holds() {
			return true
		}
		waited := time.Since(began)
		if waited >= limit {
			return false
		}
		pause.Reset(min(max(waited/10, soonest), rarest))
	}
}
