package live

import (
	"math/rand/v2"
	"time"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
)

// An ending says why a stream ends. The zero value says that it goes on.
type ending int32

const (
	endNone        ending = iota
	endLeft               // the peer went away
	endStuck              // the peer takes nothing
	endSilent             // the peer does not answer pings
	endSpoke              // the peer sent a message, and nobody reads any
	endBehind             // the subscriber fell too far behind
	endBusy               // the log could not be read in time for a subscriber who is behind
	endGone               // the log does not reach back that far
	endReplaced           // the log is another history
	endCredentials        // the principal was changed
	endExpired            // the token is over
	endStopping           // this tenet stops
)

// Codes of the Close frame, in the range for private use.
const (
	codeCredentials websocket.StatusCode = 4401
	codeBehind      websocket.StatusCode = 4408
	codeGone        websocket.StatusCode = 4410
)

// label is the ending in the measures; "" for one that is no cutting off.
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
	return websocket.StatusGoingAway, "come back"
}

// Delays after which a subscriber should come back.
const (
	soon    = time.Second      // at least
	perHead = time.Millisecond // more for each subscriber who is sent away at the same time
	longest = 30 * time.Second // at most
)

// comeBack returns a delay by chance, so that n subscribers don't come back at once.
func comeBack(n int) time.Duration {
	spread := min(soon+time.Duration(n)*perHead, longest)
	return soon + rand.N(spread) //nolint:gosec // chance, not secrecy
}

// goodbye returns the last message of a subscriber, nil for one that would not get it. Count is how many others there are.
func (e ending) goodbye(seq, newest, oldest knowledge.Seq, count int) *event {
	retry := comeBack(0)
	switch e {
	case endBehind, endBusy:
		why := "the stream is too far behind the log: come back with this seq"
		if e == endBusy {
			why = "too many subscribers read the log at the moment: come back with this seq"
			retry = comeBack(count)
		}
		return note(typeBehind, seq, retry, behindMessage{Type: typeBehind, Seq: seq, Newest: newest, Retry: retry.Milliseconds(), Why: why})
	case endGone:
		return note(typeGone, noID, retry, goneMessage{
			Type: typeGone, Oldest: oldest, Why: "the log no longer reaches back that far: read everything afresh, then follow from there",
		})
	case endReplaced:
		return note(typeGone, noID, retry, goneMessage{
			Type: typeGone, Why: "the log is another history than the one followed so far, after a restore or a failover: read everything afresh, then follow from there",
		})
	case endCredentials, endExpired, endStopping:
		why := map[ending]string{
			endCredentials: "the principal was changed: come back, with a token that is valid",
			endExpired:     "the token has expired: come back with another one",
			endStopping:    "this tenet stops: come back later, or to another one",
		}[e]
		if e == endStopping {
			retry = comeBack(count)
		}
		return note(typeBye, seq, retry, byeMessage{Type: typeBye, Seq: seq, Retry: retry.Milliseconds(), Why: why})
	case endNone, endLeft, endStuck, endSilent, endSpoke:
	}
	return nil
}
