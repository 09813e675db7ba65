package credentials

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/sts"
	"irsa-sidecar/test/standin"
)

// The request ID is in the log, but not in the reason, which clients see.
func TestRequestIDIsOnlyInTheLog(t *testing.T) {
	fake, srv := newStandin(t)
	fake.Always(standin.Refuse(http.StatusForbidden, "AccessDenied", "no"))
	provider := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		return exchange(ctx, sts.New(sts.Options{Endpoint: srv.URL}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
	})
	var log bytes.Buffer
	r := NewRefresher(provider, "STS", time.Hour, stsCodes(), slog.New(slog.NewJSONHandler(&log, nil)), prometheus.NewRegistry())
	why := r.refresh(t.Context())
	r.logFailure(why, 1, 0, time.Second)
	if why.code != "AccessDenied" || why.requestID == "" || strings.Contains(why.Error(), why.requestID) {
		t.Errorf("request ID %q, reason %v", why.requestID, why)
	}
	if !strings.Contains(log.String(), `"request_id":"`+why.requestID+`"`) {
		t.Errorf("the log is %s", &log)
	}
}

// This test runs the real loop with the real client and provider, on the real clock.
func TestRefresherWithRealClient(t *testing.T) {
	t.Parallel()
	fake, srv := newStandin(t)
	volume := standin.NewVolume(filepath.Join(t.TempDir(), "volume"))
	if err := volume.Publish("token", issuer.Token(standin.Claims{})); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	provider := stscreds.NewWebIdentityRoleProvider(sts.New(sts.Options{Endpoint: srv.URL}, reg), role,
		stscreds.IdentityTokenFile(volume.Path("token")), func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = "pod-1" })
	r := NewRefresher(provider, "STS", time.Hour, stsCodes(), slog.New(slog.DiscardHandler), reg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	wait, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	got, err := r.Retrieve(wait)
	if err != nil || got.AccessKeyID != fake.Credentials()[0].AccessKeyID {
		t.Errorf("got %v, %v", got, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
