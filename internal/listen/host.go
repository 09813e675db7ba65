package listen

import (
	"bytes"
	"net"
)

// noHost is the line that a request without a Host gets.
const noHost = "Host:\r\n"

var hostLine = []byte("\nhost:")

// WithoutHost returns a listener whose connections may leave out the Host that HTTP/1.1
// requires, as the AWS C runtime before 1.14 does at the metadata endpoint (aws-crt
// 1.10.6 to 1.13.2). net/http refuses such a request before a handler sees it, so it
// gets an empty Host.
//
// That cannot lead around a check of the Host: a browser always sends one, and if the
// request is not what it seems and has one elsewhere, net/http refuses it for having two.
func WithoutHost(ln net.Listener) net.Listener {
	return hostlessListener{ln}
}

type hostlessListener struct{ net.Listener }

func (ln hostlessListener) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return hostlessConn{tcp}, err
	}
	return conn, err
}

type hostlessConn struct{ *net.TCPConn }

// Read inserts the line into a request without Host if it arrives at once and whole, as
// from these clients.
func (c hostlessConn) Read(p []byte) (int, error) {
	room := len(p) - len(noHost)
	if room <= 0 {
		return c.TCPConn.Read(p)
	}
	n, err := c.TCPConn.Read(p[:room])
	line, rest, _ := bytes.Cut(p[:n], []byte("\r\n"))
	if !bytes.HasSuffix(line, []byte(" HTTP/1.1")) || !bytes.HasSuffix(p[:n], []byte("\r\n\r\n")) ||
		bytes.Contains(bytes.ToLower(p[:n]), hostLine) {
		return n, err
	}
	headers := len(line) + len("\r\n")
	copy(p[headers+len(noHost):], rest)
	copy(p[headers:], noHost)
	return n + len(noHost), err
}
