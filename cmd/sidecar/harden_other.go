//go:build !linux

package main

// harden does nothing: pods run on Linux, and elsewhere there is only the demo.
func harden() error { return nil }
