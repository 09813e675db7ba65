package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// beAClient sends requests, from a few ports that other users' processes use as well, and
// prints a line for each: the status, and the answer without line feeds.
func beAClient(spec string) {
	times, url, _ := strings.Cut(spec, " ")
	n, _ := strconv.Atoi(times)
	address, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	}}
	for i := range n {
		var conn net.Conn
		for port := i; conn == nil; port++ {
			dialer.LocalAddr = &net.TCPAddr{Port: 20_000 + port%50}
			conn, _ = dialer.Dial("tcp", address)
		}
		conn.(*net.TCPConn).SetLinger(0) // so that the port is free at once
		if i%5 == 4 {
			conn.Close() // without a request
			continue
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Println(exchange(conn, url))
		conn.Close()
	}
	os.Exit(0)
}

// exchange sends a request over conn and returns the answer in one line.
func exchange(conn net.Conn, url string) string {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	resp, err := client.Get(url)
	if err != nil {
		return "0 " + err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "0 " + err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", strings.ReplaceAll(string(body), "\n", " "))
}
