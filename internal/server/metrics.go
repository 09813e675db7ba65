package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count the requests at all endpoints together.
type Metrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	ok       prometheus.Counter // requests with code 200
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
	for _, code := range []string{"200", "400", "401", "403", "404", "405", "503"} {
		m.requests.WithLabelValues(code)
	}
	for _, reason := range []string{"host", "forwarded", "path", "method", "authorization"} {
		m.refused.WithLabelValues(reason)
	}
	m.ok = m.requests.WithLabelValues("200")
	return m
}
