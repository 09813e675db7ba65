package standin_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"irsa-sidecar/test/standin"
)

const (
	issuerURL = "https://oidc.eks.us-west-2.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
	appRole   = "arn:aws:iam::111122223333:role/team/app-role"
	denied    = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
	notAJWT   = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)

// service is an STS with one issuer and one role, and its address.
type service struct {
	*standin.STS
	issuer *standin.Issuer
	url    string
}

func newService(t *testing.T) service {
	t.Helper()
	issuer := standin.NewIssuer(issuerURL)
	s := standin.NewSTS(issuer)
	s.AddRole(standin.Role{ARN: appRole})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return service{s, issuer, server.URL}
}

// form returns the parameters of a request that STS grants.
func (s service) form() url.Values {
	return url.Values{
		"Action":           {"AssumeRoleWithWebIdentity"},
		"Version":          {"2011-06-15"},
		"RoleArn":          {appRole},
		"RoleSessionName":  {"default.app"},
		"WebIdentityToken": {s.issuer.Token(standin.Claims{})},
	}
}

// request returns the request with that form.
func (s service) request(t *testing.T, form url.Values) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func (s service) client(provider aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{
		Region:       "us-west-2",
		BaseEndpoint: aws.String(s.url),
		Credentials:  provider,
		Retryer:      aws.NopRetryer{},
	})
}

// tokenFunc is a stscreds.IdentityTokenRetriever.
type tokenFunc func() string

func (f tokenFunc) GetIdentityToken() ([]byte, error) { return []byte(f()), nil }

func (s service) retrieve(ctx context.Context) (aws.Credentials, error) {
	token := tokenFunc(func() string { return s.issuer.Token(standin.Claims{}) })
	return stscreds.NewWebIdentityRoleProvider(s.client(nil), appRole, token).Retrieve(ctx)
}

type errorAnswer struct {
	XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// refusal sends the request and returns the status and the error of the answer.
func refusal(t *testing.T, req *http.Request) (int, errorAnswer) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer errorAnswer
	if err := xml.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if id := resp.Header.Get("x-amzn-RequestId"); id == "" || id != answer.RequestID {
		t.Errorf("request id in the header %q, in the body %q", id, answer.RequestID)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/xml" {
		t.Errorf("Content-Type %q, want text/xml", got)
	}
	return resp.StatusCode, answer
}

func setBody(r *http.Request, body string) {
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
}

// codeOf returns the error code that the SDK has parsed, or "".
func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}
