package server_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"tenet/internal/server"
)

// TestToolsKeepTheirOrderAndCallsTheirConnection lists the tools again and again over several connections while rules
// are written: an assistant keeps the list in its prompt, where another order is another prompt, and a connection that
// were closed between two calls would cut the next one off.
func TestToolsKeepTheirOrderAndCallsTheirConnection(t *testing.T) {
	x := start(t, server.Options{})
	token, url := x.token(t), x.Facts().URL+"/mcp"
	body, header := plainRPC("tools/list", "")
	list := func(client *http.Client, opened *atomic.Int64) (string, error) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if !i.Reused {
				opened.Add(1)
			}
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return string(text), err
	}
	var first atomic.Int64
	want, err := list(&http.Client{Transport: &http.Transport{}}, &first)
	if err != nil || strings.Count(want, `"inputSchema"`) < 7 {
		t.Fatalf("%v: %s", err, want)
	}
	var asking errgroup.Group
	for range 8 {
		asking.Go(func() error {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			var opened atomic.Int64
			for range 25 {
				got, err := list(client, &opened)
				if err != nil {
					return err
				}
				if got != want {
					t.Errorf("the tools are %.300s, and were %.300s", got, want)
				}
			}
			if n := opened.Load(); n != 1 {
				t.Errorf("25 calls one after the other took %d connections", n)
			}
			return nil
		})
	}
	for n := range 25 {
		title := strings.Repeat("x", n+1)
		write(t, x.admin(t), "admin", patch("rule/SEC-001", `{"title":"`+title+`"}`))
	}
	if err := asking.Wait(); err != nil {
		t.Error(err)
	}
}
