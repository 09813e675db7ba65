package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"irsa-sidecar/internal/listen"
	"irsa-sidecar/test/rawhttp"
	"irsa-sidecar/test/recorded"
)

// The guard refuses none of the requests that real clients sent: to the container
// credentials and ECS endpoints all of them get the credentials, and at the instance
// metadata endpoint some ask for pages that there are not. test/conformance/run --record
// recorded them.
func TestRecordedRequestsPass(t *testing.T) {
	t.Parallel()
	requests, err := recorded.ReadDir("testdata/requests")
	if err != nil {
		t.Fatal(err)
	}
	role := arn.ARN{Partition: "aws", Service: "iam", AccountID: "111122223333", Resource: "role/sidecar"}
	container := newContainer(always(sample()), nil)
	ln := openListener(t, "127.0.0.1:0")
	instance := newInstance(Instance{Role: role, Region: "eu-west-1", V1: true}, always(sample()))
	serveOn(t, listen.WithoutHost(ln), at("169.254.169.254", instance), slog.New(slog.DiscardHandler))
	imds := ln.Addr().String()
	addrs := map[string]string{
		"container": serve(t, container),
		"ecs":       serve(t, at("169.254.170.2", container)),
		"imds":      imds,
	}
	token := session(t, imds, maxTTL)
	sent := make(map[string]int)
	for _, r := range requests {
		sent[r.Endpoint]++
		t.Run(r.Endpoint+" "+r.Clients[0], func(t *testing.T) {
			t.Parallel()
			want := []int{http.StatusOK}
			if r.Endpoint == "imds" {
				want = append(want, http.StatusNotFound)
			}
			got := rawhttp.Exchange(t, addrs[r.Endpoint], strings.ReplaceAll(r.Head, recorded.Token, token))
			if !slices.Contains(want, got.Status) {
				t.Errorf("%s\n\ngot %d %s", r.Head, got.Status, got.Body)
			}
		})
	}
	for endpoint := range addrs {
		if sent[endpoint] < 30 {
			t.Errorf("%d requests to the endpoint %s", sent[endpoint], endpoint)
		}
	}
}

// at returns handler for connections that seem to have been accepted on an address that
// this machine does not have.
func at(host string, handler http.Handler) http.Handler {
	addr := &net.TCPAddr{IP: net.ParseIP(host), Port: 80}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr)))
	})
}
