// Package e2e proves on a real cluster what no stand-in can: that the kubelet, the
// API server and the deployment files of this repository do together what the
// README says.
//
// Its tests have the build tag e2e and are run by the script run beside them, since
// they change the cluster that KUBECONFIG leads to. They need nothing of it but
// kubectl and pods that reach this machine: STS is a stand-in in the test's own
// process, which fetches the cluster's real OIDC keys and verifies the kubelet's real
// tokens with them.
package e2e
