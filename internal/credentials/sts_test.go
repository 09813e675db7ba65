package credentials

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

const role = "arn:aws:iam::111122223333:role/team/app"

var issuer = standin.NewIssuer("https://issuer.example")

// stsCodes returns the codes of the errors of the real client.
func stsCodes() (codes []string) {
	for _, reason := range sts.Reasons() {
		codes = append(codes, reason.Code)
	}
	return codes
}

// identity is a stscreds.IdentityTokenRetriever that returns this token.
type identity string

func (i identity) GetIdentityToken() ([]byte, error) { return []byte(i), nil }

// exchange exchanges token for credentials, in one attempt.
func exchange(ctx context.Context, client *sts.Client, token string) (aws.Credentials, error) {
	return stscreds.NewWebIdentityRoleProvider(client, role, identity(token), func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = "pod-1"
		o.Duration = time.Hour
	}).Retrieve(ctx)
}

// newStandin returns a stand-in for STS that knows role, and its server.
func newStandin(t testing.TB) (*standin.STS, *httptest.Server) {
	t.Helper()
	fake := standin.NewSTS(issuer)
	fake.AddRole(standin.Role{ARN: role})
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	return fake, srv
}

// The request ID is in the log, but not in the reason, which clients see.
func TestRequestIDIsOnlyInTheLog(t *testing.T) {
	fake, srv := newStandin(t)
	fake.Always(standin.Refuse(http.StatusForbidden, "AccessDenied", "no"))
	provider := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		return exchange(ctx, sts.New(sts.Options{Endpoint: srv.URL}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
	})
	var log bytes.Buffer
	r := NewRefresher(provider, time.Hour, stsCodes(), slog.New(slog.NewJSONHandler(&log, nil)), prometheus.NewRegistry())
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
	r := NewRefresher(provider, time.Hour, stsCodes(), slog.New(slog.DiscardHandler), reg)
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
