// Package standin stands in for what the sidecar needs from the outside: an
// OIDC issuer that mints service-account tokens ([Issuer]), the kubelet that
// publishes them in a projected volume ([Volume]), and AWS STS that exchanges
// them for credentials ([STS]).
//
// It exists because a fake that accepts everything proves nothing. STS verifies
// what AWS verifies and answers in AWS's words, refusals included; where AWS
// silently ignores a mistake (an unknown parameter, say), STS refuses it. It can
// also be told to misbehave in the ways that networks and services do ([Fault]).
package standin
