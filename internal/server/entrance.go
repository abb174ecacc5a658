package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tenet/internal/httpapi"
	"tenet/internal/settings"
)

// An Entrance says how callers come to the doors. Zero values stand for the defaults.
type Entrance struct {
	// TLSCert and TLSKey are read again when they change. Both are empty for no TLS.
	TLSCert        string   `name:"tls-cert" doc:"File with the certificate that callers get, and those it stands on: tenet then speaks TLS, and reads the file again when it changes"`
	TLSKey         string   `name:"tls-key" doc:"File with the key of --tls-cert"`
	TrustedProxies []string `name:"trusted-proxies" doc:"Address or network of a proxy whose X-Forwarded-For tells where a call comes from, as in 10.0.0.7 or 10.0.0.0/24. May be given several times"`
	Origins        []string `name:"cors-origins" doc:"Origin of another site whose pages may call the API and follow the live changes, as in https://docs.example.com, https://*.example.com, or * for every one. May be given several times"`
	Connections    int      `name:"max-connections" default:"16384" least:"1" doc:"Connections at one time; more are told to come back. Fewer where the process may not open so many files"`
	// ConnectionsEach is a quarter of Connections when 0.
	ConnectionsEach int  `name:"connections-each" default:"4096" least:"1" doc:"Connections of one address, unless it is this machine's or a trusted proxy's"`
	MetricsOpen     bool `name:"metrics-open" default:"false" doc:"Let everybody read /metrics, without a token"`
	// SendWindow is the time in which a piece of an answer must go out, or its connection is closed; 30 s when 0.
	SendWindow    time.Duration
	MetricsListen string `name:"metrics-listen" doc:"Address of a listener of its own that answers /metrics without a token, and nothing else, as in 127.0.0.1:9420"`
}

// spareFiles is the largest number of open files beside the connections of callers: databases, journals, connections to
// PostgreSQL.
const spareFiles = 256

// crowd returns what bounds the connections.
func (e Entrance) crowd(log *slog.Logger) *httpapi.Crowd {
	each := e.ConnectionsEach
	settings.Defaults(&e)
	most := e.Connections
	if files := openFiles(); files > 2*spareFiles && files-spareFiles < most {
		most = files - spareFiles
		log.Warn("fewer connections than wanted: the process may not open more files", "connections", most, "files",
			files)
	}
	if each == 0 {
		each = max(most/4, 1)
	}
	proxies, _ := e.trusted() // [Options.Check] has read them
	return &httpapi.Crowd{
		Max: most, Each: each, Window: e.SendWindow, Silent: e.TLSCert != "",
		Exempt: func(a netip.Addr) bool { return a.IsLoopback() || trusts(proxies, a) },
	}
}

func trusts(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// checkOrigins returns an error for the first origin that is none.
func (e Entrance) checkOrigins() error {
	for _, origin := range e.Origins {
		if err := httpapi.CheckOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}

// trusted returns the addresses of the proxies whose word counts on where a call comes from.
func (e Entrance) trusted() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range e.TrustedProxies {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q: want an address or a network, as in 10.0.0.7 or 10.0.0.0/24", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// A keyPair is a certificate that is read again when its file changes.
type keyPair struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	now    *tls.Certificate
	looked time.Time
	seen   [2]time.Time // when the files were changed last, as far as was seen
}

// lookEvery is how often the files of a certificate are looked at, at most.
const lookEvery = time.Second

func openKeyPair(cert, key string, log *slog.Logger) (*keyPair, error) {
	k := &keyPair{cert: cert, key: key, log: log}
	if err := k.read(); err != nil {
		return nil, err
	}
	return k, nil
}

// read takes the certificate from its files.
func (k *keyPair) read() error {
	k.seen = [2]time.Time{changed(k.cert), changed(k.key)}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("read the certificate for --tls-cert and --tls-key: %w", err)
	}
	if now := time.Now(); k.now != nil && now.After(pair.Leaf.NotAfter) && now.Before(k.now.Leaf.NotAfter) {
		return fmt.Errorf("it has expired, on %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	k.now = &pair
	return nil
}

func changed(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// get is for [tls.Config.GetCertificate]. A new certificate that can't be read, or has expired before the old one has,
// leaves the old one in its place.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); now.Sub(k.looked) >= lookEvery {
		k.looked = now
		if k.seen != [2]time.Time{changed(k.cert), changed(k.key)} {
			if err := k.read(); err != nil {
				k.log.Warn("the new certificate can't be used, and the old one is kept", "error", err)
			} else {
				k.log.Info("a new certificate is in use", "until", k.now.Leaf.NotAfter)
			}
		}
	}
	return k.now, nil
}

// secure puts TLS over a listener where there is a certificate.
func (e Entrance) secure(l net.Listener, log *slog.Logger) (net.Listener, error) {
	switch {
	case e.TLSCert == "" && e.TLSKey == "":
		return l, nil
	case e.TLSCert == "" || e.TLSKey == "":
		return nil, errors.New("--tls-cert and --tls-key go together: give both, or none")
	}
	k, err := openKeyPair(e.TLSCert, e.TLSKey, log)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: k.get,
		NextProtos: []string{"http/1.1"},
	}), nil
}

// listenMetrics answers /metrics, and nothing else, on an address of its own, without a token.
func (s *Server) listenMetrics(ctx context.Context) error {
	address := s.o.Entrance.MetricsListen
	if address == "" {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s for the measures: %w: choose another address with --metrics-listen", address,
			err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.parts.metrics, promhttp.HandlerOpts{
		MaxRequestsInFlight: 8,
		Timeout:             metricsTimeout,
	}))
	s.metrics = &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: metricsTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelWarn),
	}
	s.facts.Metrics = "http://" + l.Addr().String() + "/metrics"
	limited := httpapi.Listen(l, &httpapi.Crowd{Max: metricsConnections})
	go func() { _ = s.metrics.Serve(limited) }() // close ends it
	return nil
}

// Bounds of the listener for measures: it is for a scraper or two.
const (
	metricsConnections = 64
	metricsTimeout     = 10 * time.Second
)
