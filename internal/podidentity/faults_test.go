package podidentity

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

// What is no answer of an agent becomes a reason, in one request, and repeats nothing.
func TestFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault standin.Fault
		want  string
		says  string
	}{
		{"a reset", standin.Reset(), codeNetwork, "is the eks-pod-identity-agent add-on running on this node"},
		{"half a body", standin.HalfBody(), codeNetwork, ""},
		{"a slow body", standin.Drip(10 * time.Millisecond), codeTimeout, "is the eks-pod-identity-agent add-on running on this node"},
		{"no answer", standin.Hang(), codeTimeout, "is the eks-pod-identity-agent add-on running on this node"},
		{"a captive portal", standin.Answer(200, "text/html", "<html>canary</html>"), codeInvalidResponse, "what is not credentials"},
		{"null", standin.Answer(200, "application/json", "null"), codeInvalidResponse, ""},
		{"nothing", standin.Answer(200, "application/json", ""), codeInvalidResponse, ""},
		{"a list", standin.Answer(200, "application/json", "[]"), codeInvalidResponse, ""},
		{"two documents", standin.Answer(200, "application/json", "{}{}"), codeInvalidResponse, ""},
		{"an empty document", standin.Answer(200, "application/json", "{}"), codeInvalidResponse, "without a time of expiration"},
		{"no content", standin.Answer(204, "", ""), codeInvalidResponse, "HTTP 204"},
		{"an error of another service", standin.Answer(403, "application/json", `{"message":"canary"}`), codeInvalidResponse, "HTTP 403"},
		{"credentials with another status", standin.Answer(201, "application/json", `{"AccessKeyId":"canary"}`), codeInvalidResponse, "HTTP 201"},
		{"no expiration", standin.AgentWithout("Expiration"), codeInvalidResponse, "without a time of expiration"},
		{"an expiration of null", standin.AgentSets("Expiration", nil), codeInvalidResponse, ""},
		{"an expiration that is no time", standin.AgentSets("Expiration", "canary"), codeInvalidResponse, "without a time of expiration"},
		{"an expiration as a number", standin.AgentSets("Expiration", 1893456000), codeInvalidResponse, "what is not credentials"},
		{"a key that is no string", standin.AgentSets("SecretAccessKey", []string{"canary"}), codeInvalidResponse, "what is not credentials"},
		{"a redirect", standin.Redirect(307, "http://169.254.170.23/v1/credentials"), codeInvalidResponse, "HTTP 307"},
		{"a redirect for good", standin.Redirect(301, "/v1/credentials"), codeInvalidResponse, "HTTP 301"},
		{"an endless body", standin.HugeBody(200, 100<<20), codeInvalidResponse, "more than 262144 bytes"},
		{"an endless error", standin.HugeBody(500, 100<<20), codeInvalidResponse, "more than 262144 bytes"},
		{"the token in the error", standin.AgentEchoesToken(), codeInvalidToken, "HTTP 400: "},
		{"a secret as the code", standin.Answer(400, "text/plain", "[canary]: (canary): canary"), codeInvalidToken, "HTTP 400: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, transport := newStandin(t)
			fake.Always(tt.fault)
			token := goodToken()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if tt.want != codeTimeout {
				ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
			}
			defer cancel()
			c, err := New(standin.AgentURL, identity(token), transport).Retrieve(ctx)
			checkError(t, err, tt.want, tt.says, token)
			if strings.Contains(err.Error(), "canary") || c.AccessKeyID != "" {
				t.Errorf("got %v, %v", c, err)
			}
			if n := len(fake.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// What is no HTTP, or too much of it, becomes a reason.
func TestNotHTTP(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(io.Writer){
		"another protocol": func(w io.Writer) { io.WriteString(w, "SSH-2.0-canary\r\n") },
		"endless headers": func(w io.Writer) {
			io.WriteString(w, "HTTP/1.1 200 OK\r\n")
			for err := error(nil); err == nil; {
				_, err = io.WriteString(w, "X-Canary: canary\r\n")
			}
		},
		"endless interim answers": func(w io.Writer) {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(w, "HTTP/1.1 103 Early Hints\r\nX-Canary: canary\r\n\r\n")
			}
		},
		"an endless status line": func(w io.Writer) {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(w, "HTTP/1.1 200 canary")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					http.ReadRequest(bufio.NewReader(conn))
					answer(conn)
					conn.Close()
				}
			}()
			token := goodToken()
			_, err = New(fmt.Sprintf("http://%s/v1/credentials", ln.Addr()), identity(token), NewTransport()).Retrieve(t.Context())
			checkError(t, err, codeNetwork, "", token)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// On a node without the agent nothing answers.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	srv.Close()
	token := goodToken()
	_, err := New(srv.URL+"/v1/credentials", identity(token), NewTransport()).Retrieve(t.Context())
	checkError(t, err, codeNetwork, "cannot reach the agent: connection refused: is the eks-pod-identity-agent add-on running on this node", token)
}
