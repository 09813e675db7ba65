package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Renderer writes credentials in the form that the clients of an endpoint read.
type Renderer func(aws.Credentials) []byte

// ContainerCredentials renders the answer of the container credentials endpoint as the
// agent of ECS does: these fields and no other, because the SDK for .NET fails on a field
// that it does not know (AWSSDK.Core 3.3 to 3.7, SecurityCredentials). A role without an
// account is left out: that of EKS Pod Identity is not known, one of an S3-compatible store
// means nothing to AWS, and no SDK needs it.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func ContainerCredentials(role arn.ARN) Renderer {
	known := role.String()
	if role.AccountID == "" {
		known = ""
	}
	return func(c aws.Credentials) []byte {
		body, _ := json.Marshal(struct { // strings can always be marshalled
			RoleARN         string `json:"RoleArn,omitempty"`
			AccessKeyID     string `json:"AccessKeyId"`
			SecretAccessKey string
			Token           string
			Expiration      string
		}{known, c.AccessKeyID, c.SecretAccessKey, c.SessionToken, timestamp(c.Expires)})
		return body
	}
}

// field is a name and a value of a document.
type field [2]string

// lines renders a JSON object as the instance metadata service does, with a line for each
// field: scripts take values out of it with grep and cut.
func lines(fields ...field) []byte {
	body := []byte("{")
	for i, f := range fields {
		name, _ := json.Marshal(f[0]) // strings can always be marshalled
		value, _ := json.Marshal(f[1])
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, "\n  %s : %s", name, value)
	}
	return append(body, "\n}"...)
}

// InstanceCredentials renders the document of a role at the instance metadata
// service: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
//
// The SDKs for Go and .NET check Code first. LastUpdated is the time of rendering, which
// is the time of the first request for these credentials.
func InstanceCredentials(c aws.Credentials) []byte { return lines(instanceCredentials(c)...) }

func instanceCredentials(c aws.Credentials) []field {
	return []field{
		{"Code", "Success"},
		{"LastUpdated", timestamp(time.Now())},
		{"Type", "AWS-HMAC"},
		{"AccessKeyId", c.AccessKeyID},
		{"SecretAccessKey", c.SecretAccessKey},
		{"Token", c.SessionToken},
		{"Expiration", timestamp(c.Expires)},
	}
}

// ExtendedCredentials renders the document that SDKs of 2025 and later ask for first: it
// also has the account, if there is one. If the credentials name none, it is that of role.
func ExtendedCredentials(role arn.ARN) Renderer {
	return func(c aws.Credentials) []byte {
		fields := instanceCredentials(c)
		if account := cmp.Or(c.AccountID, role.AccountID); account != "" {
			fields = append(fields, field{"AccountId", account})
		}
		return lines(fields...)
	}
}

// InstanceProfile renders iam/info of the instance metadata service, as for an instance
// whose profile has the name of role. Some programs take their account from it: if role
// has none, it is that of the credentials. There is no profile, so its id is empty.
func InstanceProfile(role arn.ARN) Renderer {
	profile := role
	profile.Resource = "instance-profile/" + path.Base(role.Resource)
	return func(c aws.Credentials) []byte {
		profile := profile
		profile.AccountID = cmp.Or(role.AccountID, c.AccountID)
		return lines(field{"Code", "Success"}, field{"LastUpdated", timestamp(time.Now())},
			field{"InstanceProfileArn", profile.String()}, field{"InstanceProfileId", ""})
	}
}

// InstanceIdentity renders the identity document. What is empty is left out.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html
func InstanceIdentity(i Instance, account string) []byte {
	fields := []field{{"accountId", account}, {"availabilityZone", i.Zone}, {"region", i.Region}}
	return lines(slices.DeleteFunc(fields, func(f field) bool { return f[1] == "" })...)
}

// timestamp writes a time in UTC with whole seconds and a Z, the only form that all
// SDKs parse.
func timestamp(t time.Time) string {
	return t.UTC().Format(time.RFC3339)
}
