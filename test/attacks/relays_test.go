//go:build attacks

package attacks

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"irsa-sidecar/test/rawhttp"
)

// program is a relay, of Debian unless it is Node's. Its configuration, in the directory
// relays, has a listener for each endpoint, DIR for a directory of its own and OPTIONS.
type program struct {
	config  string
	command func(config, dir string) []string
}

var (
	nginx   = program{"nginx.conf", func(config, dir string) []string { return []string{"nginx", "-e", "stderr", "-c", config} }}
	haproxy = program{"haproxy.cfg", func(config, dir string) []string { return []string{"haproxy", "-db", "-f", config} }}
	apache  = program{"apache.conf", func(config, dir string) []string { return []string{"apache2", "-X", "-f", config} }}
	squid   = program{"squid.conf", func(config, dir string) []string { return []string{"squid", "-N", "-f", config} }}
	varnish = program{"varnish.vcl", func(config, dir string) []string {
		return []string{"varnishd", "-F", "-j", "none", "-n", dir, "-s", "malloc,8m", "-f", config,
			"-a", "127.0.0.1:8081", "-a", "127.0.0.1:8082", "-a", "127.0.0.1:8083"}
	}}
	caddy = program{"Caddyfile", func(config, dir string) []string {
		return []string{"caddy", "run", "--adapter", "caddyfile", "--config", config}
	}}
	node = program{"http-proxy.js", func(config, dir string) []string { return []string{"node", config} }}
)

const (
	apacheReverse = `<VirtualHost 127.0.0.1:8081>
ProxyPass / http://127.0.0.1:9911/
</VirtualHost>
<VirtualHost 127.0.0.1:8082>
ProxyPass / http://169.254.170.2/
</VirtualHost>
<VirtualHost 127.0.0.1:8083>
ProxyPass / http://169.254.169.254/
</VirtualHost>`

	nginxUsual = `proxy_set_header Host $host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;`
)

// Forward proxies are asked in one of these ways, all others for the path alone.
const (
	absolute = "absolute"
	connect  = "CONNECT"
)

// relays are configurations that are in use, with what the sidecar answers to an attacker
// who asks through them and names the endpoint as the host. Those with 200 send what an
// SDK sends: docs/threat-model.md says what else helps.
var relays = []struct {
	name    string
	program program
	options string
	way     string
	want    int
}{
	{"nginx, default", nginx, "", "", 200},
	{"nginx, Host $http_host", nginx, "proxy_set_header Host $http_host;", "", 200},
	{"nginx, only X-Real-IP", nginx, "proxy_set_header X-Real-IP $remote_addr;", "", 403},
	{"nginx, the usual headers", nginx, nginxUsual, "", 403},
	{"HAProxy, default", haproxy, "", "", 200},
	{"HAProxy, forwardfor", haproxy, "option forwardfor", "", 403},
	{"Apache, reverse", apache, apacheReverse, "", 403},
	{"Apache, reverse, ProxyAddHeaders Off", apache, apacheReverse + "\nProxyAddHeaders Off", "", 200},
	{"Apache, forward", apache, "ProxyRequests On", absolute, 200},
	{"Apache, forward, ProxyVia On", apache, "ProxyRequests On\nProxyVia On", absolute, 403},
	{"Apache, CONNECT", apache, "ProxyRequests On", connect, 200},
	{"Squid, default", squid, "", absolute, 403},
	{"Squid, anonymous", squid, "via off\nforwarded_for delete", absolute, 200},
	{"Squid, CONNECT", squid, "", connect, 200},
	{"Varnish, default", varnish, "", "", 403},
	{"Caddy, default", caddy, "", "", 403},
	{"Caddy, no X-Forwarded", caddy, "header_up -X-Forwarded-*", "", 200},
	{"Node http-proxy, default", node, "", "", 200},
	{"Node http-proxy, xfwd", node, "xfwd: true", "", 403},
}

// ports are where relays listen for the endpoints, in their order.
var ports = []string{"127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"}

// runRelay starts a program that runs until the test ends.
func runRelay(t *testing.T, p program, options string) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("relays", p.config))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, p.config)
	text = []byte(strings.NewReplacer("DIR", dir, "OPTIONS", options).Replace(string(text)))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	command := p.command(config, dir)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	process := start(t, cmd)
	await(t, process, func(context.Context) error {
		for _, address := range ports {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return err
			}
			conn.Close()
		}
		return nil
	})
}

// ask asks for the credentials of the i-th endpoint through the relay.
func ask(t *testing.T, way string, i int) rawhttp.Reply {
	t.Helper()
	e := endpoints[i]
	target := e.path
	switch way {
	case absolute:
		target = e.url()
	case connect:
		return tunnel(t, ports[i], e)
	}
	return rawhttp.Exchange(t, ports[i], fmt.Sprintf("GET %s HTTP/1.1\nHost: %s", target, e.host()))
}

// tunnel has a forward proxy connect to the endpoint.
func tunnel(t *testing.T, proxy string, e endpoint) rawhttp.Reply {
	t.Helper()
	conn := rawhttp.Dial(t, proxy)
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", e.address, e.address); err != nil {
		t.Fatal(err)
	}
	if head := readUntilEmptyLine(t, conn); !strings.Contains(head, " 200 ") {
		t.Fatalf("CONNECT: %s", head)
	}
	return rawhttp.ExchangeOn(t, conn, fmt.Sprintf("GET %s HTTP/1.1\nHost: %s\nConnection: close", e.path, e.host()))
}

func readUntilEmptyLine(t *testing.T, conn net.Conn) string {
	t.Helper()
	var read []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(read), "\r\n\r\n"); {
		if _, err := conn.Read(b); err != nil {
			t.Fatalf("after %q: %v", read, err)
		}
		read = append(read, b...)
	}
	return string(read)
}

// A relay in the pod that an attacker can use is refused if it shows in the request. The
// table has those that do not, too: whoever changes the guard sees what is left.
func TestRelays(t *testing.T) {
	p := startPod(t)
	for _, tt := range relays {
		t.Run(tt.name, func(t *testing.T) {
			runRelay(t, tt.program, tt.options)
			for i, e := range endpoints {
				var got rawhttp.Reply
				n := p.during(t, func() { got = ask(t, tt.way, i) })
				if got.Status != tt.want || n.all == 0 {
					t.Errorf("%s: got %d, want %d; the sidecar answered %d requests: %s", e.name, got.Status, tt.want, n.all, got.Body)
				}
				if granted := tt.want == 200; (n.ok > 0) != granted || p.shown(got.Body) != granted {
					t.Errorf("%s: %d requests got credentials: %s", e.name, n.ok, got.Body)
				}
			}
		})
	}
}
