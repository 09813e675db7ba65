package sts

import (
	"crypto/x509"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Files reports on the files of settings that are read again for every call.
type Files struct {
	log   *slog.Logger
	stale *prometheus.GaugeVec
}

// NewFiles returns Files whose metric is registered with reg.
func NewFiles(log *slog.Logger, reg prometheus.Registerer) *Files {
	return &Files{log: log, stale: promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
		Name: "irsa_sidecar_setting_stale",
		Help: "1 while the file of a setting cannot be used and what it held before is; only of settings that name a file.",
	}, []string{"setting"})}
}

// Reloaded is the content of a file that may change. It is not for concurrent use.
type Reloaded[T any] struct {
	files   *Files
	setting string
	read    func() (T, error)
	last    T
	stale   bool
}

// Reload returns the content of the file of a setting, which is last so far, and which read
// reads again.
func Reload[T any](f *Files, setting string, last T, read func() (T, error)) *Reloaded[T] {
	f.stale.WithLabelValues(setting).Set(0)
	return &Reloaded[T]{files: f, setting: setting, read: read, last: last}
}

// Get returns what the file holds, or what it held when it could last be used.
func (r *Reloaded[T]) Get() T {
	content, err := r.read()
	if err != nil {
		r.isStale(err.Error())
		return r.last
	}
	r.isFresh()
	r.last = content
	return content
}

// isStale warns, once, that the file cannot be used.
func (r *Reloaded[T]) isStale(why string) {
	if !r.stale {
		r.files.log.Warn("file of a setting cannot be used", "setting", r.setting, "error", why, "hint", "what it held before is used meanwhile: correct the file")
	}
	r.stale = true
	r.files.stale.WithLabelValues(r.setting).Set(1)
}

func (r *Reloaded[T]) isFresh() {
	if r.stale {
		r.files.log.Info("file of a setting can be used again", "setting", r.setting)
	}
	r.stale = false
	r.files.stale.WithLabelValues(r.setting).Set(0)
}

// NewReloadedTransport returns NewTransport, with the root certificates that there are when
// a call begins.
func NewReloadedTransport(rootCAs *Reloaded[*x509.CertPool]) http.RoundTripper {
	return reloadedTransport{rootCAs}
}

type reloadedTransport struct{ rootCAs *Reloaded[*x509.CertPool] }

func (t reloadedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return NewTransport(t.rootCAs.Get()).RoundTrip(r)
}
