package token

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// pollPeriod is how long a new token can go unnoticed if inotify does not work: its
// instances can be used up, a file system can lack it, a queue can overflow. A token is
// replaced when a fifth of its lifetime is left, at least two minutes; half of that is
// often enough and rarely wakes an idle machine.
const pollPeriod = time.Minute

// settleTime is how long the watcher waits after an event before it reads the file:
// publishing a token causes a handful of events, and a file that flaps must not keep a
// core busy.
const settleTime = 200 * time.Millisecond

// Watcher reports when the token in a file has been replaced, logs the claims of the new
// one and keeps the metrics about it.
type Watcher struct {
	file    File
	log     *slog.Logger
	metrics *metrics
	last    observation
}

// observation is what the last read of the file found.
type observation struct {
	usable  bool
	sum     [sha256.Size]byte // of the last usable token
	expiry  time.Time         // of the last usable token, zero if unknown
	expired bool              // expiry has passed, and the log says so
}

type metrics struct {
	expiration prometheus.Gauge
	changes    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	auto := promauto.With(reg)
	return &metrics{
		expiration: auto.NewGauge(prometheus.GaugeOpts{
			Name: "irsa_sidecar_token_expiration_timestamp_seconds",
			Help: "Unix time at which the service account token expires, by its own claim; 0 before the first token.",
		}),
		changes: auto.NewCounter(prometheus.CounterOpts{
			Name: "irsa_sidecar_token_changes_total",
			Help: "Replacements of the service account token by another one.",
		}),
	}
}

// NewWatcher returns a Watcher of file whose metrics are registered with reg.
func NewWatcher(file File, log *slog.Logger, reg prometheus.Registerer) *Watcher {
	return &Watcher{file: file, log: log, metrics: newMetrics(reg)}
}

// Watch calls changed, which must not block, whenever the file holds a usable token that
// it did not hold before. That includes the first token, which the metric does not count
// as a change. Watch returns nil when ctx is done. It must not be called twice.
//
// It watches the directory. The kubelet publishes a token by renaming a symbolic link
// beside it, so that a watch on the file dies at the first rotation, and no event names
// the file:
// https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go
// An event only says that it is time to check; the file says what is true.
func (w *Watcher) Watch(ctx context.Context, changed func()) error {
	directory := &directory{path: filepath.Dir(string(w.file)), log: w.log}
	defer directory.close()
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	for {
		// Before the check, so that every later change is an event; and each time,
		// because the directory may have been recreated.
		directory.watch()
		if w.check(time.Now()) {
			changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
		case <-directory.events():
			directory.settle(ctx)
		case err := <-directory.errors():
			w.log.Warn("watching token", "error", err.Error())
		}
	}
}

// check reads the file and reports whether it holds a usable token that it did not hold
// at the last check.
func (w *Watcher) check(now time.Time) (changed bool) {
	raw, err := w.file.GetIdentityToken()
	if err != nil {
		// If the file never held a token, the failing refresh reports that.
		if w.last.usable {
			w.log.Warn("token unusable", "error", err.Error())
		}
		w.last.usable = false
		return false
	}
	sum := sha256.Sum256(raw)
	seen := w.last.sum != [sha256.Size]byte{}
	if sum != w.last.sum {
		w.last = observation{sum: sum, expiry: w.describe(raw)}
		if seen {
			w.metrics.changes.Inc()
		}
	}
	w.warnIfExpired(now)
	changed = !w.last.usable
	w.last.usable = true
	return changed
}

// describe logs what a new token claims and returns its expiry.
func (w *Watcher) describe(raw []byte) time.Time {
	claims, err := ParseClaims(raw)
	if err != nil {
		w.log.Warn("token unreadable", "file", string(w.file), "error", err.Error())
		return time.Time{}
	}
	w.log.Info("token loaded", "issuer", claims.Issuer, "subject", claims.Subject,
		"audience", claims.Audience, "expiration", claims.Expiry.UTC(), "jti", claims.ID, "node", claims.Node)
	if !claims.Expiry.IsZero() {
		w.metrics.expiration.Set(float64(claims.Expiry.Unix()))
	}
	return claims.Expiry
}

// warnIfExpired logs, once for each token, that it has expired. It is sent anyway: the
// clock of the receiver decides.
func (w *Watcher) warnIfExpired(now time.Time) {
	if w.last.expired || w.last.expiry.IsZero() || now.Before(w.last.expiry) {
		return
	}
	w.last.expired = true
	w.log.Warn("token expired", "file", string(w.file), "expiration", w.last.expiry.UTC(),
		"hint", "the kubelet replaces a token before it expires: check that the volume is mounted without subPath, which is never updated, that the kubelet reaches the API server, and the clock of this node")
}

// directory is an inotify watch that may be missing.
type directory struct {
	path     string
	log      *slog.Logger
	notifier *fsnotify.Watcher
	broken   bool // the watch is missing, and the log says so
}

// watch starts the watch if it can, or renews it.
func (d *directory) watch() {
	err := d.tryWatch()
	if err != nil && !d.broken {
		d.log.Warn("token not watched", "directory", d.path, "error", err.Error(), "poll_period", pollPeriod.String())
	}
	d.broken = err != nil
}

func (d *directory) tryWatch() (err error) {
	if d.notifier == nil {
		if d.notifier, err = fsnotify.NewWatcher(); err != nil {
			d.notifier = nil
			return err
		}
	}
	return d.notifier.Add(d.path)
}

// events returns the channel of events, nil without a watch.
func (d *directory) events() <-chan fsnotify.Event {
	if d.notifier == nil {
		return nil
	}
	return d.notifier.Events
}

// settle lets the events pass that follow one.
func (d *directory) settle(ctx context.Context) {
	settled := time.After(settleTime)
	for {
		select {
		case <-ctx.Done():
			return
		case <-settled:
			return
		case <-d.events():
		}
	}
}

// errors returns the channel of errors, nil without a watch.
func (d *directory) errors() <-chan error {
	if d.notifier == nil {
		return nil
	}
	return d.notifier.Errors
}

func (d *directory) close() {
	if d.notifier != nil {
		d.notifier.Close()
	}
}
