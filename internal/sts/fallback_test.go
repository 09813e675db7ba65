package sts

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"irsa-sidecar/test/standin"
)

// regions are stand-ins for STS in several regions.
type regions struct {
	sts   map[string]*standin.STS
	hosts map[string]string // by the host name of an endpoint
	asked []string
}

func newRegions(t *testing.T, names ...string) *regions {
	r := &regions{sts: map[string]*standin.STS{}, hosts: map[string]string{}}
	for _, name := range names {
		sts, srv := newStandin(t)
		r.sts[name], r.hosts["sts."+name+".amazonaws.com"] = sts, srv.Listener.Addr().String()
	}
	return r
}

// RoundTrip sends a request to the stand-in for the region that it is for.
func (r *regions) RoundTrip(request *http.Request) (*http.Response, error) {
	r.asked = append(r.asked, strings.Split(request.URL.Host, ".")[1])
	request = request.Clone(request.Context())
	request.URL = &url.URL{Scheme: "http", Host: r.hosts[request.URL.Host], Path: request.URL.Path}
	return http.DefaultTransport.RoundTrip(request)
}

// TestFallback checks which region each of several calls goes to.
func TestFallback(t *testing.T) {
	t.Parallel()
	ok, down := standin.Fault(nil), standin.Answer(503, "", "")
	refuses, throttles := standin.Refuse(403, "AccessDenied", "no"), standin.Refuse(400, "Throttling", "Rate exceeded")
	tests := []struct {
		name   string
		valid  bool            // credentials were granted before
		faults []standin.Fault // of the region's own STS, call by call
		other  []standin.Fault // of the fallback region
		want   string          // o: own, f: fallback
	}{
		{"nothing fails", false, []standin.Fault{ok, ok, ok}, nil, "ooo"},
		{"5xx without credentials", false, []standin.Fault{down}, []standin.Fault{ok}, "of"},
		{"5xx with credentials", true, []standin.Fault{down, down}, []standin.Fault{ok}, "oof"},
		{"a single failure with credentials", true, []standin.Fault{down, ok, down, ok}, nil, "oooo"},
		{"reset", false, []standin.Fault{standin.Reset()}, []standin.Fault{ok}, "of"},
		{"the next refresh asks the region itself", false, []standin.Fault{down, ok}, []standin.Fault{ok}, "ofo"},
		{"still down at the next refresh", false, []standin.Fault{down, down}, []standin.Fault{ok, ok}, "ofof"},
		{"both down", false, []standin.Fault{down, down, down}, []standin.Fault{down, down, down}, "ofofof"},
		{"the fallback region refuses", false, []standin.Fault{down, down}, []standin.Fault{refuses, ok}, "ofof"},
		{"the fallback region throttles", false, []standin.Fault{down, down}, []standin.Fault{throttles, ok}, "ofof"},
		{"a refusal", false, []standin.Fault{refuses, refuses, refuses}, nil, "ooo"},
		{"a refusal after an outage", false, []standin.Fault{down, refuses, refuses, ok}, []standin.Fault{down}, "ofooo"},
		{"throttled", false, []standin.Fault{throttles, throttles, throttles}, nil, "ooo"},
		{"throttled with status 503", false, []standin.Fault{standin.Refuse(503, "ThrottlingException", "x"), standin.Answer(429, "", ""), ok}, nil, "ooo"},
		{"a captive portal", false, []standin.Fault{standin.Answer(200, "text/html", "<html>"), ok}, nil, "oo"},
		{"an outage, then throttled", true, []standin.Fault{down, throttles, down, ok}, nil, "oooo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRegions(t, "eu-west-1", "eu-central-1")
			r.sts["eu-west-1"].Next(tt.faults...)
			r.sts["eu-central-1"].Next(tt.other...)
			f := NewFallback(Options{Region: "eu-west-1", Transport: r}, []string{"eu-central-1"}, func() bool { return tt.valid }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			for range tt.want {
				before := len(r.asked)
				exchange(t.Context(), f, issuer.Token(standin.Claims{}))
				if len(r.asked) != before+1 {
					t.Fatalf("one attempt made %d calls", len(r.asked)-before)
				}
			}
			got := strings.NewReplacer("eu-west-1", "o", "eu-central-1", "f", " ", "").Replace(strings.Join(r.asked, " "))
			if got != tt.want {
				t.Errorf("asked %s, want %s", got, tt.want)
			}
		})
	}
}

