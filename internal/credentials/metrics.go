package credentials

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	expiration  prometheus.Gauge
	lastSuccess prometheus.Gauge
	nextAttempt prometheus.Gauge
	refreshes   *prometheus.CounterVec
	failing     *prometheus.GaugeVec
}

func newMetrics(codes []string, reg prometheus.Registerer) *metrics {
	auto := promauto.With(reg)
	m := &metrics{
		expiration: auto.NewGauge(prometheus.GaugeOpts{
			Name: "irsa_sidecar_credentials_expiration_timestamp_seconds",
			Help: "Unix time at which the current credentials expire; 0 before the first ones.",
		}),
		lastSuccess: auto.NewGauge(prometheus.GaugeOpts{
			Name: "irsa_sidecar_refresh_last_success_timestamp_seconds",
			Help: "Unix time of the last successful refresh; 0 before the first one.",
		}),
		nextAttempt: auto.NewGauge(prometheus.GaugeOpts{
			Name: "irsa_sidecar_refresh_next_attempt_timestamp_seconds",
			Help: "Unix time of the next scheduled attempt to obtain credentials.",
		}),
		refreshes: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "irsa_sidecar_refreshes_total",
			Help: "Attempts to obtain credentials, by result: success, or the code of the failure.",
		}, []string{"result"}),
		failing: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "irsa_sidecar_refresh_failing",
			Help: "1, labelled with the code of the failure, while the latest attempt has failed; absent otherwise.",
		}, []string{"code"}),
	}
	m.refreshes.WithLabelValues("success")
	for _, code := range codes {
		m.refreshes.WithLabelValues(code)
	}
	return m
}

func (m *metrics) succeeded(now, expires time.Time) {
	m.refreshes.WithLabelValues("success").Inc()
	m.failing.Reset()
	m.expiration.Set(seconds(expires))
	m.lastSuccess.Set(seconds(now))
}

func (m *metrics) failed(code string) {
	m.refreshes.WithLabelValues(code).Inc()
	m.failing.Reset()
	m.failing.WithLabelValues(code).Set(1)
}

// seconds returns t as Prometheus writes times.
func seconds(t time.Time) float64 {
	return float64(t.UnixMilli()) / 1000
}
