package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// peerOf returns the address that the request comes from: that of the connection, or where a trusted proxy has it, the
// last one in X-Forwarded-For that is no trusted proxy's. The entries before it may be forged.
func peerOf(r *http.Request, proxies []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	at, err := netip.ParseAddr(host)
	if err != nil || !isTrusted(proxies, at) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if pair, err := netip.ParseAddrPort(hop); err == nil { // some proxies tell the port too
			hop = pair.Addr().String()
		}
		a, err := netip.ParseAddr(hop)
		if err != nil {
			break
		}
		if at = a; !isTrusted(proxies, a) {
			break
		}
	}
	return at.Unmap().String()
}

func isTrusted(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
