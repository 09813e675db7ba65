package sts

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	duration prometheus.Histogram
	requests *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	auto := promauto.With(reg)
	return &metrics{
		duration: auto.NewHistogram(prometheus.HistogramOpts{
			Name:    "irsa_sidecar_sts_request_duration_seconds",
			Help:    "Duration of calls to STS, including failed ones.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
		// Codes do not start at 0 here: irsa_sidecar_refreshes_total has them all.
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "irsa_sidecar_sts_requests_total",
			Help: "Calls to STS, by the region that was asked and the result: success, or the code of the failure.",
		}, []string{"region", "result"}),
	}
}
