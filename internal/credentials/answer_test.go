package credentials

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/sts"
	"irsa-sidecar/test/standin"
)

// Any answer, of STS or of a server in its place, becomes valid credentials or a reason
// that is short, printable and without the token.
func FuzzAnswer(f *testing.F) {
	token := issuer.Token(standin.Claims{})
	const placeholder = "{TOKEN}"
	for _, fault := range append(failures(), failure{"grants", nil}) {
		if strings.Contains(fault.what, "hangs") || strings.Contains(fault.what, "resets") || strings.Contains(fault.what, "drips") || strings.Contains(fault.what, "huge") {
			continue // no answer, or a slow or huge one
		}
		recorder := record(f, fault.fault, token)
		f.Add(recorder.Code, recorder.Header().Get("Content-Type"), strings.ReplaceAll(recorder.Body.String(), token, placeholder))
	}
	f.Add(400, "text/xml", "<ErrorResponse><Error><Code>"+placeholder+"</Code><Message>a\x00\u202e"+placeholder+"</Message></Error><RequestId>"+placeholder+"</RequestId></ErrorResponse>")
	f.Add(200, "text/xml", "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><Expiration>9999-12-31T23:59:59Z</Expiration></Credentials>")
	const granted = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>a</SecretAccessKey>" +
		"<SessionToken>a</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
	f.Add(200, "text/xml", fmt.Sprintf(granted, "a", "9999-12-31T23:59:59Z"))
	f.Add(200, "text/xml", fmt.Sprintf(granted, " \n", "9999-12-31T23:59:59Z"))
	f.Add(999, "application/json", `{"Error":{"Code":"AccessDenied"}}`)
	f.Add(100, "", "")
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		if status < 200 || status > 999 { // net/http rejects any other status
			return
		}
		body = strings.ReplaceAll(body, placeholder, token)
		client := sts.New(sts.Options{Endpoint: "http://sts.example", Transport: answering(status, contentType, body)}, prometheus.NewRegistry())
		r := NewRefresher(nil, "STS", time.Hour, stsCodes(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		got, err := exchange(t.Context(), client, token)
		if err == nil {
			if got, err = r.accept(got, aws.Credentials{}); err == nil && (!complete(got) || !got.Expires.After(time.Now()) || time.Until(got.Expires) > 2*time.Hour) {
				t.Errorf("%+v was accepted", got)
			}
		}
		if err == nil {
			return
		}
		why := reasonFor(err, r.codes)
		if !slices.Contains(r.codes, why.code) || why.message == "" || len(why.message) > 1500 || !utf8.ValidString(why.message) {
			t.Errorf("not a reason: %q", why)
		}
		for _, text := range []string{why.message, why.requestID} {
			if strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, "\u202e") {
				t.Errorf("%q is not printable", text)
			}
			for segment := range strings.SplitSeq(token, ".") {
				if strings.Contains(text, segment) {
					t.Errorf("%q repeats the token", text)
				}
			}
		}
	})
}

// record returns the stand-in's answer with fault.
func record(f *testing.F, fault standin.Fault, token string) *httptest.ResponseRecorder {
	fake := standin.NewSTS(issuer)
	fake.AddRole(standin.Role{ARN: role})
	fake.Always(fault)
	recorder := httptest.NewRecorder()
	var sent http.RoundTripper = roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		fake.ServeHTTP(recorder, r)
		return recorder.Result(), nil
	})
	exchange(f.Context(), sts.New(sts.Options{Endpoint: "http://sts.example", Transport: sent}, prometheus.NewRegistry()), token)
	if len(fake.Requests()) != 1 {
		f.Fatalf("%d requests", len(fake.Requests()))
	}
	return recorder
}

func answering(status int, contentType, body string) http.RoundTripper {
	return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header:        http.Header{"Content-Type": {contentType}, "X-Amzn-Requestid": {body[:min(len(body), 100)]}},
			Body:          io.NopCloser(bytes.NewReader([]byte(body))),
			ContentLength: int64(len(body)),
		}, nil
	})
}

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
