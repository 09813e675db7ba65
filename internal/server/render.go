package server

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Renderer writes credentials as the clients of a door read them.
type Renderer func(aws.Credentials) []byte

// ContainerCredentials renders the answer of the container credentials
// endpoint: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
//
// Every field is always there, and Expiration is in UTC with whole seconds and
// a Z, the one form that all SDKs parse. Where the credentials name no account,
// it is that of role.
func ContainerCredentials(role arn.ARN) Renderer {
	return func(c aws.Credentials) []byte {
		body, _ := json.Marshal(struct { // strings always can be marshalled
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
			Expiration:      c.Expires.UTC().Format(time.RFC3339),
			AccountID:       cmp.Or(c.AccountID, role.AccountID),
			RoleARN:         role.String(),
		})
		return body
	}
}
