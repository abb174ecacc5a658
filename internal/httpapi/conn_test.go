package httpapi

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"tenet/internal/access"
)

// connected returns a connection as a door gets it, and its other end.
func connected(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := Listen(l, nil).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near.(*conn), far
}

func write(t *testing.T, c *conn, b []byte) {
	t.Helper()
	if n, err := c.Write(b); n != len(b) || err != nil {
		t.Fatalf("%d bytes of %d were written: %v", n, len(b), err)
	}
}

func TestAConnectionHoldsBackTheFirstPieceOnly(t *testing.T) {
	c, far := connected(t)
	room := make([]byte, 0, 16<<10)
	first, rest := bytes.Repeat([]byte("a"), firstPiece), bytes.Repeat([]byte("b"), 3*firstPiece)
	c.hold(&room)
	write(t, c, first)
	if len(room) != len(first) {
		t.Errorf("%d bytes are held back, want all %d", len(room), len(first))
	}
	write(t, c, rest)
	if len(room) != 0 {
		t.Errorf("%d bytes are still held back", len(room))
	}
	if err := c.release(); err != nil {
		t.Fatal(err)
	}
	write(t, c, []byte("c"))
	c.Close()
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, append(append(first, rest...), 'c')) {
		t.Errorf("%d bytes arrived: %v", len(got), err)
	}
}

func TestWhateverIsWrittenArrivesInOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	c, far := connected(t)
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	var want []byte
	for range 300 {
		held := rnd.IntN(2) == 0
		if held {
			room := make([]byte, 0, 8<<10)
			c.hold(&room)
		}
		for range rnd.IntN(6) {
			b := make([]byte, rnd.IntN(3*firstPiece))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			write(t, c, b)
			want = append(want, b...)
		}
		if held {
			if err := c.release(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Close()
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("%d bytes arrived, want these %d", len(b), len(want))
	}
}

func TestAWriterHearsThatHisCallerHasGone(t *testing.T) {
	c, _ := connected(t)
	room := make([]byte, 0, 8<<10)
	c.hold(&room)
	write(t, c, []byte("a"))
	c.Close()
	if n, err := c.Write(make([]byte, 2*firstPiece)); n != 0 || err == nil {
		t.Errorf("%d bytes were written: %v", n, err)
	}
	c.hold(&room)
	write(t, c, []byte("a"))
	if err := c.release(); err == nil {
		t.Error("what was held back seems to be written")
	}
}

// TestAStreamGivesTheDeadlineBack is about the answer after a stream on one connection: a peer who does not read it
// must be left too.
func TestAStreamGivesTheDeadlineBack(t *testing.T) {
	c, _ := connected(t)
	for _, deadline := range []time.Time{time.Now().Add(time.Hour), {}} {
		if err := c.SetWriteDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		if got := c.owned.Load(); got == deadline.IsZero() {
			t.Errorf("after SetWriteDeadline(%v) the deadline is somebody else's: %v", deadline, got)
		}
	}
	c.paced = time.Time{}
	write(t, c, []byte("a"))
	if c.paced.IsZero() {
		t.Error("the answer after a stream has no deadline")
	}
}

// TestAnswersOfAnyLengthArriveWhole asks for answers around every border at which net/http writes, over one connection.
func TestAnswersOfAnyLengthArriveWhole(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcde\n"), 16<<10)
	h := New(Options{})
	server := &http.Server{
		ConnContext: ConnContext,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := strconv.Atoi(r.URL.Query().Get("n"))
			if err != nil {
				t.Error(err)
			}
			c := &call{h: h, w: w, r: r, request: &access.Request{Given: "given"}}
			c.set("X-Padding", string(body[:n%97]))
			c.send(http.StatusOK, mediaJSON, body[:n])
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(Listen(l, nil)) }()
	defer server.Close()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	lengths := []int{0, 1, len(body)}
	for _, around := range []int{2 << 10, shortAnswer, 3700, firstPiece, 8 << 10, 64 << 10} {
		for n := around - 400; n < around+400; n += 37 {
			lengths = append(lengths, n)
		}
	}
	for _, n := range lengths {
		resp, err := client.Get("http://" + l.Addr().String() + "/?n=" + strconv.Itoa(n))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, body[:n]) {
			t.Fatalf("of %d bytes %d came: %v", n, len(got), err)
		}
	}
}
