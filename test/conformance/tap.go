package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"irsa-sidecar/test/recorded"
)

// tap is between the clients and the sidecar, at the addresses that the clients use, and
// records what they send. It knows bytes alone: anything that parses HTTP would change
// the order and the case of headers.
type tap struct {
	recording atomic.Bool
	open      sync.WaitGroup // connections

	mu       sync.Mutex // guards requests
	requests []recorded.Request
}

// Where the sidecar listens if a tap is at its address.
const (
	tappedLoopback  = ":9913"
	tappedLinkLocal = ":81"
)

// elsewhere returns the environment of a sidecar that leaves its ports to the tap.
func elsewhere(environment []string) []string {
	moved := []string{"SIDECAR_LISTEN=127.0.0.1" + tappedLoopback}
	for _, variable := range environment {
		if address, ok := strings.CutSuffix(variable, ":80"); ok {
			variable = address + tappedLinkLocal
		}
		moved = append(moved, variable)
	}
	return moved
}

// listen relays what arrives at address to target.
func (t *tap) listen(endpoint, address, target string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			t.open.Go(func() { t.relay(endpoint, conn, target) })
		}
	}()
	return ln, nil
}

func (t *tap) relay(endpoint string, client net.Conn, target string) {
	defer client.Close()
	sidecar, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	recording := t.recording.Load()
	go func() {
		io.Copy(client, sidecar)
		client.(*net.TCPConn).CloseWrite()
	}()
	var sent bytes.Buffer
	io.Copy(sidecar, io.TeeReader(client, &sent))
	sidecar.Close()
	if recording {
		t.record(endpoint, sent.String())
	}
}

// record records the requests that a client sent over a connection.
func (t *tap) record(endpoint, sent string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		head, rest, ok := strings.Cut(sent, "\r\n\r\n")
		if !ok {
			return
		}
		length := 0
		if match := contentLength.FindStringSubmatch(head); match != nil {
			length, _ = strconv.Atoi(match[1])
		}
		sent = rest[min(length, len(rest)):]
		if strings.Contains(head, "/security-credentials/Unauthorized") {
			continue // an SDK that takes any answer for the name of a role
		}
		t.requests = append(t.requests, recorded.Request{Endpoint: endpoint, Head: normalize(head)})
	}
}

var (
	contentLength = regexp.MustCompile(`(?i)\r\ncontent-length: *(\d+)`)
	sessionHeader = regexp.MustCompile(`(?i)(\nx-aws-ec2-metadata-token: *).*`)
	invocationID  = regexp.MustCompile(`(?i)(\namz-sdk-invocation-id: *).*`)
)

// normalize replaces what differs from run to run and from machine to machine.
func normalize(head string) string {
	head = strings.ReplaceAll(head, "\r\n", "\n")
	head = sessionHeader.ReplaceAllString(head, "${1}"+recorded.Token)
	head = invocationID.ReplaceAllString(head, "${1}ID")
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		head = strings.ReplaceAll(head, strings.TrimSpace(string(kernel)), "KERNEL")
	}
	return head
}

// take returns what the clients sent, once they and the sidecar have exited.
func (t *tap) take() []recorded.Request {
	t.recording.Store(false)
	t.open.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.requests
	t.requests = nil
	return taken
}
