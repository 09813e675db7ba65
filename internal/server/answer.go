package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// header returns the headers of an answer with that body. A Content-Length
// keeps net/http from sending it in chunks.
func header(contentType string, body []byte) http.Header {
	return http.Header{
		"Content-Type":   {contentType},
		"Cache-Control":  {"no-store"},
		"Content-Length": {strconv.Itoa(len(body))},
	}
}

// fail answers with an error, and counts that. The keys are in lower case because
// the SDKs for Go hide any other body behind a SerializationError
// (aws-sdk-go, aws/credentials/endpointcreds).
func fail(w http.ResponseWriter, metrics *Metrics, status int, code, message string) {
	metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	body, _ := json.Marshal(struct { // two strings always can be marshalled
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
	maps.Copy(w.Header(), header("application/json", body))
	w.WriteHeader(status)
	w.Write(body)
}

// text answers with what does not depend on credentials.
func text(metrics *Metrics, contentType, text string) http.Handler {
	h := header(contentType, []byte(text))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		metrics.ok.Inc()
		maps.Copy(w.Header(), h)
		w.Write([]byte(text))
	})
}
