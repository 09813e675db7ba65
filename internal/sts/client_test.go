package sts

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/test/standin"
)

func TestAssumesTheRole(t *testing.T) {
	sts, srv := newStandin(t)
	reg := prometheus.NewRegistry()
	client := New(Options{Endpoint: srv.URL}, reg)
	policy := `{"Version":"2012-10-17","Statement":[]}`
	got, err := exchange(t.Context(), client, issuer.Token(standin.Claims{}), func(o *stscreds.WebIdentityRoleOptions) {
		o.Policy = &policy
		o.PolicyARNs = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sts.Credentials()[0]
	if got.AccessKeyID != want.AccessKeyID || got.SecretAccessKey != want.SecretAccessKey || got.SessionToken != want.SessionToken ||
		!got.Expires.Equal(want.Expiration) || got.AccountID != "111122223333" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	request := sts.Requests()[0]
	if request.Form.Get("RoleSessionName") != "pod-1" || request.Form.Get("DurationSeconds") != "3600" || request.Form.Get("Policy") != policy {
		t.Errorf("sent %v", request.Form)
	}
	if !strings.Contains(request.Header.Get("User-Agent"), "app/irsa-sidecar") {
		t.Errorf("user agent is %q", request.Header.Get("User-Agent"))
	}
	if testutil.CollectAndCount(client.metrics.duration) != 1 {
		t.Error("the call was not measured")
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// The SDK resolves the host names of STS in all partitions. A transport that fails keeps
// the calls on this machine.
func TestResolvesEndpoints(t *testing.T) {
	tests := []struct {
		options Options
		want    string
	}{
		{Options{Region: "eu-west-1"}, "sts.eu-west-1.amazonaws.com"},
		{Options{Region: "us-east-1"}, "sts.us-east-1.amazonaws.com"},
		{Options{Region: "cn-north-1"}, "sts.cn-north-1.amazonaws.com.cn"},
		{Options{Region: "us-gov-west-1"}, "sts.us-gov-west-1.amazonaws.com"},
		{Options{Region: "us-iso-east-1"}, "sts.us-iso-east-1.c2s.ic.gov"},
		{Options{Region: "us-isob-east-1"}, "sts.us-isob-east-1.sc2s.sgov.gov"},
		{Options{Region: "eusc-de-east-1"}, "sts.eusc-de-east-1.amazonaws.eu"},
		{Options{Region: "us-east-2", UseFIPS: true}, "sts-fips.us-east-2.amazonaws.com"},
		{Options{Region: "us-east-2", UseDualStack: true}, "sts.us-east-2.api.aws"},
		{Options{Region: "us-east-2", UseFIPS: true, UseDualStack: true}, "sts-fips.us-east-2.api.aws"},
		{Options{Endpoint: "https://vpce.example/path"}, "vpce.example"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			var host string
			tt.options.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				host = r.URL.Host
				return nil, errors.New("no network")
			})
			client := New(tt.options, prometheus.NewRegistry())
			if _, err := exchange(t.Context(), client, "aaaa.bbbb.cccc"); err == nil || host != tt.want {
				t.Errorf("called %q, want %q (%v)", host, tt.want, err)
			}
		})
	}
}
