package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"time"
)

// loss is a request that got no good answer.
type loss struct {
	at  time.Time
	err error
}

// client sends requests to a server, one at a time. It has its own connection
// because an http.Transport silently retries when a kept connection turns out to
// be dead, which counts as a loss here.
type client struct {
	load     load
	target   target
	request  []byte
	deadline time.Time // for all answers
	checker  checker

	conn    *net.TCPConn // nil if closed
	replies *bufio.Reader
	body    bytes.Buffer // of the latest answer

	samples []sample
	lost    int
	losses  []loss // the first ones
}

func newClient(l load, t target, deadline time.Time) *client {
	return &client{
		load:     l,
		target:   t,
		request:  fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", t.path, t.addr),
		deadline: deadline,
		checker:  checker{expiration: t.expiration},
	}
}

// open makes the first request, which takes longer and is not a sample.
func (c *client) open() {
	c.ask(time.Now())
	c.samples = nil
}

// ask makes the request that was due at that time.
func (c *client) ask(due time.Time) {
	status, err := c.exchange()
	now := time.Now()
	if err != nil || !c.load.keep {
		c.close()
	}
	if err == nil {
		err = c.checker.check(status, c.body.Bytes(), now)
	}
	if err == nil {
		c.samples = append(c.samples, sample{due, now.Sub(due)})
		return
	}
	c.lost++
	if len(c.losses) < reportedLosses {
		c.losses = append(c.losses, loss{now, fmt.Errorf("%s, %s: %w", c.target.name, c.load.name, err)})
	}
}

// exchange sends a request and reads the whole answer; a truncated one is an error.
func (c *client) exchange() (status int, err error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return 0, err
		}
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.replies, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	c.body.Reset()
	_, err = c.body.ReadFrom(resp.Body)
	return resp.StatusCode, err
}

func (c *client) dial() error {
	dialer := net.Dialer{Deadline: c.deadline}
	conn, err := dialer.Dial("tcp", c.target.addr)
	if err != nil {
		return err
	}
	c.conn, c.replies = conn.(*net.TCPConn), bufio.NewReader(conn)
	return conn.SetDeadline(c.deadline)
}

// close resets the connection: closing thousands a second normally would leave the
// kernel without free ports.
func (c *client) close() {
	if c.conn == nil {
		return
	}
	_ = c.conn.SetLinger(0)
	c.conn.Close()
	c.conn = nil
}
