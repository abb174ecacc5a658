package awaittest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"tenet/internal/awaittest"
)

func TestWhoWaitsLongAsksRarely(t *testing.T) {
	for _, c := range []struct {
		comes, limit time.Duration
		want         bool
		asked        [2]int // at least and at most
	}{
		{0, 0, true, [2]int{1, 1}},
		{time.Second, 0, false, [2]int{1, 1}},
		{20 * time.Millisecond, time.Minute, true, [2]int{10, 22}},
		{time.Second, time.Minute, true, [2]int{20, 60}},
		{30 * time.Second, time.Minute, true, [2]int{150, 220}},
		{time.Hour, time.Minute, false, [2]int{290, 370}},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, asked := time.Now(), 0
			got := awaittest.Until(c.limit, func() bool {
				asked++
				return time.Since(began) >= c.comes
			})
			if got != c.want || asked < c.asked[0] || asked > c.asked[1] {
				t.Errorf("what comes after %s, for at most %s: %t after %d questions, want %t after %d to %d",
					c.comes, c.limit, got, asked, c.want, c.asked[0], c.asked[1])
			}
			if got && time.Since(began) > c.comes*12/10 {
				t.Errorf("what comes after %s is seen after %s", c.comes, time.Since(began))
			}
		})
	}
}
