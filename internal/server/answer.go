package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// header returns the headers of an answer with that body. A Content-Length keeps net/http
// from sending it in chunks. If a browser gets an answer after all, the last four keep it
// from rendering it, in a frame or otherwise, and from giving it to a page.
func header(contentType string, body []byte) http.Header {
	return http.Header{
		"Content-Type":                 {contentType},
		"Cache-Control":                {"no-store"},
		"Content-Length":               {strconv.Itoa(len(body))},
		"Content-Disposition":          {"attachment"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
	}
}

// failer answers with an error in the form that the clients of an endpoint read, and
// counts the answer.
type failer func(w http.ResponseWriter, status int, code, message string)

// failJSON answers with keys in lower case, because the SDKs for Go hide any other body
// behind a SerializationError (aws-sdk-go, aws/credentials/endpointcreds).
func failJSON(metrics *Metrics) failer {
	return func(w http.ResponseWriter, status int, code, message string) {
		body, _ := json.Marshal(struct { // two strings can always be marshalled
			Code    string `json:"code"`
			Message string `json:"message"`
		}{code, message})
		answerError(w, metrics, status, "application/json", body)
	}
}

// failText is for clients that take any JSON for credentials, whatever the status
// (aws-sdk for JavaScript 2.3.19, lib/metadata_service.js).
func failText(metrics *Metrics) failer {
	return func(w http.ResponseWriter, status int, code, message string) {
		answerError(w, metrics, status, "text/plain", []byte(code+": "+message+"\n"))
	}
}

func answerError(w http.ResponseWriter, metrics *Metrics, status int, contentType string, body []byte) {
	metrics.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	maps.Copy(w.Header(), header(contentType, body))
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		// A relay that can be made to send one request can be made to send another
		// one behind it.
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(status)
	w.Write(body)
}

// text answers with a body that does not depend on credentials.
func text(metrics *Metrics, contentType, body string) http.Handler {
	h := header(contentType, []byte(body))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		metrics.ok.Inc()
		maps.Copy(w.Header(), h)
		w.Write([]byte(body))
	})
}
