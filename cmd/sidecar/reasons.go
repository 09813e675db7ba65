package main

import "irsa-sidecar/internal/sts"

// codes returns the codes of reasons.
func codes(reasons []sts.Reason) (codes []string) {
	for _, reason := range reasons {
		codes = append(codes, reason.Code)
	}
	return codes
}
