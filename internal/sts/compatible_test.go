package sts

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/test/standin"
)

// The STS of S3-compatible stores have answers and errors of their own.
func TestCompatibleSTS(t *testing.T) {
	const ofMinIO, ofCeph, ofAccount = "arn:minio:iam:::role/app", "arn:aws:iam:::role/team/app", "arn:aws:iam::RGW12345678901234567:role/app"
	tests := []struct {
		name    string
		service standin.Service
		role    string
		token   standin.Claims
		session string // more of its name
		account string
		want    string // the reason's prefix; "" if credentials are granted
		says    string // a part of the reason
	}{
		{name: "MinIO", service: standin.MinIO, role: ofMinIO},
		{name: "MinIO, another role", service: standin.MinIO, role: "arn:minio:iam:::role/other", want: "other: InvalidParameterValue: Not authorized", says: "HTTP 400 from http://127.0.0.1:"},
		{name: "MinIO, expired", service: standin.MinIO, role: ofMinIO, token: standin.Claims{Lifetime: -time.Minute}, want: "other: InvalidParameterValue: Token expired"},
		{name: "MinIO, role of AWS", service: standin.MinIO, role: role, want: "other: InvalidParameterValue: Request ARN is invalid"},
		{name: "Ceph", service: standin.Ceph, role: ofCeph},
		{name: "Ceph with accounts", service: standin.Ceph, role: ofAccount, account: "RGW12345678901234567"},
		{name: "Ceph, another role", service: standin.Ceph, role: "arn:aws:iam:::role/other", want: "AccessDenied: HTTP 403 from http://127.0.0.1:", says: "trust policy"},
		{name: "Ceph, expired", service: standin.Ceph, role: ofCeph, token: standin.Claims{Lifetime: -time.Minute}, want: "AccessDenied: "},
		{name: "Ceph, session name", service: standin.Ceph, role: ofCeph, session: "+b", want: "other: InvalidArgument: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sts := standin.NewSTS(issuer)
			sts.Imitate(tt.service)
			for _, known := range []string{ofMinIO, ofCeph, ofAccount} {
				sts.AddRole(standin.Role{ARN: known})
			}
			srv := httptest.NewServer(sts)
			defer srv.Close()
			client := New(Options{Endpoint: srv.URL}, prometheus.NewRegistry())
			got, err := stscreds.NewWebIdentityRoleProvider(client, tt.role, identity(issuer.Token(tt.token)), func(o *stscreds.WebIdentityRoleOptions) {
				o.RoleSessionName = "pod-1" + tt.session
				o.Duration = time.Hour
			}).Retrieve(t.Context())
			if tt.want != "" {
				why := explained(t, err)
				if !strings.HasPrefix(why.Error(), tt.want) || !strings.Contains(why.Error(), tt.says) {
					t.Errorf("got  %s\nwant %s … %s", why, tt.want, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			granted := sts.Credentials()[0]
			want := aws.Credentials{AccessKeyID: granted.AccessKeyID, SecretAccessKey: granted.SecretAccessKey, SessionToken: granted.SessionToken,
				Source: got.Source, CanExpire: true, Expires: granted.Expiration, AccountID: tt.account}
			if !got.Expires.Equal(want.Expires) {
				t.Errorf("expires at %s, want %s", got.Expires, want.Expires)
			}
			if got.Expires = want.Expires; got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A page of a proxy that mentions the element is not an error of STS.
func TestErrorsOfOtherForms(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"of S3", `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><RequestId>1</RequestId></Error>`, "AccessDenied: "},
		{"of AWS", `<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`, "AccessDenied: "},
		{"cut", `<Error><Code>AccessDenied</Code>`, "invalid_response: "},
		{"without a code", `<Error><Message>no</Message></Error>`, "invalid_response: "},
		{"a page", `<html><Error>no</Error></html>`, "invalid_response: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sts, srv := newStandin(t)
			sts.Always(standin.Answer(403, "application/xml", tt.body))
			_, err := exchange(t.Context(), New(Options{Endpoint: srv.URL}, prometheus.NewRegistry()), issuer.Token(standin.Claims{}))
			if why := explained(t, err); !strings.HasPrefix(why.Error(), tt.want) {
				t.Errorf("got %s, want %s", why, tt.want)
			}
		})
	}
}
