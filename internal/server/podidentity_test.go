package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"irsa-sidecar/test/rawhttp"
)

// unknownRole is what is known of a role with EKS Pod Identity.
var unknownRole = arn.ARN{Partition: "aws-cn", Service: "iam", Resource: "role/pod-identity"}

// No SDK needs RoleArn.
func TestContainerCredentialsOfAnUnknownRole(t *testing.T) {
	t.Parallel()
	const want = `{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret/+key","Token":"session/+token==","Expiration":"2031-05-06T07:08:09Z"}`
	if got := string(ContainerCredentials(unknownRole)(sample())); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// The account is that of the credentials. The identity document does not wait for them.
func TestInstanceOfAnUnknownRole(t *testing.T) {
	t.Parallel()
	provider := &pending{ready: make(chan struct{}), err: &failure{"network", "cannot reach the agent"}}
	addr := serve(t, newInstance(Instance{Role: unknownRole, Region: "cn-north-1", V1: true}, provider))
	tests := []struct {
		path   string
		before string // "": 503
		after  string
	}{
		{"meta-data/iam/security-credentials/", "pod-identity", "pod-identity"},
		{"meta-data/services/partition", "aws-cn", "aws-cn"},
		{"meta-data/iam/security-credentials/pod-identity", "", `"AccessKeyId" : "ASIAEXAMPLE"`},
		{"meta-data/iam/security-credentials-extended/pod-identity", "", `"AccountId" : "444455556666"`},
		{"meta-data/iam/info", "", `"InstanceProfileArn" : "arn:aws-cn:iam::444455556666:instance-profile/pod-identity"`},
		{"dynamic/instance-identity/document", "{\n  \"region\" : \"cn-north-1\"\n}", "{\n  \"accountId\" : \"444455556666\",\n  \"region\" : \"cn-north-1\"\n}"},
	}
	for _, there := range []bool{false, true} {
		if there {
			close(provider.ready)
		}
		for _, tt := range tests {
			want := tt.before
			if there {
				want = tt.after
			}
			got := rawhttp.Exchange(t, addr, "GET /latest/"+tt.path+" HTTP/1.1\nHost: 127.0.0.1")
			if (got.Status == http.StatusOK) != (want != "") || !strings.Contains(got.Body, want) || got.Status != http.StatusOK && got.Status != http.StatusServiceUnavailable {
				t.Errorf("%s, with credentials %t: got %d %s, want %s", tt.path, there, got.Status, got.Body, want)
			}
		}
	}
}
