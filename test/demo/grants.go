package main

import (
	"fmt"
	"strings"

	"irsa-sidecar/test/standin"
)

// keysFor returns the access key ids that were granted for a token.
func (d *demo) keysFor(token string) (keys []string) {
	if d.podIdentity {
		for _, r := range d.agent.Requests() {
			if r.Outcome == "" && r.Header.Get("Authorization") == token {
				keys = append(keys, r.Credentials.AccessKeyID)
			}
		}
		return keys
	}
	requests, granted := d.sts.Requests(), d.sts.Credentials()
	n := 0
	for _, r := range requests {
		if r.Outcome != "" || n == len(granted) {
			continue
		}
		if r.Form.Get("WebIdentityToken") == token {
			keys = append(keys, granted[n].AccessKeyID)
		}
		n++
	}
	return keys
}

// refused returns the error codes of requests for credentials.
func (d *demo) refused() (codes []string) {
	if d.podIdentity {
		for _, r := range d.agent.Requests() {
			if r.Outcome != "" {
				codes = append(codes, r.Outcome)
			}
		}
		return codes
	}
	for _, r := range d.sts.Requests() {
		if r.Outcome != "" {
			codes = append(codes, r.Outcome)
		}
	}
	return codes
}

// session returns the ARN of the session with an access key, of which end is the end.
func (d *demo) session(end string) (string, error) {
	for _, c := range d.sts.Credentials() {
		if strings.HasSuffix(c.AccessKeyID, end) {
			return c.SessionARN, nil
		}
	}
	return "", fmt.Errorf("nobody granted the program's access key ...%s", end)
}

// stable returns what of a session's ARN a renewal does not change: all of it, but with
// EKS Pod Identity not the name of the session.
func (d *demo) stable(arn string) string {
	if d.podIdentity {
		arn = arn[:strings.LastIndexByte(arn, '/')+1]
	}
	return arn
}

// sidecarSource returns the variables that the EKS webhook sets, and what the demo needs.
func (d *demo) sidecarSource() []string {
	if d.podIdentity {
		return []string{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + standin.AgentURL,
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + d.volume.Path("token"),
		}
	}
	return []string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + d.volume.Path("token"),
		"AWS_REGION=" + region,
		"AWS_DEFAULT_REGION=" + region,
		"AWS_STS_REGIONAL_ENDPOINTS=regional",
		"AWS_ENDPOINT_URL_STS=" + d.stsURL,
	}
}
