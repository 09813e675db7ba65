package main

import (
	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/podidentity"
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/internal/token"
)

// reasons returns every reason why a refresh from a source can fail. The labels of metrics
// and docs/troubleshooting.md are made from it.
func reasons(source string) []sts.Reason {
	all := sts.Reasons()
	if source == config.PodIdentity {
		all = nil
		for _, reason := range podidentity.Reasons() {
			all = append(all, sts.Reason(reason))
		}
	}
	return append(all, sts.Reason{
		Code:  token.Code,
		Cause: "The token file does not exist, cannot be read, or does not hold a token. The sidecar waits for it.",
		Fix:   "do what the message says; it names the file",
	})
}

// reasonCodes returns the codes of reasons.
func reasonCodes(source string) (codes []string) {
	for _, reason := range reasons(source) {
		codes = append(codes, reason.Code)
	}
	return codes
}
