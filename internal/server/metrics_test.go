package server

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/test/rawhttp"
)

func TestMetricsStartAtZero(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	NewMetrics(reg)
	checkMetrics(t, reg, `
# HELP irsa_sidecar_clients_total Requests that were not rejected, by the SDK or the runtime that the User-Agent names.
# TYPE irsa_sidecar_clients_total counter
irsa_sidecar_clients_total{sdk="botocore"} 0
irsa_sidecar_clients_total{sdk="crt"} 0
irsa_sidecar_clients_total{sdk="go"} 0
irsa_sidecar_clients_total{sdk="go-v1"} 0
irsa_sidecar_clients_total{sdk="go-v2"} 0
irsa_sidecar_clients_total{sdk="java"} 0
irsa_sidecar_clients_total{sdk="java-v1"} 0
irsa_sidecar_clients_total{sdk="java-v2"} 0
irsa_sidecar_clients_total{sdk="js-v2"} 0
irsa_sidecar_clients_total{sdk="none"} 0
irsa_sidecar_clients_total{sdk="other"} 0
irsa_sidecar_clients_total{sdk="python"} 0
irsa_sidecar_clients_total{sdk="ruby"} 0
irsa_sidecar_clients_total{sdk="rust"} 0
irsa_sidecar_clients_total{sdk="sidecar"} 0
# HELP irsa_sidecar_imds_requests_total Requests at the instance metadata endpoint, by version of its protocol; requests for a session token do not count.
# TYPE irsa_sidecar_imds_requests_total counter
irsa_sidecar_imds_requests_total{version="1"} 0
irsa_sidecar_imds_requests_total{version="2"} 0
# HELP irsa_sidecar_requests_refused_total Rejected requests for credentials, by reason.
# TYPE irsa_sidecar_requests_refused_total counter
irsa_sidecar_requests_refused_total{reason="authorization"} 0
irsa_sidecar_requests_refused_total{reason="browser"} 0
irsa_sidecar_requests_refused_total{reason="forwarded"} 0
irsa_sidecar_requests_refused_total{reason="host"} 0
irsa_sidecar_requests_refused_total{reason="method"} 0
irsa_sidecar_requests_refused_total{reason="path"} 0
irsa_sidecar_requests_refused_total{reason="uid"} 0
# HELP irsa_sidecar_requests_total Requests for credentials, by HTTP status code of the answer.
# TYPE irsa_sidecar_requests_total counter
irsa_sidecar_requests_total{code="200"} 0
irsa_sidecar_requests_total{code="400"} 0
irsa_sidecar_requests_total{code="401"} 0
irsa_sidecar_requests_total{code="403"} 0
irsa_sidecar_requests_total{code="404"} 0
irsa_sidecar_requests_total{code="405"} 0
irsa_sidecar_requests_total{code="503"} 0
`)
}

// Two endpoints share their counters, and no request adds a series.
func TestMetricsCountRequests(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	metrics := NewMetrics(reg)
	unavailable := providerFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &failure{"AccessDenied", "x"}
	})
	authorization := NewAuthorization("right")
	var addrs []string
	for _, provider := range []Provider{always(sample()), unavailable} {
		addrs = append(addrs, serve(t, NewContainerEndpoint(ContainerGuard{Path: testPath, Authorization: authorization}, Clients{},
			ContainerCredentials(testRole), provider, slog.New(slog.DiscardHandler), metrics)))
	}
	const right = "\nAuthorization: right"
	for _, request := range []string{
		"GET /v1/credentials HTTP/1.1\nHost: localhost" + right,
		"HEAD /v1/credentials HTTP/1.1\nHost: localhost" + right,
		"GET /v1/credentials/?x HTTP/1.1\nHost: localhost" + right,
		"GET /v1/credentials HTTP/1.1\nHost: localhost",
		"GET /v1/credentials HTTP/1.1\nHost: evil.example" + right,
		"GET /v1/credentials HTTP/1.1\nHost: localhost\nVia: x" + right,
		"GET /random HTTP/1.1\nHost: localhost" + right,
		"GET /v1/credentials HTTP/1.1\nHost: localhost\nUpgrade-Insecure-Requests: 1" + right,
		"MKCOL /random HTTP/1.1\nHost: localhost" + right,
		"MKCOL /v1/credentials HTTP/1.1\nHost: localhost" + right,
	} {
		for _, addr := range addrs {
			rawhttp.Exchange(t, addr, request)
		}
	}
	checkMetrics(t, reg, `
# HELP irsa_sidecar_clients_total Requests that were not rejected, by the SDK or the runtime that the User-Agent names.
# TYPE irsa_sidecar_clients_total counter
irsa_sidecar_clients_total{sdk="botocore"} 0
irsa_sidecar_clients_total{sdk="crt"} 0
irsa_sidecar_clients_total{sdk="go"} 0
irsa_sidecar_clients_total{sdk="go-v1"} 0
irsa_sidecar_clients_total{sdk="go-v2"} 0
irsa_sidecar_clients_total{sdk="java"} 0
irsa_sidecar_clients_total{sdk="java-v1"} 0
irsa_sidecar_clients_total{sdk="java-v2"} 0
irsa_sidecar_clients_total{sdk="js-v2"} 0
irsa_sidecar_clients_total{sdk="none"} 6
irsa_sidecar_clients_total{sdk="other"} 0
irsa_sidecar_clients_total{sdk="python"} 0
irsa_sidecar_clients_total{sdk="ruby"} 0
irsa_sidecar_clients_total{sdk="rust"} 0
irsa_sidecar_clients_total{sdk="sidecar"} 0
# HELP irsa_sidecar_imds_requests_total Requests at the instance metadata endpoint, by version of its protocol; requests for a session token do not count.
# TYPE irsa_sidecar_imds_requests_total counter
irsa_sidecar_imds_requests_total{version="1"} 0
irsa_sidecar_imds_requests_total{version="2"} 0
# HELP irsa_sidecar_requests_refused_total Rejected requests for credentials, by reason.
# TYPE irsa_sidecar_requests_refused_total counter
irsa_sidecar_requests_refused_total{reason="authorization"} 2
irsa_sidecar_requests_refused_total{reason="browser"} 2
irsa_sidecar_requests_refused_total{reason="forwarded"} 2
irsa_sidecar_requests_refused_total{reason="host"} 2
irsa_sidecar_requests_refused_total{reason="method"} 2
irsa_sidecar_requests_refused_total{reason="path"} 4
irsa_sidecar_requests_refused_total{reason="uid"} 0
# HELP irsa_sidecar_requests_total Requests for credentials, by HTTP status code of the answer.
# TYPE irsa_sidecar_requests_total counter
irsa_sidecar_requests_total{code="200"} 3
irsa_sidecar_requests_total{code="400"} 0
irsa_sidecar_requests_total{code="401"} 2
irsa_sidecar_requests_total{code="403"} 6
irsa_sidecar_requests_total{code="404"} 4
irsa_sidecar_requests_total{code="405"} 2
irsa_sidecar_requests_total{code="503"} 3
`)
}

// checkMetrics checks all that reg has, by value and by promlint.
func checkMetrics(t *testing.T, reg *prometheus.Registry, want string) {
	t.Helper()
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Error(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
