package listen

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

func TestWithoutHost(t *testing.T) {
	t.Parallel()
	ln := WithoutHost(open(t))
	serve(t, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Method+" "+r.URL.Path+" <"+r.Host+"> "+r.Header.Get("A"))
	}), NewLimit(8))
	tests := []struct{ name, request, want string }{
		{"without headers", "GET /x HTTP/1.1\r\n\r\n", "GET /x <> "},
		{"with headers", "PUT /x HTTP/1.1\r\nA: b\r\nContent-Length: 0\r\n\r\n", "PUT /x <> b"},
		{"HTTP/1.0", "GET /x HTTP/1.0\r\nA: b\r\n\r\n", "GET /x <> b"},
		{"Host", "GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n", "GET /x <h> b"},
		{"host", "GET /x HTTP/1.1\r\nA: b\r\nhost:h\r\n\r\n", "GET /x <h> b"},
		{"an empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", "GET /x <> "},
		{"another header that ends in host", "GET /x HTTP/1.1\r\nA: host: b\r\nX-Host: c\r\n\r\n", "GET /x <> host: b"},
		{"as large as a read", "GET /x HTTP/1.1\r\nA: " + strings.Repeat("a", 4000) + "\r\n\r\n", "GET /x <> " + strings.Repeat("a", 4000)},
		{"two of them", "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ""},
		{"not HTTP", "GET /x\r\n\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := rawhttp.Dial(t, ln.Addr().String())
			io.WriteString(conn, tt.request)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			if refused := answer.StatusCode == http.StatusBadRequest; err != nil || refused != (tt.want == "") || !refused && string(body) != tt.want {
				t.Errorf("got %d %q, %v", answer.StatusCode, body, err)
			}
		})
	}
}
