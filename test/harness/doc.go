// Package harness builds the sidecar and runs it as a process of its own.
//
// It exists because several suites and commands test the real binary from outside,
// as a pod runs it. They differ in what they observe, not in how they start it.
package harness
