//go:build !linux

package listen

// bindToLoopback does nothing: pods run on Linux, and elsewhere there is only the demo.
func bindToLoopback(int) {}
