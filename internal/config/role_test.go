package config

import (
	"maps"
	"strings"
	"testing"
)

// With an endpoint of its own, a role may be one that AWS does not know: of Ceph, whose
// accounts may be empty, or of MinIO, whose ARNs may have a region.
func TestRoleOfAnotherSTS(t *testing.T) {
	endpoint := map[string]string{"AWS_ENDPOINT_URL_STS": "https://storage.example"}
	tests := []struct {
		name string
		role string
		env  map[string]string
		want string // the problem's part, or "" if there is none
	}{
		{name: "of Ceph", role: "arn:aws:iam:::role/team/app", env: endpoint},
		{name: "of an account of Ceph", role: "arn:aws:iam::RGW12345678901234567:role/app", env: endpoint},
		{name: "of MinIO", role: "arn:minio:iam:::role/a1-_b.c", env: endpoint},
		{name: "of MinIO with a region", role: "arn:minio:iam:eu-west-1::role/app", env: endpoint},
		{name: "with the endpoint of every service", role: "arn:minio:iam:::role/app", env: map[string]string{"AWS_ENDPOINT_URL": "http://minio:9000"}},
		{name: "with a region of another partition", role: "arn:aws:iam:::role/app", env: map[string]string{"AWS_ENDPOINT_URL_STS": "https://storage.example", "AWS_REGION": "cn-north-1"}},
		{name: "without a region", role: "arn:aws:iam:::role/app", env: map[string]string{"AWS_ENDPOINT_URL_STS": "https://storage.example", "AWS_REGION": "", "AWS_DEFAULT_REGION": ""}},
		{name: "a user", role: "arn:aws:iam:::user/app", env: endpoint, want: `"arn:aws:iam:::user/app" is not the ARN of a role, such as`},
		{name: "no name", role: "arn:minio:iam:::role/", env: endpoint, want: "is not the ARN of a role, such as"},
		{name: "a name with a space", role: "arn:minio:iam:::role/a b", env: endpoint, want: "is not the ARN of a role, such as"},
		{name: "of Ceph without an endpoint", role: "arn:aws:iam:::role/app",
			want: `"arn:aws:iam:::role/app" is not the ARN of a role of AWS, such as arn:aws:iam::123456789012:role/NAME: if another STS knows it, as those of MinIO and Ceph do, set --sts-endpoint (AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL)`},
		{name: "of MinIO without an endpoint", role: "arn:minio:iam:::role/app", want: "set --sts-endpoint"},
		{name: "an account of eleven digits", role: "arn:aws:iam::11112222333:role/app", want: "is not the ARN of a role of AWS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := webhook()
			maps.Copy(env, tt.env)
			env["AWS_ROLE_ARN"] = tt.role
			cfg, err := load(nil, env)
			switch {
			case tt.want == "" && (err != nil || cfg.Role.String() != tt.role):
				t.Errorf("got %v, %v", cfg.Role, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), "--role-arn (AWS_ROLE_ARN): ") || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
