// Package monitoring tests what deploy/monitoring sets up, as far as that needs no
// cluster: the schemas of Kubernetes resources and of the dashboard, the alerts with
// promtool (alerts_test.yaml), and every query of alerts and dashboard in a real
// Prometheus that scrapes real sidecars. It has no code but tests.
//
// It is a module of its own, because what it depends on is nothing that the sidecar
// should depend on. The script run beside it installs Prometheus where there is none.
package monitoring
