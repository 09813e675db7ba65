package server

import "strings"

const (
	noAgent     = "none" // the SDK for JavaScript 3, and releases of botocore and of the SDK for Rust
	otherAgent  = "other"
	familyCount = 17
)

// family is a kind of client, and what its User-Agent begins with.
type family struct{ prefix, name string }

// families returns the SDKs that were recorded, in all their releases. Those without a
// version have the name of a runtime: releases of several SDKs leave the User-Agent to its
// HTTP client, as other programs do.
func families() [familyCount]family {
	return [familyCount]family{
		{"aws-sdk-go/", "go-v1"},
		{"aws-sdk-go-v2/", "go-v2"},
		{"Go-http-client/", "go"},
		{"aws-sdk-java/1.", "java-v1"},
		{"aws-sdk-java/2.", "java-v2"},
		{"Java/", "java"},
		{"Boto3/", "botocore"},
		{"Botocore/", "botocore"},
		{"aws-cli/", "botocore"},
		{"python-", "python"},        // requests and urllib3, as in botocore
		{"Python-urllib/", "python"}, // boto 2
		{"aws-sdk-nodejs/", "js-v2"},
		{"aws-sdk-crt/", "crt"},
		{"aws-sdk-ruby", "ruby"},
		{"Ruby", "ruby"},
		{"aws-sdk-rust/", "rust"},
		{"irsa-sidecar", "sidecar"}, // the commands ready and check
	}
}

// sdk returns the family of the client with a User-Agent.
func sdk(userAgent string) string {
	if userAgent == "" {
		return noAgent
	}
	for _, f := range families() {
		if strings.HasPrefix(userAgent, f.prefix) {
			return f.name
		}
	}
	return otherAgent
}
