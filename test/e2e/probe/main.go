//go:build linux

// Command probe sends one GET request, through a chosen interface or from a chosen
// address, and prints the response. Or it relays connections, as a mesh's proxy does.
//
//	probe [-interface NAME] [-from ADDRESS] URL
//	probe -relay :PORT ADDRESS:PORT
//
// It follows no redirect and uses no proxy. It exits with status 1 if there is no response.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// timeout is generous: the peer is on the same machine.
const timeout = 3 * time.Second

func main() {
	device := flag.String("interface", "", "send only through this interface")
	from := flag.String("from", "", "source address")
	listen := flag.String("relay", "", "relay connections to this address")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	work := func() error { return probe(flag.Arg(0), *device, *from) }
	if *listen != "" {
		work = func() error { return relay(*listen, flag.Arg(0)) }
	}
	if err := work(); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
	}
}

// relay connects every client of address with to.
func relay(address, to string) error {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.DialTimeout("tcp", to, timeout)
			if err != nil {
				return
			}
			defer server.Close()
			go io.Copy(server, client)
			io.Copy(client, server)
		}()
	}
}

func probe(url, device, from string) error {
	dialer := net.Dialer{Timeout: timeout}
	if from != "" {
		ip := net.ParseIP(from)
		if ip == nil {
			return fmt.Errorf("%q is not an IP address", from)
		}
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	if device != "" {
		dialer.ControlContext = func(_ context.Context, _, _ string, conn syscall.RawConn) (err error) {
			if e := conn.Control(func(fd uintptr) {
				err = syscall.SetsockoptString(int(fd), syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, device)
			}); e != nil {
				return e
			}
			return err
		}
	}
	client := http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	fmt.Printf("%d %s\n", resp.StatusCode, body)
	return nil
}
