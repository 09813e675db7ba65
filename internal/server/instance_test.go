package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/rawhttp"
)

// Each page, and that there is no other.
func TestInstancePages(t *testing.T) {
	t.Parallel()
	full := Instance{Role: pathRole, Region: "cn-north-1", Zone: "cn-north-1b", ID: "i-0123456789abcdef0", Domain: "amazonaws.com.cn", V1: true}
	bare := Instance{Role: pathRole, V1: true}
	const roles, meta = "/latest/meta-data/iam/security-credentials", "/latest/meta-data/"
	tests := []struct {
		path string
		full string // the body; "": 404
		bare string
	}{
		{roles, "a+b", "a+b"},
		{roles + "/", "a+b", "a+b"},
		{roles + "//a+b//", "credentials", "credentials"},
		{"//latest//meta-data///iam/security-credentials", "a+b", "a+b"},
		{roles + "-extended/", "a+b", "a+b"},
		{roles + "-extended/a+b", "credentials", "credentials"},
		{roles + "-extended/other", "", ""},
		{meta + "placement/region", "cn-north-1", ""},
		{meta + "placement/availability-zone", "cn-north-1b", ""},
		{meta + "placement/availability-zone/", "cn-north-1b", ""},
		{meta + "placement/availability-zone-id", "", ""},
		{meta + "instance-id", "i-0123456789abcdef0", ""},
		{meta + "services/domain", "amazonaws.com.cn", ""},
		{meta + "services/partition", "aws-cn", "aws-cn"},
		{"/latest/dynamic/instance-identity/document", `{"accountId":"111122223333","availabilityZone":"cn-north-1b","region":"cn-north-1"}`, `{"accountId":"111122223333"}`},

		{meta, "iam/\ninstance-id\nplacement/\nservices/", "iam/\nservices/"},
		{"/latest/meta-data", "iam/\ninstance-id\nplacement/\nservices/", "iam/\nservices/"},
		{meta + "iam/", "info\nsecurity-credentials-extended/\nsecurity-credentials/", "info\nsecurity-credentials-extended/\nsecurity-credentials/"},
		{meta + "placement/", "availability-zone\nregion", ""},
		{meta + "services/", "domain\npartition", "partition"},

		{"/2009-04-04/meta-data/iam/security-credentials/", "a+b", "a+b"},
		{"/1.0/meta-data/iam/security-credentials/a+b", "credentials", "credentials"},
		{"/2021-07-15/meta-data/placement/region", "cn-north-1", ""},
		{"/2009-04-04/dynamic/instance-identity/document/", `{"accountId":"111122223333","availabilityZone":"cn-north-1b","region":"cn-north-1"}`, `{"accountId":"111122223333"}`},
		{"/2009-04-99/meta-data/iam/security-credentials/", "", ""},
		{"/1.1/meta-data/iam/security-credentials/", "", ""},
		{"/latest/latest/meta-data/iam/security-credentials/", "", ""},
		{"/meta-data/iam/security-credentials/", "", ""},

		{"/", "", ""},
		{"//", "", ""},
		{"/latest/", "", ""},
		{"/latest/dynamic/", "", ""},
		{"/latest/api/", "", ""},
		{"/2009-04-04/", "", ""},
		{"/latest/user-data", "", ""},
		{meta + "hostname", "", ""},
		{meta + "instance-type", "", ""},
		{meta + "local-ipv4", "", ""},
		{meta + "network/interfaces/macs/", "", ""},
		{meta + "tags/instance/", "", ""},
		{"/latest/dynamic/instance-identity/pkcs7", "", ""},
	}
	addrs := map[string]string{"full": serve(t, newInstance(full, always(sample()))), "bare": serve(t, newInstance(bare, always(sample())))}
	for _, tt := range tests {
		for name, want := range map[string]string{"full": tt.full, "bare": tt.bare} {
			got := rawhttp.Exchange(t, addrs[name], "GET "+tt.path+" HTTP/1.1\nHost: 127.0.0.1")
			answer := got.Body
			switch {
			case strings.Contains(answer, "ASIAEXAMPLE"):
				answer = "credentials"
			case json.Valid([]byte(answer)):
				var compact bytes.Buffer
				json.Compact(&compact, []byte(answer))
				answer = compact.String()
			case got.Status == http.StatusNotFound:
				answer = ""
			}
			if answer != want || (got.Status == http.StatusOK) != (want != "") {
				t.Errorf("%s, %s: got %d %s, want %q", name, tt.path, got.Status, got.Body, want)
			}
		}
	}
}

// A client that takes its region from the zone is advised when there is none.
func TestNoZone(t *testing.T) {
	t.Parallel()
	addr := serve(t, newInstance(Instance{Role: testRole, V1: true}, always(sample())))
	for path, want := range map[string]string{
		"placement/availability-zone": "NotFound: not known here: set AWS_REGION and AWS_DEFAULT_REGION",
		"ami-id":                      "NotFound: not found: ",
	} {
		if got := rawhttp.Exchange(t, addr, "GET /latest/meta-data/"+path+" HTTP/1.1\nHost: 127.0.0.1"); !strings.HasPrefix(got.Body, want) {
			t.Errorf("%s: got %s, want %s", path, got.Body, want)
		}
	}
}

func TestInstanceDocuments(t *testing.T) {
	t.Parallel()
	addr := serve(t, newInstance(Instance{Role: pathRole, V1: true}, always(sample())))
	tests := []struct {
		path string
		want string // without LastUpdated
	}{
		{"iam/security-credentials/a+b", `{
  "Code" : "Success",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE",
  "SecretAccessKey" : "secret/+key",
  "Token" : "session/+token==",
  "Expiration" : "2031-05-06T07:08:09Z"
}`},
		{"iam/security-credentials-extended/a+b", `{
  "Code" : "Success",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE",
  "SecretAccessKey" : "secret/+key",
  "Token" : "session/+token==",
  "Expiration" : "2031-05-06T07:08:09Z",
  "AccountId" : "444455556666"
}`},
		{"iam/info", `{
  "Code" : "Success",
  "InstanceProfileArn" : "arn:aws-cn:iam::111122223333:instance-profile/a+b",
  "InstanceProfileId" : ""
}`},
	}
	updated := regexp.MustCompile(`\n  "LastUpdated" : "([^"]*)",`)
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			before := time.Now().Truncate(time.Second)
			got := rawhttp.Exchange(t, addr, "GET /latest/meta-data/"+tt.path+" HTTP/1.1\nHost: 127.0.0.1")
			checkFraming(t, got)
			match := updated.FindStringSubmatch(got.Body)
			if match == nil {
				t.Fatalf("got %s", got.Body)
			}
			if at, err := time.Parse("2006-01-02T15:04:05Z", match[1]); err != nil || at.Before(before) || at.After(time.Now()) {
				t.Errorf("LastUpdated is %s: %v", match[1], err)
			}
			if rest := strings.Replace(got.Body, match[0], "", 1); rest != tt.want {
				t.Errorf("got %s\nwant %s", rest, tt.want)
			}
			if !json.Valid([]byte(got.Body)) {
				t.Errorf("%s is not JSON", got.Body)
			}
		})
	}
}
