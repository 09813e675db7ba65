package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/rawhttp"
)

func TestRendersOnce(t *testing.T) {
	t.Parallel()
	renderings := 0
	render := func(c aws.Credentials) []byte {
		renderings++
		return ContainerCredentials(testRole)(c)
	}
	current := sample()
	provider := providerFunc(func(context.Context) (aws.Credentials, error) { return current, nil })
	e := NewContainerEndpoint(ContainerGuard{Path: testPath}, Clients{}, render, provider, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry())).(*endpoint)

	var last *rendered
	changes := []struct {
		name   string
		change func(*aws.Credentials)
	}{
		{"first", func(*aws.Credentials) {}},
		{"access key", func(c *aws.Credentials) { c.AccessKeyID = "ASIAOTHER" }},
		{"secret", func(c *aws.Credentials) { c.SecretAccessKey = "other" }},
		{"session token", func(c *aws.Credentials) { c.SessionToken = "other" }},
		{"expiry", func(c *aws.Credentials) { c.Expires = c.Expires.Add(time.Second) }},
		{"account, which other documents have", func(c *aws.Credentials) { c.AccountID = "" }},
	}
	for i, tt := range changes {
		tt.change(&current)
		for range 3 {
			got, _ := call(t.Context(), e)
			if want := string(ContainerCredentials(testRole)(current)); got.Body.String() != want {
				t.Errorf("%s: got %s, want %s", tt.name, got.Body, want)
			}
		}
		if renderings != i+1 || e.content.(*document).last.Load() == last {
			t.Errorf("%s: %d renderings, want %d", tt.name, renderings, i+1)
		}
		last = e.content.(*document).last.Load()
	}
}

// Concurrent requests share the rendered answer.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	current := sample()
	provider := providerFunc(func(context.Context) (aws.Credentials, error) {
		mu.Lock()
		defer mu.Unlock()
		return current, nil
	})
	e := newContainer(provider, nil)
	render := ContainerCredentials(testRole)
	other := sample()
	other.SessionToken = "other"
	want := []string{string(render(sample())), string(render(other))}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				if got, _ := call(t.Context(), e); !slices.Contains(want, got.Body.String()) {
					t.Errorf("got %s", got.Body)
				}
				if i%10 == 0 {
					mu.Lock()
					current, other = other, current
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if n := count(e.metrics.requests.WithLabelValues("200")); n != 800 {
		t.Errorf("%d requests counted, want 800", n)
	}
}

func TestLargeAnswerWarns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		size int
		want int // warnings
	}{
		{"largest", 10_000, 0},
		{"larger", 10_001, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := sample()
			c.SessionToken = strings.Repeat("t", tt.size-len(golden)+len(c.SessionToken))
			var log journal
			e := NewContainerEndpoint(ContainerGuard{Path: testPath}, Clients{}, ContainerCredentials(testRole), always(c), log.logger(), NewMetrics(prometheus.NewRegistry())).(*endpoint)
			for range 3 {
				if got, _ := call(t.Context(), e); got.Body.Len() != tt.size {
					t.Fatalf("got %d bytes, want %d", got.Body.Len(), tt.size)
				}
			}
			if n := strings.Count(log.String(), `"level":"WARN"`); n != tt.want || strings.Contains(log.String(), "ttt") {
				t.Errorf("%d warnings, want %d: %s", n, tt.want, log.String())
			}
		})
	}
}

func TestLongSessionTokenIsNotChunked(t *testing.T) {
	t.Parallel()
	c := sample()
	c.SessionToken = strings.Repeat("t", 6<<10)
	got := rawhttp.Exchange(t, serve(t, newContainer(always(c), nil)), "GET /v1/credentials HTTP/1.1\nHost: localhost\nAccept-Encoding: gzip")
	checkFraming(t, got)
	if want := strings.Replace(golden, sample().SessionToken, c.SessionToken, 1); got.Status != http.StatusOK || got.Body != want {
		t.Errorf("got %d %s", got.Status, got.Body)
	}
}
