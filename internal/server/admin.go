package server

import (
	"errors"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds concurrent scrapes of the metrics: each takes some 100 kB, and
// anybody in the cluster can scrape.
const maxScrapes = 8

// NewAdmin returns the handler of what anybody may see: the metrics, whether the process
// answers, and whether it is ready, that is whether ready returns nil. It shows only the
// ErrorCode of an error of ready: messages may name roles.
func NewAdmin(metrics prometheus.Gatherer, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		DisableCompression:  true, // for ten kilobytes it would take a megabyte of buffers
		MaxRequestsInFlight: maxScrapes,
	}))
	mux.Handle("GET /healthz", healthz())
	mux.Handle("GET /readyz", readyz(ready))
	return mux
}

// healthz always answers. It does not depend on STS: a restart would not fix STS, and
// would throw away credentials that are still good.
func healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "ok\n")
	})
}

func readyz(ready func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := ready()
		if err == nil {
			io.WriteString(w, "ok\n")
			return
		}
		body := "not ready\n"
		if coded, ok := errors.AsType[interface {
			error
			ErrorCode() string
		}](err); ok {
			body = "not ready: " + coded.ErrorCode() + "\n"
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, body)
	})
}
