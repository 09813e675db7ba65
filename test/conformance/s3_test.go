package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// The store takes nothing but a key with the session token that was granted with it, until
// they expire. That is what the work cases rely on.
func TestStore(t *testing.T) {
	granted := []standin.Credentials{
		{AccessKeyID: "ASIAVALID", SessionToken: "valid", Expiration: time.Now().Add(time.Hour)},
		{AccessKeyID: "ASIAWEB", SessionToken: "web", SessionARN: "arn:aws:sts::111122223333:assumed-role/web-identity/client", Expiration: time.Now().Add(time.Hour)},
		{AccessKeyID: "ASIAEXPIRED", SessionToken: "expired", Expiration: time.Now().Add(-time.Second)},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("ETag", "tag") }))
	defer server.Close()
	s := newStore(strings.TrimPrefix(server.URL, "http://"), func() []standin.Credentials { return granted })
	for _, test := range []struct {
		name, header, token, query string
		want                       string
		status                     int
	}{
		{"granted", "AWS4-HMAC-SHA256 Credential=ASIAVALID/20261128/eu-west-1/s3/aws4_request, SignedHeaders=host", "valid", "", "", 200},
		{"granted, signature version 2", "AWS ASIAVALID:signature", "valid", "", "", 200},
		{"granted, presigned", "", "", "X-Amz-Credential=ASIAVALID/20261128/eu-west-1/s3/aws4_request&X-Amz-Security-Token=valid", "", 200},
		{"granted, presigned with version 2", "", "", "AWSAccessKeyId=ASIAVALID&x-amz-security-token=valid", "", 200},
		{"no session token", "AWS ASIAVALID:signature", "", "", "a request was signed with the key \"ASIAVALID\"", 403},
		{"the token of others", "AWS ASIAVALID:signature", "expired", "", "a request was signed with the key \"ASIAVALID\"", 403},
		{"expired", "AWS ASIAEXPIRED:signature", "expired", "", "", 403},
		{"the program's own", "AWS ASIAWEB:signature", "web", "", "web-identity", 200},
		{"unsigned", "", "", "", "unsigned", 403},
		{"the node's role", "AWS " + nodeKey + ":signature", nodeToken, "", "the node's role", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.reset()
			r := httptest.NewRequest("GET", "/bucket/key?"+test.query, nil)
			if test.header != "" {
				r.Header.Set("Authorization", test.header)
			}
			if test.token != "" {
				r.Header.Set("X-Amz-Security-Token", test.token)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if test.status == 200 && map[string][]string(w.Header())["ETag"] == nil {
				t.Errorf("headers %v, want ETag in this spelling", w.Header())
			}
			switch err := s.verdict(false); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
				t.Errorf("verdict %v, want %s", err, test.want)
			}
		})
	}
	s.reset()
	if err := s.verdict(false); err == nil {
		t.Error("no request is a success")
	}
	r := httptest.NewRequest("GET", "/bucket/key", nil)
	r.Header.Set("Authorization", "AWS ASIAEXPIRED:signature")
	r.Header.Set("X-Amz-Security-Token", "expired")
	s.ServeHTTP(httptest.NewRecorder(), r)
	if err := s.verdict(true); err != expired {
		t.Errorf("a program that fails with expired credentials has the verdict %v", err)
	}
	s.reset()
	if err := s.verdict(true); err != verdict("fails") {
		t.Errorf("a program that fails without a request has the verdict %v", err)
	}
}

// The AWS SDKs for C++ and Rust find nothing in an answer with another name.
func TestStoreCompletesUploads(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<CompleteMultipartUploadResponse><ETag>tag</ETag></CompleteMultipartUploadResponse>")
	}))
	defer server.Close()
	s := newStore(strings.TrimPrefix(server.URL, "http://"), func() []standin.Credentials { return nil })
	r := httptest.NewRequest("POST", "/bucket/key?uploadId=1", nil)
	r.Header.Set("Authorization", "AWS "+nodeKey+":signature")
	r.Header.Set("X-Amz-Security-Token", nodeToken)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	const want = "<CompleteMultipartUploadResult><ETag>tag</ETag></CompleteMultipartUploadResult>"
	if got := w.Body.String(); got != want {
		t.Errorf("body %s, want %s", got, want)
	}
}
