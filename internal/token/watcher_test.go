package token

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

var issuer = standin.NewIssuer("https://issuer.example")

// waitTime is how long a slow machine may take to deliver an event. It is well below
// pollPeriod, so that only inotify can have delivered the event.
const waitTime = 20 * time.Second

// watched is a running Watcher of a volume.
type watched struct {
	volume  *standin.Volume
	watcher *Watcher
	changed chan struct{}
	log     *harness.Buffer
}

func watch(t *testing.T, volume *standin.Volume) *watched {
	t.Helper()
	w := &watched{volume: volume, changed: make(chan struct{}, 100), log: new(harness.Buffer)}
	w.watcher = NewWatcher(File(volume.Path("token")), slog.New(slog.NewJSONHandler(w.log, nil)), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.watcher.Watch(ctx, func() { w.changed <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return w
}

func (w *watched) publish(t *testing.T, content string) {
	t.Helper()
	if err := w.volume.Publish("token", content); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) wantChange(t *testing.T) {
	t.Helper()
	select {
	case <-w.changed:
	case <-time.After(waitTime):
		t.Fatalf("no change was reported; log:\n%s", w.log)
	}
}

func (w *watched) wantChanges(t *testing.T, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(w.watcher.metrics.changes); got != want {
		t.Errorf("token_changes_total is %v, want %v", got, want)
	}
}

func TestWatchSeesTheKubeletPublish(t *testing.T) {
	t.Parallel()
	w := watch(t, newVolume(t, issuer.Token(standin.Claims{})))
	w.wantChange(t)
	w.wantChanges(t, 0)
	for i := range 3 {
		expiry := time.Now().Add(time.Duration(i+2) * time.Hour)
		w.publish(t, issuer.Token(standin.Claims{Lifetime: time.Until(expiry)}))
		w.wantChange(t)
		w.wantChanges(t, float64(i+1))
		got := testutil.ToFloat64(w.watcher.metrics.expiration)
		if diff := got - float64(expiry.Unix()); diff < -2 || diff > 2 {
			t.Errorf("token_expiration_timestamp_seconds is %v, want %v", got, expiry.Unix())
		}
	}
	if !strings.Contains(w.log.String(), "system:serviceaccount:default:app") {
		t.Errorf("the log does not name the subject:\n%s", w.log)
	}
}

func TestWatchSeesALateFirstToken(t *testing.T) {
	t.Parallel()
	w := watch(t, standin.NewVolume(t.TempDir()))
	w.publish(t, issuer.Token(standin.Claims{}))
	w.wantChange(t)
	w.wantChanges(t, 0)
}

func TestWatchReportsAGoodTokenAfterABadOne(t *testing.T) {
	t.Parallel()
	good := issuer.Token(standin.Claims{})
	w := watch(t, newVolume(t, good))
	w.wantChange(t)
	w.publish(t, "")
	for deadline := time.Now().Add(waitTime); !strings.Contains(w.log.String(), "token unusable"); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say that the token is unusable:\n%s", w.log)
		}
		time.Sleep(time.Millisecond)
	}
	w.publish(t, good)
	w.wantChange(t)
	w.wantChanges(t, 0) // the token is the same as before
	w.publish(t, issuer.Token(standin.Claims{}))
	w.wantChange(t)
	w.wantChanges(t, 1)
}

func TestWatchSurvivesANewDirectory(t *testing.T) {
	t.Parallel()
	volume := standin.NewVolume(filepath.Join(t.TempDir(), "volume"))
	if err := volume.Publish("token", issuer.Token(standin.Claims{})); err != nil {
		t.Fatal(err)
	}
	w := watch(t, volume)
	w.wantChange(t)
	dir := filepath.Dir(volume.Path("token"))
	fresh := standin.NewVolume(dir + ".new")
	if err := fresh.Publish("token", issuer.Token(standin.Claims{})); err != nil {
		t.Fatal(err)
	}
	// Moving the directory away is an event in it, after which the path is watched again.
	// Both moves happen well within settleTime.
	for _, move := range [][2]string{{dir, dir + ".old"}, {dir + ".new", dir}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	w.volume = standin.NewVolume(dir)
	w.wantChange(t)
	w.publish(t, issuer.Token(standin.Claims{}))
	w.wantChange(t)
	w.wantChanges(t, 2)
}

func TestCheck(t *testing.T) {
	now := time.Now()
	soon := issuer.Token(standin.Claims{IssuedAt: now, Lifetime: time.Minute})
	file := filepath.Join(t.TempDir(), "token")
	log := new(harness.Buffer)
	w := NewWatcher(File(file), slog.New(slog.NewJSONHandler(log, nil)), prometheus.NewRegistry())
	steps := []struct {
		name    string
		content string
		now     time.Time
		want    bool
		logs    string
		silent  string
	}{
		{name: "unreadable at first, which the refresh reports", content: "x", now: now, silent: "unusable"},
		{name: "first token", content: soon, now: now, want: true, logs: "token loaded", silent: "expired"},
		{name: "the same", content: soon, now: now.Add(time.Second), silent: "token loaded"},
		{name: "expires without a replacement", content: soon, now: now.Add(2 * time.Minute), logs: "token expired"},
		{name: "expiry is logged once", content: soon, now: now.Add(3 * time.Minute), silent: "token expired"},
		{name: "unusable", content: "x", now: now, logs: "token unusable"},
		{name: "unusable is logged once", content: "y", now: now, silent: "token unusable"},
		{name: "back again", content: soon, now: now, want: true, silent: "token loaded"},
		{name: "no claims", content: withPayload("{"), now: now, want: true, logs: "token unreadable"},
	}
	for _, tt := range steps {
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		if got := w.check(tt.now); got != tt.want {
			t.Errorf("%s: check returned %v", tt.name, got)
		}
		if !strings.Contains(log.String(), tt.logs) || tt.silent != "" && strings.Contains(log.String(), tt.silent) {
			t.Errorf("%s: want %q and not %q in the log:\n%s", tt.name, tt.logs, tt.silent, log)
		}
		if strings.Contains(log.String(), soon) {
			t.Errorf("%s: the log contains the token", tt.name)
		}
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	reg := prometheus.NewRegistry()
	NewWatcher("x", slog.New(slog.DiscardHandler), reg)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

func newVolume(t *testing.T, token string) *standin.Volume {
	t.Helper()
	v := standin.NewVolume(t.TempDir())
	if err := v.Publish("token", token); err != nil {
		t.Fatal(err)
	}
	return v
}
