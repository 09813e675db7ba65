package main

import (
	"cmp"
	"net"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where STS is in the network of TestMeshes. The addresses are public, as those of AWS are.
const (
	publicSTS     = "52.94.133.1:443"
	publicSTSIPv6 = "[2600:1f00::1]:443"
)

// A mesh redirects all that a pod sends, by the rules of its CNI plug-in, before its proxy runs.
// Then check names the mesh, and only then. With each recipe of docs/meshes.md STS is in reach.
func TestMeshes(t *testing.T) {
	for _, name := range []string{"iptables", "ip6tables", "ip"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("NOT RUN: %s is not installed", name)
		}
	}
	if !asRootInNamespaces(t) {
		return
	}
	w, u := newWorld(t), newUsers(t)
	open(t, w.volume.Path(""))
	w.publish(t)
	serveOutside(t, w.sts)
	bind(t, "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n") // which refuses at once
	const reached = "ok    network     "
	const istioHolds, linkerdHolds = "Istio redirects what this pod sends to its proxy", "Linkerd redirects what this pod sends to its proxy"
	agent := func(address string) []string {
		return []string{"AWS_ROLE_ARN=", "AWS_WEB_IDENTITY_TOKEN_FILE=", "AWS_ENDPOINT_URL_STS=",
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://" + address + "/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + w.volume.Path("token")}
	}
	named, ipv6 := []string{"AWS_ENDPOINT_URL_STS=http://sts.example:443"}, []string{"AWS_ENDPOINT_URL_STS=http://" + publicSTSIPv6}
	for _, tt := range []struct {
		name     string
		rules    []string
		uid, gid uint32
		proxy    string // where the mesh's proxy runs already
		settings []string
		want     string
	}{
		{name: "no mesh", want: reached},
		{name: "no mesh, refused", settings: []string{"AWS_ENDPOINT_URL_STS=http://52.94.133.1:444"}, want: "FAIL  network     cannot reach http://52.94.133.1:444"},
		{name: "Istio", rules: istio("", ""), want: istioHolds},
		{name: "Istio, for the agent", rules: istio("", ""), settings: agent("169.254.170.23"), want: istioHolds},
		{name: "Istio, a native sidecar", rules: istio("", ""), proxy: "127.0.0.1:15001", want: reached},
		{name: "Istio, excludeOutboundIPRanges", rules: istio("52.94.133.1/32", ""), want: reached},
		{name: "Istio, excludeOutboundIPRanges of something else", rules: istio("10.0.0.0/8", ""), want: istioHolds},
		{name: "Istio, excludeOutboundPorts", rules: istio("", "443"), want: reached},
		{name: "Istio, its group", rules: istio("", ""), gid: 1337, want: reached},
		{name: "Istio, its user", rules: istio("", ""), uid: 1337, want: reached},
		{name: "Istio, Linkerd's user", rules: istio("", ""), uid: 2102, gid: 2102, want: istioHolds},
		{name: "Istio, IPv6", rules: istio("", ""), settings: ipv6, want: istioHolds},
		{name: "Istio, for the agent, IPv6", rules: istio("", ""), settings: agent("[fd00:ec2::23]"), want: istioHolds},
		{name: "Istio, IPv6, its group", rules: istio("", ""), settings: ipv6, gid: 1337, want: reached},
		{name: "Istio, DNS, in spite of excludeOutboundPorts", rules: capturingDNS(istio("", "443")), settings: named, want: istioHolds},
		{name: "Istio, DNS, an address", rules: capturingDNS(istio("", "443")), want: reached},
		{name: "Istio, which does not capture DNS", rules: istio("", "443"), settings: named, want: "FAIL network cannot reach http://sts.example:443"},
		{name: "Linkerd", rules: linkerd("", ""), want: linkerdHolds},
		{name: "Linkerd, IPv6", rules: linkerd("", ""), settings: ipv6, want: linkerdHolds},
		{name: "Linkerd, a native sidecar", rules: linkerd("", ""), proxy: "127.0.0.1:4140", want: reached},
		{name: "Linkerd, skip-outbound-ports", rules: linkerd("443", ""), want: reached},
		{name: "Linkerd, its user", rules: linkerd("", ""), uid: 2102, want: reached},
		{name: "Linkerd, its group", rules: linkerd("", "2102"), gid: 2102, want: reached},
		{name: "Linkerd, a group of that number", rules: linkerd("", ""), gid: 2102, want: linkerdHolds},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, rule := range append([]string{"-F", "-X", "-t raw -F"}, tt.rules...) {
				if !strings.HasPrefix(rule, "-t ") {
					rule = "-t nat " + rule
				}
				program(t, "iptables", strings.Fields(rule)...)
				if rule = inIPv6.Replace(rule); !strings.Contains(rule, ".") {
					program(t, "ip6tables", strings.Fields(rule)...)
				}
			}
			if tt.proxy != "" {
				ln, err := net.Listen("tcp", tt.proxy)
				if err != nil {
					t.Fatal(err)
				}
				proxy := &http.Server{Handler: w.sts}
				go proxy.Serve(ln)
				defer proxy.Close()
			}
			cmd := u.as(cmp.Or(tt.uid, sidecarUID), command(t, append(w.environment("AWS_ENDPOINT_URL_STS=http://"+publicSTS), tt.settings...), "check"))
			cmd.SysProcAttr.Credential.Gid = cmp.Or(tt.gid, sidecarUID)
			_, output := outcome(cmd)
			text := strings.Join(strings.Fields(output), " ")
			if !strings.Contains(text, strings.Join(strings.Fields(tt.want), " ")) {
				t.Errorf("got %s, want %q", output, tt.want)
			}
			if proven := strings.Contains(text, "redirects what this pod sends"); proven != strings.HasSuffix(tt.want, "to its proxy") {
				t.Errorf("it names a mesh: %s", output)
			}
		})
	}
}

