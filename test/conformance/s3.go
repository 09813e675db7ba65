package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"irsa-sidecar/test/harness"
	"irsa-sidecar/test/standin"
)

// The verdicts on a request's credentials.
const (
	ofSidecar     verdict = "ok"
	ofWebIdentity verdict = "web-identity"
	ofNode        verdict = "the node's role"
	unsigned      verdict = "unsigned"
	expired       verdict = "keeps the first credentials"
	unknown       verdict = "unknown credentials"
)

// storeServer is the server behind the store. It accepts any credentials.
const storeServer = "127.0.0.1:5001"

// store is S3, and what else of AWS programs use: moto, behind a check of the credentials of
// each request.
type store struct {
	proxy  *httputil.ReverseProxy
	issued func() []standin.Credentials // those that STS has granted

	mu   sync.Mutex // guards seen
	seen map[verdict]signer
}

// signer identifies the credentials that a request is signed with. It is zero for an
// unsigned request.
type signer struct{ key, token string }

func newStore(server string, issued func() []standin.Credentials) *store {
	return &store{issued: issued, seen: make(map[verdict]signer), proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: server})
			r.Out.Host = r.In.Host // links in responses use it
		},
		ModifyResponse: completed,
		ErrorLog:       log.New(io.Discard, "", 0),
	}}
}

// startStore starts the server, whose Python packages are in home.
func startStore(home string) error {
	cmd := exec.Command("python3", filepath.Join(home, "bin", "moto_server"), "--port", "5001")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "PYTHONPATH=" + home, "PYTHONDONTWRITEBYTECODE=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Start()
}

// empty waits for the server, and removes what a case before has stored.
func (s *store) empty(ctx context.Context) error {
	err := harness.Await(ctx, 50*time.Millisecond, time.Minute, func(context.Context) error {
		conn, err := net.Dial("tcp", storeServer)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the S3 server: %w", err)
	}
	resp, err := http.Post("http://"+storeServer+"/moto-api/reset", "", nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// ServeHTTP refuses a request as S3 does if its credentials are missing, expired or unknown.
// The node's role may do anything here.
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := signerOf(r)
	whose := s.judge(who)
	s.mu.Lock()
	s.seen[whose] = who
	s.mu.Unlock()
	code := map[verdict]string{unsigned: "AccessDenied", expired: "ExpiredToken", unknown: "InvalidAccessKeyId"}[whose]
	if code == "" {
		s.proxy.ServeHTTP(asS3{w}, r)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, whose)
}

// asS3 spells ETag as S3 does: Java v1 1.10 looks for it case by case.
type asS3 struct{ http.ResponseWriter }

func (w asS3) WriteHeader(status int) {
	if tag, ok := w.Header()["Etag"]; ok {
		w.Header().Del("Etag")
		w.Header()["ETag"] = tag
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w asS3) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// completed names what the server answers about a complete upload as S3 does: some programs
// look for that name.
func completed(r *http.Response) error {
	if r.Request.Method != http.MethodPost || !r.Request.URL.Query().Has("uploadId") {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	body = bytes.ReplaceAll(body, []byte("CompleteMultipartUploadResponse"), []byte("CompleteMultipartUploadResult"))
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return err
}

// judge returns whose credentials a request is signed with. The key alone is not enough: AWS
// refuses it without the session token that was granted with it.
func (s *store) judge(who signer) verdict {
	switch who {
	case signer{}:
		return unsigned
	case signer{nodeKey, nodeToken}:
		return ofNode
	}
	issued := s.issued()
	i := slices.IndexFunc(issued, func(c standin.Credentials) bool { return who == signer{c.AccessKeyID, c.SessionToken} })
	switch {
	case i < 0:
		return unknown
	case !time.Now().Before(issued[i].Expiration):
		return expired
	case strings.Contains(issued[i].SessionARN, ":assumed-role/web-identity/"):
		return ofWebIdentity
	}
	return ofSidecar
}

// reset forgets the requests so far.
func (s *store) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = make(map[verdict]signer)
}

// verdict returns nil if all requests were signed with credentials of the sidecar, and
// otherwise whose credentials others were signed with. failed is whether the program failed:
// one that did not may have asked for new credentials when S3 refused expired ones.
func (s *store) verdict(failed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range []verdict{ofNode, expired, unsigned, ofWebIdentity} {
		if _, ok := s.seen[v]; ok && (v != expired || failed) {
			return v
		}
	}
	who, isUnknown := s.seen[unknown]
	switch {
	case isUnknown:
		return fmt.Errorf("a request was signed with the key %q and the session token %q, not with credentials of the sidecar", who.key, who.token)
	case failed:
		return verdict("fails")
	case len(s.seen) == 0:
		return errors.New("S3 got no requests")
	}
	return nil
}

// signerRule matches the Authorization header of both signature versions, and the
// parameters of presigned URLs.
var signerRule = regexp.MustCompile(`^(?:AWS4-HMAC-SHA256 Credential=|AWS |)([A-Z0-9]+)[/:]`)

func signerOf(r *http.Request) signer {
	query := r.URL.Query()
	match := signerRule.FindStringSubmatch(cmp.Or(r.Header.Get("Authorization"), query.Get("X-Amz-Credential"), query.Get("AWSAccessKeyId")+":"))
	if match == nil {
		return signer{}
	}
	return signer{match[1], cmp.Or(r.Header.Get("X-Amz-Security-Token"), query.Get("X-Amz-Security-Token"), query.Get("x-amz-security-token"))}
}