// An error says where the next call goes, and which region it is about; the metric and the
// log name the region too.
func TestFallbackSaysWhichRegion(t *testing.T) {
	t.Parallel()
	r := newRegions(t, "eu-west-1", "eu-central-1")
	r.sts["eu-west-1"].Always(standin.Answer(500, "", ""))
	r.sts["eu-central-1"].Next(standin.Refuse(403, "RegionDisabledException", "no"), nil)
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	f := NewFallback(Options{Region: "eu-west-1", Transport: r}, []string{"eu-central-1"}, func() bool { return false }, slog.New(slog.NewJSONHandler(&log, nil)), reg)
	for _, want := range []string{"HTTP 500 from STS of region eu-west-1", "HTTP 403 from STS of the fallback region eu-central-1", "HTTP 500 from STS of region eu-west-1"} {
		_, err := exchange(t.Context(), f, issuer.Token(standin.Claims{}))
		if why := explained(t, err); !strings.Contains(why.Error(), want) || !why.Elsewhere() {
			t.Errorf("got %v, the next call goes elsewhere: %t; want %s", why, why.Elsewhere(), want)
		}
	}
	if _, err := exchange(t.Context(), f, issuer.Token(standin.Claims{})); err != nil {
		t.Error(err)
	}
	if want := `"msg":"asking STS of another region","region":"eu-central-1","instead_of":"eu-west-1","failures":1`; !strings.Contains(log.String(), want) {
		t.Errorf("the log is %s", &log)
	}
	want := `
# HELP irsa_sidecar_sts_requests_total Calls to STS, by the region that was asked and the result: success, or the code of the failure.
# TYPE irsa_sidecar_sts_requests_total counter
irsa_sidecar_sts_requests_total{region="eu-central-1",result="RegionDisabledException"} 1
irsa_sidecar_sts_requests_total{region="eu-central-1",result="success"} 1
irsa_sidecar_sts_requests_total{region="eu-west-1",result="other"} 2
irsa_sidecar_sts_requests_total{region="eu-west-1",result="success"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "irsa_sidecar_sts_requests_total"); err != nil {
		t.Error(err)
	}
}

// A fleet does not fall on one region.
func TestFallbackRegionsAreChosenAtRandom(t *testing.T) {
	t.Parallel()
	r := newRegions(t, "eu-west-1", "eu-central-1", "eu-west-2", "eu-north-1")
	r.sts["eu-west-1"].Always(standin.Answer(500, "", ""))
	f := NewFallback(Options{Region: "eu-west-1", Transport: r}, []string{"eu-central-1", "eu-west-2", "eu-north-1"}, func() bool { return false }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	for range 100 {
		exchange(t.Context(), f, issuer.Token(standin.Claims{}))
	}
	for name, sts := range r.sts {
		if n := len(sts.Requests()); n < 3 {
			t.Errorf("%s was asked %d times in 100", name, n)
		}
	}
}

// Without other regions it is a client of the region.
func TestWithoutFallback(t *testing.T) {
	t.Parallel()
	sts, srv := newStandin(t)
	sts.Always(standin.Answer(500, "", ""))
	f := NewFallback(Options{Endpoint: srv.URL}, nil, func() bool { return false }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	for range 5 {
		if _, err := exchange(t.Context(), f, issuer.Token(standin.Claims{})); explained(t, err).Elsewhere() {
			t.Error("the next call goes elsewhere")
		}
	}
	if n := len(sts.Requests()); n != 5 {
		t.Errorf("%d calls, want 5", n)
	}
}
