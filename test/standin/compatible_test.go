package standin_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"irsa-sidecar/test/standin"
)

// The forms of answers and errors are those of the two stores, not of AWS.
func TestFormsOfCompatibleSTS(t *testing.T) {
	const ofMinIO, ofCeph = "arn:minio:iam:::role/app", "arn:aws:iam::tenant:role/team/app"
	tests := []struct {
		name    string
		service standin.Service
		role    string
		change  func(form url.Values)
		want    string // a regular expression for status and body
	}{
		{name: "MinIO", service: standin.MinIO, role: ofMinIO,
			want: `^200 <\?xml .*\?>\s*<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\s*<AssumeRoleWithWebIdentityResult>\s*<AssumedRoleUser>\s*<Arn></Arn>\s*<AssumeRoleId></AssumeRoleId>`},
		{name: "MinIO, error", service: standin.MinIO, role: ofMinIO, change: func(form url.Values) { form.Set("WebIdentityToken", "a.b.c") },
			want: `^400 <\?xml .*\?>\s*<ErrorResponse xmlns="[^"]*">\s*<Error>\s*<Type></Type>\s*<Code>InvalidParameterValue</Code>`},
		{name: "MinIO, managed policies", service: standin.MinIO, role: ofMinIO, change: func(form url.Values) { form.Set("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/A") },
			want: "InvalidParameterValue"},
		{name: "Ceph", service: standin.Ceph, role: ofCeph,
			want: `^200 <\?xml .*\?>\s*<AssumeRoleWithWebIdentityResponse>[^$]*<Arn>arn:aws:sts::tenant:assumed-role/team/app/default.app</Arn>[^$]*<Expiration>[\dT:-]{19}\.\d{9}Z</Expiration>`},
		{name: "Ceph, error", service: standin.Ceph, role: ofCeph, change: func(form url.Values) { form.Set("WebIdentityToken", "a.b.c") },
			want: `^403 <\?xml .*\?>\s*<Error>\s*<Code>AccessDenied</Code>\s*<Message></Message>\s*<RequestId>`},
		{name: "Ceph, another action", service: standin.Ceph, role: ofCeph, change: func(form url.Values) { form.Set("Action", "GetCallerIdentity") }, want: "^4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t)
			s.Imitate(tt.service)
			s.AddRole(standin.Role{ARN: tt.role})
			form := s.form()
			form.Set("RoleArn", tt.role)
			if tt.change != nil {
				tt.change(form)
			}
			resp, err := http.DefaultClient.Do(s.request(t, form))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if got := resp.Status[:4] + string(body); err != nil || !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if resp.Header.Get("X-Amz-Request-Id") == "" || resp.Header.Get("Content-Type") != "application/xml" {
				t.Errorf("headers %v", resp.Header)
			}
		})
	}
}
