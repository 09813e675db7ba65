package main

import (
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"irsa-sidecar/test/standin"
)

func TestAnSDKGetsTheRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t)
	p := start(t, w.environment())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		_, port, _ := net.SplitHostPort(p.endpoint)
		sdk := endpointcreds.New("http://" + net.JoinHostPort(host, port) + "/v1/credentials")
		got, err := sdk.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := w.sts.Credentials()[0]
		if got.AccessKeyID != want.AccessKeyID || got.SecretAccessKey != want.SecretAccessKey || got.SessionToken != want.SessionToken ||
			!got.Expires.Equal(want.Expiration) {
			t.Errorf("%s: got %+v, want %+v", host, got, want)
		}
	}
	if status, output := p.ready(t); status != 0 || output != "" {
		t.Errorf("sidecar ready: exit status %d, output %q", status, output)
	}
	for path, want := range map[string]string{"/readyz": "ok\n", "/healthz": "ok\n", "/metrics": "irsa_sidecar_requests_total{code=\"200\"} 3\n"} {
		if status, body := get(t, "http://"+p.admin+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d, want 200 and %q:\n%s", path, status, want, body)
		}
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	if n := len(w.sts.Requests()); n != 1 {
		t.Errorf("%d calls to STS, want 1", n)
	}
}

func TestWarnsOfPlainHTTP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint string
		want     bool
	}{
		{endpoint: "http://sts.example", want: true},
		{endpoint: "http://192.0.2.1:8080", want: true},
		{endpoint: "https://sts.example"},
		{endpoint: "http://localhost:8080"},
		{endpoint: "http://127.0.0.1:8080"},
		{endpoint: "http://[::1]:8080"},
	}
	for _, tt := range tests {
		t.Run(tt.endpoint, func(t *testing.T) {
			t.Parallel()
			p := start(t, newWorld(t).environment("AWS_ENDPOINT_URL_STS="+tt.endpoint)) // without a token, so nothing is sent
			p.waitForLog(t, "refresh failed")
			if got := strings.Contains(p.log(), `"msg":"STS is called without TLS"`); got != tt.want {
				t.Errorf("warned: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWaitsForTheTokenAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := start(t, w.environment())
	p.waitForLog(t, `"code":"token"`)
	if status, output := p.ready(t); status != 1 || !strings.HasPrefix(output, "token: token file "+w.volume.Path("token")+" does not exist") || strings.Count(output, "\n") != 1 {
		t.Errorf("sidecar ready without a token: exit status %d, output %q", status, output)
	}
	if status, body := get(t, "http://"+p.admin+"/readyz"); status != 503 || body != "not ready: token\n" {
		t.Errorf("/readyz: got %d %q", status, body)
	}
	if status, _ := get(t, "http://"+p.admin+"/healthz"); status != 200 {
		t.Errorf("/healthz: got %d, want 200", status)
	}
	if n := len(w.sts.Requests()); n != 0 {
		t.Errorf("%d calls to STS without a token, want 0", n)
	}
	w.publish(t)
	p.waitForLog(t, "credentials refreshed")
	if status, output := p.ready(t); status != 0 {
		t.Errorf("sidecar ready with a token: exit status %d, output %q", status, output)
	}
}

func TestSaysWhySTSRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sts.Always(standin.Refuse(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"))
	w.publish(t)
	p := start(t, w.environment())
	p.waitForLog(t, `"code":"AccessDenied"`)
	const want = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity (HTTP 403 from http://127.0.0.1:"
	if status, output := p.ready(t); status != 1 || !strings.HasPrefix(output, want) || strings.Count(output, "\n") != 1 {
		t.Errorf("sidecar ready: exit status %d, output %q", status, output)
	}
	_, err := endpointcreds.New("http://"+p.endpoint+"/v1/credentials", func(o *endpointcreds.Options) { o.Retryer = nil }).Retrieve(t.Context())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an SDK reports %v, want %q", err, want)
	}
	if _, body := get(t, "http://"+p.admin+"/metrics"); !strings.Contains(body, `irsa_sidecar_refresh_failing{code="AccessDenied"} 1`) {
		t.Errorf("the metrics do not have the reason:\n%s", body)
	}
	if status := p.terminate(t); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
}
