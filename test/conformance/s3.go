package main

import (
	"cmp"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"sync"
)

// recorder forwards requests to the driver's S3 server, which accepts any credentials,
// and records the credentials of each request.
type recorder struct {
	proxy *httputil.ReverseProxy

	mu      sync.Mutex // guards signers
	signers map[signer]bool
}

// signer identifies the credentials that a request is signed with. It is zero for an
// unsigned request.
type signer struct{ key, token string }

func newRecorder() *recorder {
	// The address in clients/s3/start.
	server := &url.URL{Scheme: "http", Host: "127.0.0.1:5001"}
	return &recorder{proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Host = r.In.Host // links in responses use it
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}}
}

func (s *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.signers[signerOf(r)] = true
	s.mu.Unlock()
	s.proxy.ServeHTTP(w, r)
}

func (s *recorder) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signers = make(map[signer]bool)
}

// seen returns the signers of all requests.
func (s *recorder) seen() []signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.signers))
}

// signerRule matches the Authorization header of both signature versions, and the
// X-Amz-Credential parameter of presigned URLs with version 4.
var signerRule = regexp.MustCompile(`^(?:AWS4-HMAC-SHA256 Credential=|AWS |)([A-Z0-9]+)[/:]`)

func signerOf(r *http.Request) signer {
	query := r.URL.Query()
	match := signerRule.FindStringSubmatch(cmp.Or(r.Header.Get("Authorization"), query.Get("X-Amz-Credential")))
	if match == nil {
		return signer{}
	}
	return signer{match[1], cmp.Or(r.Header.Get("X-Amz-Security-Token"), query.Get("X-Amz-Security-Token"))}
}
