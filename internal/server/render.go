package server

import (
	"cmp"
	"encoding/json"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Renderer writes credentials in the form that the clients of an endpoint read.
type Renderer func(aws.Credentials) []byte

// ContainerCredentials renders the answer of the container credentials
// endpoint: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
//
// Every field is always there. If the credentials name no account, it is the account
// of role.
func ContainerCredentials(role arn.ARN) Renderer {
	return func(c aws.Credentials) []byte {
		body, _ := json.Marshal(struct { // strings can always be marshalled
			AccessKeyID     string `json:"AccessKeyId"`
			SecretAccessKey string
			Token           string
			Expiration      string
			AccountID       string `json:"AccountId"`
			RoleARN         string `json:"RoleArn"`
		}{
			AccessKeyID:     c.AccessKeyID,
			SecretAccessKey: c.SecretAccessKey,
			Token:           c.SessionToken,
			Expiration:      timestamp(c.Expires),
			AccountID:       cmp.Or(c.AccountID, role.AccountID),
			RoleARN:         role.String(),
		})
		return body
	}
}

// InstanceCredentials renders the document of a role at the instance metadata
// service: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
//
// The SDKs for Go and .NET check Code first. LastUpdated is the time of rendering, which
// is the time of the first request for these credentials.
func InstanceCredentials(c aws.Credentials) []byte {
	body, _ := json.Marshal(struct { // strings can always be marshalled
		Code            string
		LastUpdated     string
		Type            string
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      string
	}{
		Code:            "Success",
		LastUpdated:     timestamp(time.Now()),
		Type:            "AWS-HMAC",
		AccessKeyID:     c.AccessKeyID,
		SecretAccessKey: c.SecretAccessKey,
		Token:           c.SessionToken,
		Expiration:      timestamp(c.Expires),
	})
	return body
}

// InstanceProfile renders iam/info of the instance metadata service, as for an instance
// whose profile has the name of role. Some programs take their account from it. There
// is no profile, so its id is empty.
func InstanceProfile(role arn.ARN) Renderer {
	profile := role
	profile.Resource = "instance-profile/" + path.Base(role.Resource)
	return func(aws.Credentials) []byte {
		body, _ := json.Marshal(struct { // strings can always be marshalled
			Code               string
			LastUpdated        string
			InstanceProfileARN string `json:"InstanceProfileArn"`
			InstanceProfileID  string `json:"InstanceProfileId"`
		}{"Success", timestamp(time.Now()), profile.String(), ""})
		return body
	}
}

// timestamp writes a time in UTC with whole seconds and a Z, the only form that all
// SDKs parse.
func timestamp(t time.Time) string {
	return t.UTC().Format(time.RFC3339)
}
