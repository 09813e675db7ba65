// Command bare is a minimal Go program that answers with a kilobyte over HTTP: the
// baseline for the cost of the sidecar.
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
