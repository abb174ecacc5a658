package failover

import "time"

// Waits are the times and the clock of a store that tests alone set. Zero leaves one as it is.
type Waits struct {
	ReadWait, ReadTimeout, WriteTimeout, ConnectTimeout, Soon, PollFloor time.Duration
	Wall                                                                 func() time.Time
}

// Wait sets times and the clock.
func (o *Options) Wait(w Waits) {
	for _, d := range []struct {
		to   *time.Duration
		want time.Duration
	}{
		{&o.readWait, w.ReadWait},
		{&o.readTimeout, w.ReadTimeout},
		{&o.writeTimeout, w.WriteTimeout},
		{&o.connectTimeout, w.ConnectTimeout},
		{&o.soon, w.Soon},
		{&o.pollFloor, w.PollFloor},
	} {
		if d.want != 0 {
			*d.to = d.want
		}
	}
	if w.Wall != nil {
		o.wall = w.Wall
	}
}
