package sts

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"

	"irsa-sidecar/test/standin"
)

const role = "arn:aws:iam::111122223333:role/team/app"

var issuer = standin.NewIssuer("https://issuer.example")

// identity is a stscreds.IdentityTokenRetriever that returns this token.
type identity string

func (i identity) GetIdentityToken() ([]byte, error) { return []byte(i), nil }

// exchange exchanges token for credentials, in one attempt.
func exchange(ctx context.Context, client stscreds.AssumeRoleWithWebIdentityAPIClient, token string, options ...func(*stscreds.WebIdentityRoleOptions)) (aws.Credentials, error) {
	options = append(options, func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = "pod-1"
		o.Duration = time.Hour
	})
	return stscreds.NewWebIdentityRoleProvider(client, role, identity(token), options...).Retrieve(ctx)
}

// newStandin returns a stand-in for STS that knows role, and its server.
func newStandin(t testing.TB) (*standin.STS, *httptest.Server) {
	t.Helper()
	sts := standin.NewSTS(issuer)
	sts.AddRole(standin.Role{ARN: role})
	srv := httptest.NewServer(sts)
	t.Cleanup(srv.Close)
	return sts, srv
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
