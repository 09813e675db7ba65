package main

import (
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"
)

// BenchmarkStart measures the time from the start of the process to its first
// credentials, with an STS that answers at once: what the sidecar adds to the start of a
// pod, without the round trip to STS.
func BenchmarkStart(b *testing.B) {
	binary := buildSidecar(b)
	w := newWorld(b)
	w.publish(b)
	for b.Loop() {
		// A fixed port, so that requests can start before the process has logged it.
		cmd := exec.Command(binary)
		cmd.Env = w.environment("SIDECAR_LISTEN=127.0.0.1:9931")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
			resp, err := http.Get("http://127.0.0.1:9931/v1/credentials")
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Now().After(deadline) {
				b.Fatal("no credentials")
			}
		}
		b.StopTimer()
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		b.StartTimer()
	}
}
