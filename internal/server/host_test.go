package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestIsLocalHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		local string // the address that the connection was accepted on
		want  bool
	}{
		{name: "localhost", want: true},
		{name: "LOCALHOST", want: true},
		{name: "LocalHost:9911", want: true},
		{name: "localhost:1", want: true},
		{name: "127.0.0.1", want: true},
		{name: "127.0.0.1:9911", want: true},
		{name: "127.0.0.1:65535", want: true},
		{name: "127.8.8.8", want: true},
		{name: "127.255.255.255:80", want: true},
		{name: "[::1]", want: true},
		{name: "[::1]:80", want: true},
		{name: "[0:0:0:0:0:0:0:1]:80", want: true},
		{name: "[::ffff:127.0.0.1]:80", want: true},

		{name: "", want: true},

		{name: ":80", want: false},
		{name: "localhost.", want: false},
		{name: "localhost.:80", want: false},
		{name: "localhost:", want: false},
		{name: "localhost:http", want: false},
		{name: "localhost:-1", want: false},
		{name: "localhost:+1", want: false},
		{name: "localhost:100000", want: false},
		{name: "localhost:80:80", want: false},
		{name: "localhost.evil.example", want: false},
		{name: "localhost@evil.example", want: false},
		{name: "evil.example", want: false},
		{name: "evil.example:80", want: false},
		{name: "127.0.0.1.evil.example", want: false},
		{name: "127.0.0.1.", want: false},
		{name: "127.0.0.1:", want: false},
		{name: "127.0.0.1:port", want: false},
		{name: "127.0.0.1:port@evil", want: false},
		{name: "127.0.0.1:80@evil", want: false},
		{name: "127.0.0.1 ", want: false},
		{name: "127.1", want: false},
		{name: "127.0.0.01", want: false},
		{name: "0x7f.0.0.1", want: false},
		{name: "2130706433", want: false},
		{name: "0.0.0.0", want: false},
		{name: "0.0.0.0:80", want: false},
		{name: "10.0.0.1", want: false},
		{name: "128.0.0.1", want: false},
		{name: "169.254.169.254", want: false},
		{name: "[127.0.0.1]", want: false},
		{name: "::1", want: true},
		{name: "::1:80", want: false},
		{name: "[::1", want: false},
		{name: "::1]", want: false},
		{name: "[::1]80", want: false},
		{name: "[::1]:", want: false},
		{name: "[[::1]]", want: false},
		{name: "[::]", want: false},
		{name: "[::1%lo]", want: false},
		{name: "[::1%25lo]:80", want: false},
		{name: "[::ffff:10.0.0.1]", want: false},
		{name: "[fd00:ec2::23]", want: false},
		{name: "[localhost]", want: false},
		{name: "[]", want: false},
		{name: "[]:80", want: false},

		{name: "169.254.170.2", local: "169.254.170.2:80", want: true},
		{name: "169.254.170.2:80", local: "169.254.170.2:80", want: true},
		{name: "169.254.170.2", local: "[::ffff:169.254.170.2]:80", want: true},
		{name: "[fd00:ec2::23]", local: "[fd00:ec2::23]:80", want: true},
		{name: "localhost", local: "169.254.170.2:80", want: true},
		{name: "169.254.170.3", local: "169.254.170.2:80", want: false},
		{name: "10.0.0.1", local: "127.0.0.1:9911", want: false},
		{name: "evil.example", local: "169.254.170.2:80", want: false},
	}
	for _, tt := range tests {
		t.Run(tt.name+" at "+tt.local, func(t *testing.T) {
			t.Parallel()
			if got := isLocalHost(requestTo(t, tt.name, tt.local)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// requestTo returns a request with this Host. Its connection was accepted on the address
// local, unless that is empty.
func requestTo(t testing.TB, host, local string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, testPath, nil)
	r.Host = host
	if local == "" {
		return r
	}
	addr, err := net.ResolveTCPAddr("tcp", local)
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
}

// net/http keeps the Host out of the header map. A guard that reads it there passes its
// unit tests and checks nothing.
func TestIsLocalHostReadsTheRightHost(t *testing.T) {
	t.Parallel()
	r := requestTo(t, "evil.example", "")
	r.Header.Set("Host", "127.0.0.1")
	r.URL.Host = "127.0.0.1"
	if isLocalHost(r) {
		t.Error("evil.example is accepted")
	}
}
