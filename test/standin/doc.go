// Package standin replaces the sidecar's external dependencies in tests: an OIDC
// issuer that mints service-account tokens ([Issuer]), the kubelet that publishes
// them in a projected volume ([Volume]), and AWS STS, which exchanges them for
// credentials ([STS]).
//
// It exists because a fake that accepts everything proves nothing. STS verifies
// what AWS verifies and answers with AWS's messages, refusals included. Where AWS
// silently ignores a mistake, such as an unknown parameter, STS refuses it. It can
// also fail the way networks and services do ([Fault]).
package standin
