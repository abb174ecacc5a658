package live

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"tenet/internal/knowledge"
)

func TestCompressedStreamsHoldTheSame(t *testing.T) {
	log := newLog(t)
	for i := range 50 {
		log.add(put(t, rule(fmt.Sprintf("R-%d", i),
			func(r *knowledge.Rule) { r.Description = strings.Repeat("word ", i*i) })))
	}
	r := newRig(t, log, Options{})
	for _, mode := range []websocket.CompressionMode{
		websocket.CompressionDisabled,
		websocket.CompressionNoContextTakeover, websocket.CompressionContextTakeover,
	} {
		h := http.Header{"Authorization": {"Bearer viewer"}}
		p, resp, err := dialSocket(t, r.server.URL+"/api/v1/live?after=0", h, mode) //nolint:bodyclose // the peer reads it, and closes it
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); (got != "") != (mode != websocket.CompressionDisabled) {
			t.Errorf("mode %d: the extensions are %q", mode, got)
		}
		p.expect(typeHello)
		for i, m := range p.changes(50) {
			if want := `"document":` + string(log.all()[i].Record.JSON) + "}"; !strings.HasSuffix(m.raw, want) {
				t.Fatalf("mode %d: change %d is %.200s", mode, i+1, m.raw)
			}
		}
	}
}

func TestATokenCanComeAsASubprotocol(t *testing.T) {
	r := newRig(t, newLog(t), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, offered := range [][]string{{Subprotocol, "tenet.token.viewer"}, {"tenet.token.viewer", Subprotocol}} {
		conn, resp, err := websocket.Dial(ctx, r.server.URL, &websocket.DialOptions{Subprotocols: offered}) //nolint:bodyclose // it has none
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != Subprotocol {
			t.Errorf("the answer speaks %q, want %q", got, Subprotocol)
		}
		conn.CloseNow()
	}
	_, resp, err := websocket.Dial(ctx, r.server.URL,
		&websocket.DialOptions{Subprotocols: []string{Subprotocol, "tenet.token.guest"}})
	checkRefusal(t, resp, err, http.StatusForbidden, "forbidden", "guest")
}

func TestAHeaderWinsOverASubprotocol(t *testing.T) {
	var got http.Header
	h := TokenFromSubprotocol(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	for _, c := range []struct{ upgrade, header, offered, token, left string }{
		{"websocket", "", "tenet.v1, tenet.token.abc", "Bearer abc", "tenet.v1"},
		{"WebSocket", "Bearer own", "tenet.token.abc,tenet.v1", "Bearer own", "tenet.v1"},
		{"websocket", "", "tenet.token.abc", "Bearer abc", ""},
		{"websocket", "", "tenet.token.", "", "tenet.token."},
		{"websocket", "", "tenet.v1", "", "tenet.v1"},
		{"", "", "tenet.token.abc", "", "tenet.token.abc"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Upgrade": c.upgrade, "Authorization": c.header,
			"Sec-WebSocket-Protocol": c.offered,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		h.ServeHTTP(nil, r)
		if got.Get("Authorization") != c.token || got.Get("Sec-WebSocket-Protocol") != c.left {
			t.Errorf("%+v: went on with %q and %q", c, got.Get("Authorization"), got.Get("Sec-WebSocket-Protocol"))
		}
		if r.Header.Get("Sec-WebSocket-Protocol") != c.offered {
			t.Error("the caller's own request was changed")
		}
	}
}

func TestWhoSpeaksIsCutOff(t *testing.T) {
	r := newRig(t, newLog(t), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	as := http.Header{"Authorization": {"Bearer viewer"}}
	conn, _, err := websocket.Dial(ctx, r.server.URL, &websocket.DialOptions{HTTPHeader: as}) //nolint:bodyclose // it has none
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = conn.Read(ctx)
	}
	if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v, want %d", err, websocket.StatusPolicyViolation)
	}
}

// TestPingsAreAnsweredAmongMessages sends a ping right behind the handshake and others while changes stream, and looks
// whether every frame that comes back is whole.
func TestPingsAreAnsweredAmongMessages(t *testing.T) {
	log := newLog(t)
	log.rules(400)
	r := newRig(t, log, Options{Ring: 32})
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ping := "\x89\x83\x00\x00\x00\x00abc" // masked with zeroes
	io.WriteString(conn, "GET /?after=0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "+
		"websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer viewer\r\n\r\n"+strings.Repeat(ping, 20))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // it has none
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	pongs := 0
	var got []knowledge.Seq
	for len(got) < 400 || pongs < 20 {
		first, payload := readFrame(t, in)
		switch first {
		case 0x8a:
			pongs++
			if string(payload) != "abc" {
				t.Fatalf("a pong holds %q", payload)
			}
		case finalText:
			if m := decode(t, payload); m.Type == typeChange {
				got = append(got, m.Seq)
			}
		default:
			t.Fatalf("a frame begins with %#x", first)
		}
	}
	if !slices.Equal(got, upTo(1, 400)) {
		t.Errorf("got %v", got)
	}
}

func readFrame(t *testing.T, in io.Reader) (first byte, payload []byte) {
	t.Helper()
	var head [2]byte
	read := func(b []byte) {
		if _, err := io.ReadFull(in, b); err != nil {
			t.Fatal(err)
		}
	}
	read(head[:])
	size := int(head[1])
	if size >= len16 {
		length := make([]byte, map[int]int{len16: 2, len64: 8}[size])
		read(length)
		size = 0
		for _, b := range length {
			size = size<<8 | int(b)
		}
	}
	payload = make([]byte, size)
	read(payload)
	return head[0], payload
}