// inIPv6 makes of rules those that both meshes set with ip6tables.
var inIPv6 = strings.NewReplacer("127.0.0.1/32", "::1/128", "127.0.0.6/32", "::6/128")

// istio returns the rules of Istio's CNI plug-in (tools/istio-iptables in its repository) for
// what a pod sends, with these of the annotations excludeOutboundIPRanges and
// excludeOutboundPorts.
func istio(ranges, ports string) []string {
	rules := []string{
		"-N ISTIO_REDIRECT", "-N ISTIO_IN_REDIRECT", "-N ISTIO_OUTPUT",
		"-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001",
		"-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006",
		"-A OUTPUT -j ISTIO_OUTPUT",
	}
	if ports != "" {
		rules = append(rules, "-A ISTIO_OUTPUT -p tcp --dport "+ports+" -j RETURN")
	}
	rules = append(rules, "-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN")
	for _, owner := range []string{"--uid-owner 1337", "--gid-owner 1337"} {
		rules = append(rules,
			"-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner "+owner+" -j ISTIO_IN_REDIRECT",
			"-A ISTIO_OUTPUT -o lo -m owner ! "+owner+" -j RETURN",
			"-A ISTIO_OUTPUT -m owner "+owner+" -j RETURN")
	}
	rules = append(rules, "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN")
	if ranges != "" {
		rules = append(rules, "-A ISTIO_OUTPUT -d "+ranges+" -j RETURN")
	}
	return append(rules, "-A ISTIO_OUTPUT -j ISTIO_REDIRECT")
}

// capturingDNS adds the rules of ISTIO_META_DNS_CAPTURE, which Istio's plug-in sets for all
// servers. They come before those about addresses. That of the table raw keeps refusals of
// queries from whoever sent them, who then waits.
func capturingDNS(rules []string) []string {
	dns := []string{
		"-t raw -A OUTPUT -p udp --dport 53 -j CT --zone 2",
		"-N ISTIO_OUTPUT_DNS",
		"-A ISTIO_OUTPUT_DNS -p tcp --dport 53 -j REDIRECT --to-ports 15053",
		"-A ISTIO_OUTPUT_DNS -p udp --dport 53 -j REDIRECT --to-ports 15053",
	}
	for _, rule := range rules {
		if rule == "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN" {
			dns = append(dns, "-A ISTIO_OUTPUT -j ISTIO_OUTPUT_DNS")
		}
		dns = append(dns, strings.Replace(rule, "-o lo -m owner !", "-o lo -p tcp ! --dport 53 -m owner !", 1))
	}
	return dns
}

// linkerd returns the rules of Linkerd's CNI plug-in (linkerd2-proxy-init) for what a pod
// sends, with these of the annotations skip-outbound-ports and proxy-gid.
func linkerd(ports, gid string) []string {
	rules := []string{
		"-N PROXY_INIT_OUTPUT",
		"-A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -j RETURN",
	}
	if gid != "" {
		rules = append(rules, "-A PROXY_INIT_OUTPUT -m owner --gid-owner "+gid+" -j RETURN")
	}
	rules = append(rules, "-A PROXY_INIT_OUTPUT -o lo -j RETURN")
	if ports != "" {
		rules = append(rules, "-A PROXY_INIT_OUTPUT -p tcp --match multiport --dports "+ports+" -j RETURN")
	}
	return append(rules, "-A PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-port 4140", "-A OUTPUT -j PROXY_INIT_OUTPUT")
}

// serveOutside makes another network namespace the way out of this one, and serves there at
// publicSTS.
func serveOutside(t *testing.T, handler http.Handler) {
	t.Helper()
	listening, done := make(chan net.Listener), make(chan struct{})
	thread := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		thread <- unix.Gettid()
		<-done
		for _, args := range []string{"link set lo up", "link set outside up", "address add 192.168.9.1/24 dev outside", "address add 52.94.133.1/32 dev lo",
			"address add fd00:9::1/64 dev outside nodad", "address add 2600:1f00::1/128 dev lo nodad"} {
			program(t, "ip", strings.Fields(args)...)
		}
		for _, address := range []string{publicSTS, publicSTSIPv6} {
			ln, err := net.Listen("tcp", address)
			if err != nil {
				t.Error(err)
			}
			listening <- ln
		}
		<-t.Context().Done()
	}()
	program(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "outside", "netns", strconv.Itoa(<-thread))
	close(done)
	listeners := []net.Listener{<-listening, <-listening}
	for _, args := range []string{"link set eth0 up", "address add 192.168.9.2/24 dev eth0", "route add default via 192.168.9.1", "route add unreachable 169.254.169.254",
		"address add fd00:9::2/64 dev eth0 nodad", "route add default via fd00:9::1"} {
		program(t, "ip", strings.Fields(args)...)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	for _, ln := range listeners {
		go server.Serve(ln)
	}
	t.Cleanup(func() { server.Close() })
}

// program runs a program of the system, which inherits the namespaces of this thread.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
