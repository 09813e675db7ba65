package main

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
)

// P6: clients outside the pod cannot even connect.
func TestListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	p := start(t, newWorld(t).environment())
	_, port, err := net.SplitHostPort(p.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.2"} // in case the machine has no other address
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip := address.(*net.IPNet).IP; !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.String())
		}
	}
	for _, host := range hosts {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, port)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: got connection %v, error %v, want connection refused", host, conn, err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, taken, setting string }{
		{"container credentials endpoint", "127.0.0.1:0", "SIDECAR_LISTEN=127.0.0.1:"},
		{"container credentials endpoint, IPv6", "[::1]:0", "SIDECAR_LISTEN=127.0.0.1:"},
		{"admin listener", "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN=127.0.0.1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			taken, err := net.Listen("tcp", tt.taken)
			if strings.HasPrefix(tt.taken, "[::1]") && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
				t.Skipf("this machine has no IPv6 loopback: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			_, port, _ := net.SplitHostPort(taken.Addr().String())
			status, output := outcome(command(t, newWorld(t).environment(tt.setting+port)))
			if status != 1 || !strings.Contains(output, "address already in use: the port is already in use in this pod") {
				t.Errorf("exit status %d, output %s", status, output)
			}
		})
	}
}
