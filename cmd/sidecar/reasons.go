package main

import (
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/internal/token"
)

// reasons returns every reason why a refresh can fail. The labels of metrics and
// docs/troubleshooting.md are made from it.
func reasons() []sts.Reason {
	return append(sts.Reasons(), sts.Reason{
		Code:  token.Code,
		Cause: "The token file does not exist, cannot be read, or does not hold a token. The sidecar waits for it.",
		Fix:   "do what the message says; it names the file",
	})
}

// reasonCodes returns the codes of reasons.
func reasonCodes() (codes []string) {
	for _, reason := range reasons() {
		codes = append(codes, reason.Code)
	}
	return codes
}
