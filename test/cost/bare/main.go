// Command bare is the least that a Go program can be which answers a kilobyte
// over HTTP: what the sidecar costs is told beside it.
package main

import (
	"bytes"
	"net/http"
	"os"
)

func main() {
	body := bytes.Repeat([]byte("x"), 1<<10)
	err := http.ListenAndServe(os.Getenv("SIDECAR_LISTEN"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(body)
	}))
	os.Stderr.WriteString(err.Error() + "\n")
	os.Exit(1)
}
