package server_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tenet/internal/httpapi"
	"tenet/internal/knowledge"
	"tenet/internal/pgtest"
	"tenet/internal/server"
)

// bigPage is a page that ends at its bytes.
const bigPage = "/api/v1/rules?tag=big&limit=200"

// sluggard asks for large pages on one connection, several times in a row, and reads none of them: what doesn't fit
// into the system's buffers stays with tenet.
func sluggard(t *testing.T, x *tenet, token string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(x.Facts().URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	ask := "GET " + bigPage + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	if _, err := c.Write([]byte(strings.Repeat(ask, 3))); err != nil {
		t.Fatal(err)
	}
	return c
}

// fill writes more large rules than a page holds.
func fill(w *web) {
	w.t.Helper()
	text := strings.Repeat("Gargantuan words. ", 500<<10/len("Gargantuan words. "))
	for i := range knowledge.MaxPageBytes/(500<<10) + 2 {
		w.want(http.StatusCreated, http.MethodPut, fmt.Sprintf("/api/v1/rules/BIG-%02d", i),
			fmt.Sprintf(`{"category":"security","title":"Big","tags":["big"],"description":%q}`, text))
	}
}

// TestAnswersThatNobodyReadsAreBounded lets callers ask for pages that they don't read: one is told when it has its
// share, all when the budget is used up, readiness says so, and who asks for little is answered all the while.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(t *testing.T) string{
		"embedded":   func(*testing.T) string { return "" },
		"PostgreSQL": func(t *testing.T) string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			// a page is longer by less than a document: four of them are 98 % of the budget
			const page = knowledge.MaxPageBytes
			x := start(t, server.Options{DatabaseURL: address(t), Limits: httpapi.Limits{MaxAnswers: 4*page + page/4}})
			w := x.browse(t)
			fill(w)
			ann, bob, eve := person(t, x, "ann", knowledge.RoleViewer), person(t, x, "bob", knowledge.RoleViewer),
				person(t, x, "eve", knowledge.RoleViewer)
			hers := &web{t, w.url, ann}
			var held []net.Conn
			held = append(held, sluggard(t, x, ann), sluggard(t, x, ann))
			await(t, "her share is used up", func() bool {
				if hers.do(http.MethodGet, bigPage, "").status == http.StatusTooManyRequests {
					return true
				}
				held = append(held, sluggard(t, x, ann)) // this question may have had what a sluggard was refused for
				return false
			})
			hers.want(http.StatusOK, http.MethodGet, "/api/v1/rules/SEC-001", "")
			held = append(held, sluggard(t, x, bob), sluggard(t, x, bob))
			await(t, "readiness says that answers are on their way", func() bool {
				s := w.do(http.MethodGet, "/readyz", "")
				return s.status == http.StatusServiceUnavailable && strings.Contains(s.body, "answers of ")
			})
			if s := (&web{t, w.url, eve}).do(http.MethodGet, bigPage, ""); s.status != http.StatusServiceUnavailable ||
				s.header.Get("Retry-After") == "" {
				t.Errorf("a page over the budget of all: %d, Retry-After %q", s.status, s.header.Get("Retry-After"))
			}
			w.want(http.StatusOK, http.MethodGet, "/api/v1/rules/SEC-001", "")
			for _, c := range held {
				c.Close()
			}
			await(t, "what they held is given back",
				func() bool { return w.do(http.MethodGet, "/readyz", "").status == http.StatusOK })
			w.want(http.StatusOK, http.MethodGet, bigPage, "")
		})
	}
}

// TestAPeerThatDoesNotReadIsLeft never reads an answer that does not fit into the system's buffers.
func TestAPeerThatDoesNotReadIsLeft(t *testing.T) {
	t.Parallel()
	o := server.Options{}
	o.Entrance.SendWindow = 200 * time.Millisecond
	x := start(t, o)
	w := x.browse(t)
	fill(w)
	c := sluggard(t, x, person(t, x, "ann", knowledge.RoleViewer))
	await(t, "its connection is closed", func() bool {
		_, err := c.Write([]byte("G")) // of one more request: a closed connection does not take it
		return err != nil
	})
	w.want(http.StatusOK, http.MethodGet, "/api/v1/rules/SEC-001", "")
}
