//go:build linux

// Command probe sends one GET request, through a chosen interface or from a chosen
// address, and prints the response.
//
//	probe [-interface NAME] [-from ADDRESS] URL
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
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := probe(flag.Arg(0), *device, *from); err != nil {
		fmt.Fprintf(os.Stderr, "probe: %v\n", err)
		os.Exit(1)
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
