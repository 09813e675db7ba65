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

// recorder passes requests on to the S3 of a driver, which takes any
// credentials, and remembers whose those were.
type recorder struct {
	proxy *httputil.ReverseProxy

	mu      sync.Mutex // guards signers
	signers map[signer]bool
}

// signer is what a request says of the credentials that it is signed with; it is
// zero if it is not.
type signer struct{ key, token string }

func newRecorder() *recorder {
	// Where clients/s3/start has its server.
	server := &url.URL{Scheme: "http", Host: "127.0.0.1:5001"}
	return &recorder{proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Host = r.In.Host // the links in an answer lead there
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

// seen returns who has signed requests.
func (s *recorder) seen() []signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.signers))
}

// signerRule is for the header of both versions of signatures, and for what the
// links of the newer one have.
var signerRule = regexp.MustCompile(`^(?:AWS4-HMAC-SHA256 Credential=|AWS |)([A-Z0-9]+)[/:]`)

func signerOf(r *http.Request) signer {
	query := r.URL.Query()
	match := signerRule.FindStringSubmatch(cmp.Or(r.Header.Get("Authorization"), query.Get("X-Amz-Credential")))
	if match == nil {
		return signer{}
	}
	return signer{match[1], cmp.Or(r.Header.Get("X-Amz-Security-Token"), query.Get("X-Amz-Security-Token"))}
}
