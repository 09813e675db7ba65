// Package linklocal gives a pod the addresses at which AWS SDKs look for credentials
// natively, on its own loopback interface.
//
// It is the only package that changes anything outside the process, and the only one
// that needs a privilege: the sidecar runs it in a container of its own that exits
// before the others start.
package linklocal
