package standin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signing describes how to sign a GetCallerIdentity request.
type signing struct {
	form    url.Values
	creds   aws.Credentials
	service string
	region  string
	time    time.Time
}

func (s service) signed(t *testing.T, by signing) *http.Request {
	t.Helper()
	req := s.request(t, by.form)
	sum := sha256.Sum256([]byte(by.form.Encode()))
	if err := v4.NewSigner().SignHTTP(t.Context(), by.creds, req, hex.EncodeToString(sum[:]), by.service, by.region, by.time); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestGetCallerIdentityRefuses(t *testing.T) {
	s := newService(t)
	creds, err := s.retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const (
		invalid  = "The security token included in the request is invalid."
		mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	)
	inAuthorization := func(old, replacement string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
		}
	}
	tests := []struct {
		name   string
		sign   func(*signing)
		tamper func(*http.Request)
		status int
		code   string
		want   string // the message, or its prefix if it ends in …
	}{
		{"unsigned", nil, func(r *http.Request) { r.Header.Del("Authorization") }, 403, "MissingAuthenticationToken", "Request is missing Authentication Token"},
		{"another scheme", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 400, "IncompleteSignature", "Unsupported AWS 'algorithm'…"},
		{"no credential", nil, inAuthorization("Credential=", "Credentials="), 400, "IncompleteSignature", "Authorization header requires 'Credential' parameter."},
		{"no signature", nil, inAuthorization("Signature=", "Signatures="), 400, "IncompleteSignature", "Authorization header requires 'Signature' parameter."},
		{"no signed headers", nil, inAuthorization("SignedHeaders=", "Headers="), 400, "IncompleteSignature", "Authorization header requires 'SignedHeaders' parameter."},
		{"short credential", nil, inAuthorization("/sts/", "/"), 400, "IncompleteSignature", "Credential must have exactly 5 slash-delimited elements…"},
		{"no date", nil, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, 400, "IncompleteSignature", "Authorization header requires existence of an 'X-Amz-Date' header…"},
		{"unknown key", func(s *signing) { s.creds.AccessKeyID = "ASIAIOSFODNN7EXAMPLE" }, nil, 403, "InvalidClientTokenId", invalid},
		{"no session token", func(s *signing) { s.creds.SessionToken = "" }, nil, 403, "InvalidClientTokenId", invalid},
		{"another session's token", func(s *signing) { s.creds.SessionToken = other.SessionToken }, nil, 403, "InvalidClientTokenId", invalid},
		{"another session's secret", func(s *signing) { s.creds.SecretAccessKey = other.SecretAccessKey }, nil, 403, "SignatureDoesNotMatch", mismatch},
		{"signed in the future", func(s *signing) { s.time = s.time.Add(16 * time.Minute) }, nil, 403, "SignatureDoesNotMatch", "Signature not yet current: 2…"},
		{"signed too long ago", func(s *signing) { s.time = s.time.Add(-16 * time.Minute) }, nil, 403, "SignatureDoesNotMatch", "Signature expired: 2…"},
		{"wrong service", func(s *signing) { s.service = "s3" }, nil, 403, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'. "},
		{"no region", func(s *signing) { s.region = "" }, nil, 403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region, not ''. "},
		{"wrong region", nil, inAuthorization("us-west-2", "us-east-1"), 403, "SignatureDoesNotMatch", mismatch},
		{"wrong terminator", nil, inAuthorization("aws4_request", "aws5_request"), 403, "SignatureDoesNotMatch", "Credential should be scoped with a valid terminator…"},
		{"scope of another day", nil, inAuthorization("/2", "/1"), 403, "SignatureDoesNotMatch", "Date in Credential scope does not match…"},
		{"unsigned host", nil, inAuthorization("host;", ""), 403, "SignatureDoesNotMatch", "'host' must be a 'SignedHeader' in the AWS Authorization."},
		{"unsigned session token", nil, inAuthorization(";x-amz-security-token", ""), 403, "SignatureDoesNotMatch", "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization."},
		{"wrong host", nil, func(r *http.Request) { r.Host = "sts.us-west-2.amazonaws.com" }, 403, "SignatureDoesNotMatch", mismatch},
		{"changed date", nil, func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z"))
		}, 403, "SignatureDoesNotMatch", "…"},
		{"changed content type", nil, func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}, 403, "SignatureDoesNotMatch", mismatch},
		{"changed body", nil, func(r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			setBody(r, "Version=2011-06-15&"+strings.TrimSuffix(string(body), "&Version=2011-06-15"))
		}, 403, "SignatureDoesNotMatch", mismatch},
		{"wrong body hash", nil, func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, 403, "SignatureDoesNotMatch", "The provided 'x-amz-content-sha256' header does not match what was computed."},
		{"wrong signature", nil, inAuthorization("Signature=", "Signature=0"), 403, "SignatureDoesNotMatch", mismatch},
		{"unknown parameter", func(s *signing) { s.form.Set("RoleArn", appRole) }, nil, 400, "InvalidQueryParameter", "GetCallerIdentity has no parameter RoleArn"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			by := signing{
				form:  url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}},
				creds: creds, service: "sts", region: "us-west-2", time: time.Now(),
			}
			if tt.sign != nil {
				tt.sign(&by)
			}
			req := s.signed(t, by)
			if tt.tamper != nil {
				tt.tamper(req)
			}
			status, got := refusal(t, req)
			if status != tt.status || got.Code != tt.code {
				t.Errorf("got %d %s: %s, want %d %s", status, got.Code, got.Message, tt.status, tt.code)
			}
			if begin, cut := strings.CutSuffix(tt.want, "…"); got.Message != tt.want && !(cut && strings.HasPrefix(got.Message, begin)) {
				t.Errorf("message %q, want %q", got.Message, tt.want)
			}
		})
	}
}

func TestGetCallerIdentityExpires(t *testing.T) {
	s := newService(t)
	creds, err := s.retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	get := func(skew time.Duration) (int, errorAnswer) {
		form := url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}
		return refusal(t, s.signed(t, signing{form, creds, "sts", "us-west-2", time.Now().Add(skew)}))
	}
	s.SetClock(func() time.Time { return creds.Expires })
	status, got := get(time.Hour)
	if status != 403 || got.Code != "ExpiredToken" || got.Message != "The security token included in the request is expired" {
		t.Errorf("got %d %s: %s, want 403 ExpiredToken", status, got.Code, got.Message)
	}
}
