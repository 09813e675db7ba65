package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"irsa-sidecar/test/rawhttp"
)

func TestHold(t *testing.T) {
	never := time.Duration(-1)
	tests := []struct {
		name    string
		arrival time.Duration // of the credentials
		want    time.Duration // until the answer
		status  int
	}{
		{"already there", 0, 0, 200},
		{"arrive at once", time.Millisecond, time.Millisecond, 200},
		{"arrive just in time", 499 * time.Millisecond, 499 * time.Millisecond, 200},
		{"arrive too late", 501 * time.Millisecond, 500 * time.Millisecond, 503},
		{"never arrive", never, 500 * time.Millisecond, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pending{make(chan struct{}), &failure{"AccessDenied", "see the trust policy"}}
				switch {
				case tt.arrival == 0:
					close(p.ready)
				case tt.arrival > 0:
					time.AfterFunc(tt.arrival, func() { close(p.ready) })
				}
				e := newContainer(p, nil)
				got, elapsed := call(t.Context(), e)
				if got.Code != tt.status || elapsed != tt.want {
					t.Errorf("got %d after %v, want %d after %v", got.Code, elapsed, tt.status, tt.want)
				}
				checkCounts(t, e, strconv.Itoa(tt.status), "")
				if tt.arrival > 0 { // let the timer fire
					time.Sleep(time.Second)
				}
			})
		})
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	provider := providerFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &failure{"AccessDenied", `not "authorized" for role/app`}
	})
	got := rawhttp.Exchange(t, serve(t, newContainer(provider, nil)), "GET /v1/credentials HTTP/1.1\nHost: localhost")
	checkFraming(t, got)
	want := `{"code":"CredentialsUnavailable","message":"AccessDenied: not \"authorized\" for role/app"}`
	if got.Status != http.StatusServiceUnavailable || got.Body != want {
		t.Errorf("got %d %s, want 503 %s", got.Status, got.Body, want)
	}
	if after := got.Header.Get("Retry-After"); after != "2" {
		t.Errorf("Retry-After %q, want 2", after)
	}
}

// The endpoint does not wait for a provider that fails at once, as it does when
// credentials have expired.
func TestNoHoldAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := providerFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, &failure{"timeout", "STS does not answer"}
		})
		if got, elapsed := call(t.Context(), newContainer(expired, nil)); got.Code != http.StatusServiceUnavailable || elapsed != 0 {
			t.Errorf("got %d after %v, want 503 at once", got.Code, elapsed)
		}
	})
}

// A canceled request is no longer held, but current credentials are always served.
func TestCanceledRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		p := &pending{make(chan struct{}), &failure{"token", "none yet"}}
		e := newContainer(p, nil)
		if got, elapsed := call(canceled, e); got.Code != http.StatusServiceUnavailable || elapsed != 0 {
			t.Errorf("without credentials: got %d after %v, want 503 at once", got.Code, elapsed)
		}
		close(p.ready)
		if got, elapsed := call(canceled, e); got.Code != http.StatusOK || elapsed != 0 || got.Body.String() != golden {
			t.Errorf("with credentials: got %d after %v, want 200 at once", got.Code, elapsed)
		}
	})
}

// A refused request is not held, and does not learn why there are no credentials.
func TestRefusedRequestIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pending{make(chan struct{}), &failure{"AccessDenied", "role/app"}}
		got, elapsed := call(t.Context(), newContainer(p, NewAuthorization("right")))
		if got.Code != http.StatusUnauthorized || elapsed != 0 || strings.Contains(got.Body.String(), "role/app") {
			t.Errorf("got %d after %v: %s", got.Code, elapsed, got.Body)
		}
		if after := got.Header().Get("Retry-After"); after != "" {
			t.Errorf("Retry-After %q", after)
		}
	})
}

// A request on a real socket, held until the first credentials arrive.
func TestHeldRequestIsAnswered(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	held := make(chan struct{})
	calls := 0
	provider := providerFunc(func(ctx context.Context) (aws.Credentials, error) {
		if calls++; calls == 1 {
			return aws.Credentials{}, ctx.Err()
		}
		close(held)
		<-ready
		return sample(), ctx.Err()
	})
	go func() {
		<-held
		close(ready)
	}()
	if got := rawhttp.Exchange(t, serve(t, newContainer(provider, nil)), "GET /v1/credentials HTTP/1.1\nHost: localhost"); got.Body != golden {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}
