// Package e2e tests on a real cluster what no stand-in can show: that the kubelet, the
// API server and the deployment files of this repository work together as documented.
//
// The tests have the build tag e2e, because they change the cluster that KUBECONFIG
// names. Run them with the script run in this directory. They need only kubectl and pods
// that can reach this machine: STS is a stand-in in the test's own process, which fetches
// the cluster's real OIDC keys and verifies the kubelet's real tokens with them.
package e2e
