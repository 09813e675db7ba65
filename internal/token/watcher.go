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

// pollPeriod is how long a new token can go unnoticed where inotify does not
// work: its instances can be used up, a file system can lack it, a queue can
// overflow. A token is replaced when a fifth of its life is left, two minutes
// at the least; twice that often is enough and wakes an idle machine rarely.
const pollPeriod = time.Minute

// settleTime is how long a look waits after an event: publishing a token makes
// a handful of them, and a file that flaps must not keep a core busy.
const settleTime = 200 * time.Millisecond

// Watcher tells when the token in a file has been replaced, logs what the new
// one claims and keeps the metrics about it.
type Watcher struct {
	file    File
	log     *slog.Logger
	metrics *metrics
	last    sight
}

// sight is what the last look at the file found.
type sight struct {
	usable  bool
	sum     [sha256.Size]byte // of the last usable token
	expiry  time.Time         // of the last usable token, zero if unknown
	expired bool              // that expiry has passed, and the log says so
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
			Help: "When the service account token expires, by its own claim; 0: no token seen yet.",
		}),
		changes: auto.NewCounter(prometheus.CounterOpts{
			Name: "irsa_sidecar_token_changes_total",
			Help: "How often the service account token was replaced by another one.",
		}),
	}
}

// NewWatcher returns a Watcher of file whose metrics are registered with reg.
func NewWatcher(file File, log *slog.Logger, reg prometheus.Registerer) *Watcher {
	return &Watcher{file: file, log: log, metrics: newMetrics(reg)}
}

// Watch calls changed, which must not block, whenever the file holds a usable
// token that it did not hold at the look before; the first sight of a token is
// such a moment too, but not counted as a change. It returns nil when ctx is
// done. It must not be called twice.
//
// It watches the directory. The kubelet publishes a token by renaming a
// symbolic link beside it, so that a watch on the file dies at the first
// rotation, and no event names the file:
// https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go
// Any event says only that it is time to look; the file says what is true.
func (w *Watcher) Watch(ctx context.Context, changed func()) error {
	directory := &directory{path: filepath.Dir(string(w.file)), log: w.log}
	defer directory.close()
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	for {
		// Before the look, so that what happens after it is an event; and
		// each time, because the directory may have been made anew.
		directory.watch()
		if w.look(time.Now()) {
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

// look reads the file and tells whether it holds a usable token that it did
// not hold at the last look.
func (w *Watcher) look(now time.Time) (changed bool) {
	raw, err := w.file.GetIdentityToken()
	if err != nil {
		// A file that never held a token is the refresh's failure to report.
		if w.last.usable {
			w.log.Warn("token unusable", "error", err.Error())
		}
		w.last.usable = false
		return false
	}
	sum := sha256.Sum256(raw)
	seen := w.last.sum != [sha256.Size]byte{}
	if sum != w.last.sum {
		w.last = sight{sum: sum, expiry: w.describe(raw)}
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
		"audience", claims.Audience, "expiration", claims.Expiry.UTC())
	if !claims.Expiry.IsZero() {
		w.metrics.expiration.Set(float64(claims.Expiry.Unix()))
	}
	return claims.Expiry
}

// warnIfExpired logs, once for each token, that it has expired. It is sent to
// STS all the same, whose clock decides.
func (w *Watcher) warnIfExpired(now time.Time) {
	if w.last.expired || w.last.expiry.IsZero() || now.Before(w.last.expiry) {
		return
	}
	w.last.expired = true
	w.log.Warn("token expired", "file", string(w.file), "expiration", w.last.expiry.UTC(),
		"hint", "the kubelet replaces a token before it expires: see whether the volume is mounted with subPath, which is never updated, whether the kubelet reaches the API server, and whether this clock is right")
}

// directory is an inotify watch that may be missing.
type directory struct {
	path     string
	log      *slog.Logger
	notifier *fsnotify.Watcher
	broken   bool // and the log says so
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

// settle lets what follows an event pass.
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
