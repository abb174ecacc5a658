package live

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// An ending is the reason why a stream ends. The zero value means that it goes on.
type ending int32

const (
	endNone        ending = iota
	endLeft               // the peer disconnected
	endStuck              // the peer does not take what is sent
	endSilent             // the peer does not answer pings
	endSpoke              // the peer sent a message, which is not allowed
	endBehind             // the subscriber fell too far behind
	endBusy               // the log could not be read in time for a subscriber that is behind
	endGone               // the log is trimmed beyond the position
	endReplaced           // the log has another history
	endCredentials        // the principal was changed
	endExpired            // the token has expired
	endStopping           // this instance stops
)

// Codes of the Close frame, in the range for private use.
const (
	codeCredentials websocket.StatusCode = 4401
	codeBehind      websocket.StatusCode = 4408
	codeGone        websocket.StatusCode = 4410
)

// label is the ending's label in the metrics; "" if the stream was not cut off.
func (e ending) label() string {
	switch e {
	case endStuck:
		return "stuck"
	case endSilent:
		return "silent"
	case endSpoke:
		return "spoke"
	case endBehind:
		return "behind"
	case endBusy:
		return "busy"
	case endGone:
		return "gone"
	case endReplaced:
		return "replaced"
	case endCredentials:
		return "credentials"
	case endExpired:
		return "expired"
	case endNone, endLeft, endStopping:
	}
	return ""
}

// close returns the code and the reason of the Close frame.
func (e ending) close() (websocket.StatusCode, string) {
	switch e {
	case endSpoke:
		return websocket.StatusPolicyViolation, "this stream is for listening: nothing is read"
	case endBehind, endBusy:
		return codeBehind, "behind"
	case endGone, endReplaced:
		return codeGone, "gone"
	case endCredentials, endExpired:
		return codeCredentials, "credentials"
	case endNone, endLeft, endStuck, endSilent, endStopping:
	}
	return websocket.StatusGoingAway, "reconnect"
}

// Delays before a subscriber should reconnect.
const (
	soon    = time.Second      // at least
	perHead = time.Millisecond // more for each subscriber that is sent away at the same time
	longest = 30 * time.Second // at most
)

// comeBack returns a random delay, so that n subscribers don't reconnect at once.
func comeBack(n int) time.Duration {
	spread := min(soon+time.Duration(n)*perHead, longest)
	return soon + rand.N(spread) //nolint:gosec // not a secret
}

// goodbye returns a subscriber's last message, nil if it would not arrive. count is the number of other subscribers.
func (e ending) goodbye(at knowledge.Mark, newest, oldest knowledge.Seq, count int) *event {
	retry := comeBack(0)
	switch e {
	case endBehind, endBusy:
		why := "the stream is too far behind the log: reconnect with this position"
		if e == endBusy {
			why = "too many subscribers are reading the log: reconnect with this position"
			retry = comeBack(count)
		}
		return note(typeBehind, at, retry,
			behindMessage{
				Type: typeBehind, Seq: at.Seq, Position: at.String(), Newest: newest,
				Retry: retry.Milliseconds(), Why: why,
			})
	case endGone:
		return note(typeGone, knowledge.Mark{Seq: noID}, retry, goneMessage{
			Type: typeGone, Oldest: oldest,
			Why: "the log no longer reaches back that far: read everything again, then follow from there",
		})
	case endReplaced:
		return note(typeGone, knowledge.Mark{Seq: noID}, retry, goneMessage{
			Type: typeGone, Why: strings.TrimPrefix((&store.GoneError{Other: true}).Error(), "gone: "),
		})
	case endCredentials, endExpired, endStopping:
		why := map[ending]string{
			endCredentials: "the principal was changed: reconnect with a valid token",
			endExpired:     "the token has expired: reconnect with another one",
			endStopping:    "this instance is stopping: reconnect later, or to another instance",
		}[e]
		if e == endStopping {
			retry = comeBack(count)
		}
		return note(typeBye, at, retry,
			byeMessage{Type: typeBye, Seq: at.Seq, Position: at.String(), Retry: retry.Milliseconds(), Why: why})
	case endNone, endLeft, endStuck, endSilent, endSpoke:
	}
	return nil
}
