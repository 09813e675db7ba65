package sts

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// BenchmarkRefresh measures one exchange of a token. Compare it with BenchmarkBare, a
// plain net/http client that posts as much and reads the answer.
func BenchmarkRefresh(b *testing.B) {
	_, srv := newStandin(b)
	client := New(Options{Endpoint: srv.URL}, prometheus.NewRegistry())
	token := issuer.Token(standin.Claims{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exchange(b.Context(), client, token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBare(b *testing.B) {
	_, srv := newStandin(b)
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"pod-1"},
		"DurationSeconds": {"3600"}, "WebIdentityToken": {issuer.Token(standin.Claims{})},
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.PostForm(srv.URL, form)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
