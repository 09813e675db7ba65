package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"irsa-sidecar/test/rawhttp"
)

// A current SDK requests credentials from the endpoint.
func TestSDK(t *testing.T) {
	t.Parallel()
	denied := providerFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &failure{"AccessDenied", "check the trust policy"}
	})
	tests := []struct {
		name     string
		provider Provider
		path     string
		token    string
		want     []string // what the error must contain; nil: no error
	}{
		{"right token", always(sample()), testPath, "right", nil},
		{"slash at the end", always(sample()), testPath + "/", "right", nil},
		{"no token", always(sample()), testPath, "", []string{"Unauthorized", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}},
		{"wrong token", always(sample()), testPath, "wrong", []string{"Unauthorized", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}},
		{"wrong path", always(sample()), "/", "right", []string{"NotFound", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}},
		{"no credentials", denied, testPath, "right", []string{"CredentialsUnavailable", "AccessDenied: check the trust policy"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, newContainer(tt.provider, NewAuthorization("right")))
			transport := new(http.Transport)
			t.Cleanup(transport.CloseIdleConnections)
			client := endpointcreds.New("http://"+addr+tt.path, func(o *endpointcreds.Options) {
				o.AuthorizationToken = tt.token
				o.HTTPClient = &http.Client{Transport: transport, Timeout: rawhttp.Patience}
				o.Retryer = aws.NopRetryer{}
			})
			got, err := client.Retrieve(t.Context())
			if len(tt.want) > 0 {
				for _, want := range tt.want {
					if !strings.Contains(fmt.Sprint(err), want) {
						t.Errorf("got error %v, want %q in it", err, want)
					}
				}
				return
			}
			want := sample()
			want.Expires = want.Expires.UTC().Truncate(time.Second)
			want.Source, want.AccountID = got.Source, "" // which the agent of ECS does not send
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}
