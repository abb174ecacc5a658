package postgres

import (
	"context"
	"net"
	"time"
)

// userTimeout is how long sent bytes may stay unacknowledged before the connection is closed. Without it a query on a
// cut connection hangs for minutes.
const userTimeout = 6 * time.Second

func dialer(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout: timeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
		},
		Control: limitSilence,
	}
	return d.DialContext
}
