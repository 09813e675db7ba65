package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count the requests at all endpoints together.
type Metrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	ok       prometheus.Counter            // requests with code 200
	v1, v2   prometheus.Counter            // requests at the instance metadata endpoint, by version
	clients  map[string]prometheus.Counter // requests that were not refused, by families
}

// NewMetrics returns Metrics registered with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	auto := promauto.With(reg)
	m := &Metrics{
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "irsa_sidecar_requests_total",
			Help: "Requests for credentials, by HTTP status code of the answer.",
		}, []string{"code"}),
		refused: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "irsa_sidecar_requests_refused_total",
			Help: "Rejected requests for credentials, by reason.",
		}, []string{"reason"}),
	}
	imds := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "irsa_sidecar_imds_requests_total",
		Help: "Requests at the instance metadata endpoint, by version of its protocol; requests for a session token do not count.",
	}, []string{"version"})
	m.v1, m.v2 = imds.WithLabelValues("1"), imds.WithLabelValues("2")
	for _, code := range []string{"200", "400", "401", "403", "404", "405", "503"} {
		m.requests.WithLabelValues(code)
	}
	for _, reason := range []string{"uid", "host", "forwarded", "browser", "path", "method", "authorization"} {
		m.refused.WithLabelValues(reason)
	}
	clients := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "irsa_sidecar_clients_total",
		Help: "Requests that were not rejected, by the SDK or the runtime that the User-Agent names.",
	}, []string{"sdk"})
	m.clients = map[string]prometheus.Counter{noAgent: clients.WithLabelValues(noAgent), otherAgent: clients.WithLabelValues(otherAgent)}
	for _, f := range families() {
		m.clients[f.name] = clients.WithLabelValues(f.name)
	}
	m.ok = m.requests.WithLabelValues("200")
	return m
}
