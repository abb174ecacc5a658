package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"tenet/internal/access"
	"tenet/internal/httpapi"
	"tenet/internal/knowledge"
	"tenet/internal/server"
)

// entranceSettings say how callers come in, and how much each may take.
type entranceSettings struct {
	TLSCert         string   `name:"tls-cert" doc:"File with the certificate that callers get, and those it stands on: tenet then speaks TLS, and reads the file again when it changes"`
	TLSKey          string   `name:"tls-key" doc:"File with the key of --tls-cert"`
	TrustedProxies  []string `name:"trusted-proxies" doc:"Address or network of a proxy whose X-Forwarded-For tells where a call comes from, as in 10.0.0.7 or 10.0.0.0/24. May be given several times"`
	CORSOrigins     []string `name:"cors-origins" doc:"Origin of another site whose pages may call the API and follow the live changes, as in https://docs.example.com, https://*.example.com, or * for every one. May be given several times"`
	MaxConnections  int      `name:"max-connections" default:"16384" doc:"Connections at one time; more are told to come back. Fewer where the process may not open so many files"`
	ConnectionsEach int      `name:"connections-each" default:"4096" doc:"Connections of one address, unless it is this machine's or a trusted proxy's"`
	MaxRequests     int      `name:"max-requests" default:"1024" doc:"Requests at work at one time; more are told to come back"`
	RequestsEach    int      `name:"requests-each" default:"256" doc:"Requests of one principal at one time; more are refused with 429, and the others are answered"`
	Quota           []string `name:"quota" doc:"What one principal of a role may write, as in \"contributor=600,256\": writes a minute and MiB of documents a day, 0 for no bound; the role may be agent, for agents of any role. Unless said otherwise 600,256 for contributor and agent, none for the others. May be given several times"`
	MetricsOpen     bool     `name:"metrics-open" default:"false" doc:"Let everybody who reaches tenet read /metrics, without a token"`
	MetricsListen   string   `name:"metrics-listen" doc:"Address of a listener of its own that answers /metrics without a token, and nothing else, as in 127.0.0.1:9420"`
}

// entrance writes the settings into the options of a tenet.
func (s *serveSettings) entrance(o *server.Options) error {
	e := &s.entranceSettings
	for _, bound := range []struct {
		name string
		n    int
	}{{"max-connections", e.MaxConnections}, {"connections-each", e.ConnectionsEach}, {"max-requests", e.MaxRequests}, {"requests-each", e.RequestsEach}} {
		if bound.n < 1 {
			return usageError("--%s %d: want a number from 1", bound.name, bound.n)
		}
	}
	if (e.TLSCert == "") != (e.TLSKey == "") {
		return usageError("--tls-cert and --tls-key go together: give both, or none")
	}
	trusted, err := server.ParseTrusted(e.TrustedProxies)
	if err != nil {
		return usageError("--trusted-proxies %s", err)
	}
	for _, origin := range e.CORSOrigins {
		if err := httpapi.CheckOrigin(origin); err != nil {
			return usageError("--cors-origins %s", err)
		}
	}
	o.MetricsOpen, o.Limits.MaxConcurrent, o.Limits.MaxEach = e.MetricsOpen, e.MaxRequests, e.RequestsEach
	o.Entrance = server.Entrance{
		Connections: e.MaxConnections, ConnectionsEach: e.ConnectionsEach, Trusted: trusted, TLSCert: e.TLSCert, TLSKey: e.TLSKey,
		MetricsListen: e.MetricsListen, Origins: e.CORSOrigins,
	}
	o.Quotas, err = parseQuotas(e.Quota)
	return err
}

// parseQuotas reads what principals may write.
func parseQuotas(list []string) (access.Quotas, error) {
	quotas := access.DefaultQuotas()
	roles := append(knowledge.Roles(), access.QuotaAgent)
	for _, text := range list {
		role, numbers, ok := strings.Cut(text, "=")
		if !slices.Contains(roles, role) {
			return nil, usageError("--quota %q: want a role before the =, one of %s", text, strings.Join(roles, ", "))
		}
		writes, size, both := strings.Cut(numbers, ",")
		w, err := strconv.ParseInt(writes, 10, 64)
		m, err2 := strconv.ParseInt(size, 10, 64)
		if !ok || !both || err != nil || err2 != nil || w < 0 || m < 0 || m > 1<<30 {
			return nil, usageError("--quota %q: want writes a minute and MiB a day, 0 for no bound, as in contributor=600,256", text)
		}
		quotas[role] = access.Quota{Writes: w, Bytes: m << 20}
	}
	return maps.Clone(quotas), nil
}
