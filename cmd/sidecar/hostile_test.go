package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"irsa-sidecar/internal/listen"
)

// hostileCrowd is how many connections each kind of hostile clients of an endpoint has:
// as many as there may be.
const hostileCrowd = listen.CredentialsConnections

// startHostile attacks a sidecar until stop is called, from a process of its own.
func startHostile(t *testing.T, p *process) (stop func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BE_HOSTILE="+p.endpoint+","+p.admin)
	cmd.Stderr = t.Output()
	ends, err := cmd.StdinPipe() // when the test's process does
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		ends.Close()
		cmd.Process.Kill() // which is sooner
		cmd.Wait()
	}
}

// beHostile is a process with three kinds of clients: those that send requests and never
// read answers, those that never end a request, and at the admin port more of the first
// kind. All connect again when they are closed. It ends with its standard input.
func beHostile(addresses string) {
	// The test is about memory and connections: for the CPU others come first, or it
	// would fail on a busy machine.
	syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10)
	endpoint, admin, _ := strings.Cut(addresses, ",")
	var large strings.Builder
	large.WriteString(strings.TrimSuffix(request, "\r\n"))
	for range 97 {
		large.WriteString("X-Name: " + strings.Repeat("x", 110) + "\r\n")
	}
	long := strings.TrimSuffix(request, "\r\n") + "X: " + strings.Repeat("x", 3000) + "\r\n\r\n"
	// The few come first: the crowd keeps this process busy.
	attack(listen.AdminConnections, admin, func(conn net.Conn) {
		sendForever(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	})
	attack(hostileCrowd, endpoint, func(conn net.Conn) { sendForever(conn, long) })
	attack(hostileCrowd, endpoint, func(conn net.Conn) {
		io.WriteString(conn, large.String())
		io.Copy(io.Discard, conn)
	})
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// attack has n clients connect again and again.
func attack(n int, addr string, use func(net.Conn)) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					return // the sidecar has exited
				}
				use(conn)
				conn.Close()
			}
		})
	}
}

func sendForever(conn net.Conn, text string) {
	for {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
	}
}
