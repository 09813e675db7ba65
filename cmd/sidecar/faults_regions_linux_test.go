package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// regionalProxy is a proxy that connects to STS in the regions that are up.
type regionalProxy struct {
	to    string          // where all regions are served
	down  map[string]bool // by region
	asked chan string     // each region that was asked
}

func (p *regionalProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	region := strings.Split(r.Host, ".")[1]
	p.asked <- region
	if p.down[region] {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	tunnel(w, p.to)
}

// The program asks another region while its own cannot be reached, for the longest session
// that the role allows, and with the session policy and the root certificates that it finds
// in their files.
func TestAnotherRegionAndChangingFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	w.sts.AddRole(standin.Role{ARN: role, MaxDuration: 8 * time.Hour})
	w.sts.SetGrantLifetime(12 * time.Second)
	authority := newAuthority(t)
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(authority.issue(t, "sts.eu-central-1.amazonaws.com", time.Hour))
	serveTLS(t, w, &shown)
	proxy := &regionalProxy{to: w.srv.Listener.Addr().String(), down: map[string]bool{"eu-west-1": true}, asked: make(chan string, 1000)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go http.Serve(ln, proxy)

	const successElsewhere = `irsa_sidecar_sts_requests_total{region="eu-central-1",result="success"}`
	const first, second = `{"Statement":[{"Sid":"first"}]}`, `{"Statement":[{"Sid":"second"}]}`
	policy := filepath.Join(t.TempDir(), "policy.json")
	write(t, policy, first)
	p := start(t, w.environment("AWS_ENDPOINT_URL_STS=", "HTTPS_PROXY=http://"+ln.Addr().String(), "AWS_CA_BUNDLE="+authority.bundle,
		"SIDECAR_STS_FALLBACK_REGIONS=eu-central-1", "SIDECAR_DURATION=max", "SIDECAR_SESSION_POLICY_FILE="+policy))
	p.waitForLog(t, "credentials refreshed")
	for _, want := range []string{"eu-west-1", "eu-central-1", "eu-west-1", "eu-central-1"} {
		if got := <-proxy.asked; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
	for _, want := range []string{`"msg":"asking STS of another region","region":"eu-central-1"`, `"msg":"the role allows no session as long","refused":"12h0m0s","next":"8h0m0s"`, "cannot reach STS of region eu-west-1"} {
		if !strings.Contains(p.log(), want) {
			t.Errorf("the log has no %s", want)
		}
	}

	write(t, policy, "no JSON")
	if err := os.WriteFile(authority.bundle, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.waitForLog(t, `"setting":"session-policy-file","error":"the file does not hold JSON"`)
	p.waitForLog(t, `"setting":"AWS_CA_BUNDLE","error":"the file holds no certificate in PEM form"`)
	write(t, policy, second)
	p.waitForLog(t, `"msg":"file of a setting can be used again","setting":"session-policy-file"`)
	// Both counts are of calls that have ended, as those of STS may not be.
	var metrics string
	again := metric(fetch(http.DefaultClient, "http://"+p.admin+"/metrics"), successElsewhere) + 1
	for deadline := time.Now().Add(30 * time.Second); metric(metrics, successElsewhere) < max(2, again) && time.Now().Before(deadline); {
		time.Sleep(askPeriod)
		metrics = fetch(http.DefaultClient, "http://"+p.admin+"/metrics")
	}
	requests := w.sts.Requests()
	if got := requests[len(requests)-1].Form; got.Get("Policy") != second || got.Get("DurationSeconds") != "28800" {
		t.Errorf("sent %v", got)
	}
	for name, want := range map[string]float64{`irsa_sidecar_setting_stale{setting="AWS_CA_BUNDLE"}`: 1, `irsa_sidecar_setting_stale{setting="session-policy-file"}`: 0} {
		if got := metric(metrics, name); got != want || !strings.Contains(metrics, name) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if metric(metrics, successElsewhere) < 2 || metric(metrics, `irsa_sidecar_sts_requests_total{region="eu-west-1",result="network"}`) < 2 {
		t.Errorf("the metrics do not say which region was asked:\n%s", metrics)
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
