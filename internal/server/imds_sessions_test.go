package server

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"irsa-sidecar/test/rawhttp"
)

func TestSessionsOnTheWire(t *testing.T) {
	t.Parallel()
	addr := serve(t, newInstance(Instance{Role: testRole}, always(sample())))
	for _, ttl := range []int{1, 60, maxTTL} { // SDKs request the maximum
		got := rawhttp.Exchange(t, addr, fmt.Sprintf("PUT /latest/api/token/ HTTP/1.1\nHost: 127.0.0.1\nX-aws-ec2-metadata-token-ttl-seconds: %d", ttl))
		for name, want := range map[string]string{"Content-Type": "text/plain", "Cache-Control": "no-store", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": fmt.Sprint(ttl)} {
			if got.Header.Get(name) != want {
				t.Errorf("TTL %d: %s is %q, want %q", ttl, name, got.Header.Get(name), want)
			}
		}
		role := rawhttp.Exchange(t, addr, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\nHost: 127.0.0.1\nX-aws-ec2-metadata-token: "+got.Body)
		if role.Status != http.StatusOK || role.Body != "app" || role.Header.Get("Content-Type") != "text/plain" {
			t.Errorf("TTL %d: got %d %s", ttl, role.Status, role.Body)
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(nil, nil)
		short, long := s.issue(time.Second), s.issue(maxTTL*time.Second)
		if short == long || len(short) != 56 {
			t.Errorf("got %s and %s", short, long)
		}
		time.Sleep(time.Second - time.Nanosecond)
		if !s.valid(short) || !s.valid(long) {
			t.Error("a session expires early")
		}
		time.Sleep(time.Nanosecond)
		if s.valid(short) {
			t.Error("a session is valid for too long")
		}
		time.Sleep(maxTTL*time.Second - time.Second - time.Nanosecond)
		if !s.valid(long) {
			t.Error("a session of six hours expires early")
		}
		time.Sleep(time.Nanosecond)
		if s.valid(long) {
			t.Error("a session is valid for more than six hours")
		}
	})
}

// A token with any bit changed is invalid.
func TestForgedSessions(t *testing.T) {
	t.Parallel()
	s := newSessions(nil, nil)
	token := s.issue(time.Minute)
	raw, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		forged := append([]byte(nil), raw...)
		forged[bit/8] ^= 1 << (bit % 8)
		if s.valid(base64.URLEncoding.EncodeToString(forged)) {
			t.Errorf("valid with bit %d changed", bit)
		}
	}
	for _, forged := range []string{"", "=", token[:8], token[:len(token)-4], token + "AAAA", base64.URLEncoding.EncodeToString(raw[:8]), base64.URLEncoding.EncodeToString(raw[:7])} {
		if s.valid(forged) {
			t.Errorf("%q is valid", forged)
		}
	}
	if newSessions(nil, nil).valid(token) {
		t.Error("valid in another process")
	}
	if !s.valid(token) {
		t.Error("the token itself is invalid")
	}
}
