package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// The whole program with the STS of an S3-compatible store, at an endpoint of its own.
func TestCompatibleSTS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		service standin.Service
		role    string
		pages   map[string]string // parts of pages of the instance metadata endpoint
		answer  string            // the beginning of the answer with credentials
	}{
		{"MinIO", standin.MinIO, "arn:minio:iam:::role/app", map[string]string{
			"meta-data/services/partition": "minio", "meta-data/iam/info": `"InstanceProfileArn" : "arn:minio:iam:::instance-profile/app"`}, `{"AccessKeyId":`},
		{"Ceph", standin.Ceph, "arn:aws:iam:::role/team/app", map[string]string{
			"meta-data/iam/security-credentials/": "app", "meta-data/iam/info": `"InstanceProfileArn" : "arn:aws:iam:::instance-profile/app"`}, `{"AccessKeyId":`},
		{"Ceph with accounts", standin.Ceph, "arn:aws:iam::RGW12345678901234567:role/app", map[string]string{
			"dynamic/instance-identity/document": `"accountId" : "RGW12345678901234567"`}, `{"RoleArn":"arn:aws:iam::RGW12345678901234567:role/app","AccessKeyId":`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sts.Imitate(tt.service)
			w.publish(t)
			p := start(t, w.environment("AWS_ROLE_ARN="+tt.role, "AWS_REGION=", "SIDECAR_IMDS_LISTEN=127.0.0.1:0"))
			p.waitForLog(t, `"msg":"refresh failed"`)
			if status, body := get(t, "http://"+p.endpoint+"/v1/credentials"); status != http.StatusServiceUnavailable || !strings.Contains(body, "HTTP 40") {
				t.Errorf("before there is such a role: %d %s", status, body)
			}
			w.sts.AddRole(standin.Role{ARN: tt.role})
			p.waitForLog(t, "credentials refreshed")
			issued := w.sts.Credentials()[0]
			want := fmt.Sprintf(`%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, issued.AccessKeyID, issued.SecretAccessKey, issued.SessionToken, issued.Expiration.Format(time.RFC3339))
			if status, body := get(t, "http://"+p.endpoint+"/v1/credentials"); status != http.StatusOK || body != tt.answer+want {
				t.Errorf("got %d %s, want %s", status, body, tt.answer+want)
			}
			tt.pages["meta-data/iam/security-credentials-extended/app"] = issued.AccessKeyID
			p.checkPages(t, tt.pages)
			if status, output := p.ready(t); status != 0 {
				t.Errorf("sidecar ready: exit status %d: %s", status, output)
			}
		})
	}
}

// checkPages checks that pages of the instance metadata endpoint contain a text, and that
// none has an account that is empty.
func (p *process) checkPages(t *testing.T, pages map[string]string) {
	t.Helper()
	var started struct {
		IMDS string `json:"imds_listen"`
	}
	line, _, _ := strings.Cut(p.log(), "\n")
	if err := json.Unmarshal([]byte(line), &started); err != nil {
		t.Fatal(err)
	}
	for path, want := range pages {
		status, body := get(t, "http://"+started.IMDS+"/latest/"+path)
		if status != http.StatusOK || !strings.Contains(body, want) || strings.Contains(body, `ccountId" : ""`) {
			t.Errorf("%s: got %d %s, want %s", path, status, body, want)
		}
	}
}

// Credentials of MinIO end with the token, so two calls in a row may be granted the same
// expiration.
func TestCredentialsThatEndWithTheToken(t *testing.T) {
	t.Parallel()
	const role = "arn:minio:iam:::role/app"
	w := newWorld(t)
	w.sts.Imitate(standin.MinIO)
	w.sts.AddRole(standin.Role{ARN: role})
	if err := w.volume.Publish("token", issuer().Token(standin.Claims{Lifetime: 20 * time.Second})); err != nil {
		t.Fatal(err)
	}
	p := start(t, w.environment("AWS_ROLE_ARN="+role))
	for deadline := time.Now().Add(19 * time.Second); len(w.sts.Credentials()) < 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no second call")
		}
	}
	w.publish(t)
	for deadline := time.Now().Add(time.Minute); len(w.sts.Credentials()) < 3; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no call with the new token")
		}
	}
	issued := w.sts.Credentials()
	if !issued[0].Expiration.Equal(issued[1].Expiration) || !issued[2].Expiration.After(issued[1].Expiration) {
		t.Errorf("expirations %v, %v, %v", issued[0].Expiration, issued[1].Expiration, issued[2].Expiration)
	}
	p.waitForLog(t, issued[2].Expiration.Format(time.RFC3339))
	if strings.Contains(p.log(), "failed") {
		t.Error("a call has failed")
	}
}
