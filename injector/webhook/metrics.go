package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// result is what became of a pod.
type result string

const (
	injected  result = "injected"
	unchanged result = "unchanged"
	refused   result = "refused"
)

// Metrics counts requests.
type Metrics struct {
	requests *prometheus.CounterVec
	duration prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "irsa_sidecar_injector_requests_total",
			Help: "Pods that the API server asked about, by what became of them: injected, unchanged or refused.",
		}, []string{"result"}),
		duration: promauto.With(reg).NewHistogram(prometheus.HistogramOpts{
			Name:    "irsa_sidecar_injector_request_duration_seconds",
			Help:    "Time from the API server's request to the answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2},
		}),
	}
	for _, r := range []result{injected, unchanged, refused} {
		m.requests.WithLabelValues(string(r)) // so that a rate exists before the first
	}
	return m
}

func (m *Metrics) observe(r result, d time.Duration) {
	m.requests.WithLabelValues(string(r)).Inc()
	m.duration.Observe(d.Seconds())
}
