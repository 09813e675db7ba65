// Package monitoring tests deploy/monitoring without a cluster: the schemas of the
// Kubernetes resources and of the dashboard, the alerts with promtool (alerts_test.yaml),
// and every query of the alerts and the dashboard in a real Prometheus that scrapes real
// sidecars. It contains only tests.
//
// It is a separate module to keep its dependencies out of the sidecar's. The script run
// in this directory installs Prometheus if necessary.
package monitoring
