//go:build attacks

package attacks

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const testdata = "../../internal/server/testdata"

// head is a request line and the headers below it, without the shape in its query.
type head struct{ endpoint, shape, text string }

// recorder has the sidecar's addresses, grants every request, and keeps its head.
type recorder struct {
	mu sync.Mutex
	// mu guards the field below.
	heads []head
}

// newRecorder returns a recorder that listens until the test ends.
func newRecorder(t *testing.T) *recorder {
	t.Helper()
	linkLocal(t)
	r := &recorder{}
	for _, e := range endpoints {
		ln, err := net.Listen("tcp", e.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go r.serve(conn, e)
			}
		}()
	}
	return r
}

// serve answers the requests of a connection.
func (r *recorder) serve(conn net.Conn, e endpoint) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	requests := bufio.NewReader(conn)
	for {
		raw, err := readHead(requests)
		if err != nil {
			return
		}
		request, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(raw+"\n"), requests)))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(requests, request.ContentLength))
		r.add(e, raw)
		const body = `{"Code":"Success"}`
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if request.Close {
			return
		}
	}
}

// readHead returns a request's head, with plain line feeds.
func readHead(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := textproto.NewReader(r).ReadLine()
		if err != nil || line == "" {
			return head.String(), err
		}
		head.WriteString(line + "\n")
	}
}

var (
	shapeQuery = regexp.MustCompile(`\?shape=([a-z-]+)`)
	random     = regexp.MustCompile(`(?mi)^(Sec-WebSocket-Key): .*$`)
)

func (r *recorder) add(e endpoint, raw string) {
	line, _, _ := strings.Cut(raw, "\n")
	shape := "favicon"
	if m := shapeQuery.FindStringSubmatch(line); m != nil {
		shape = m[1]
	} else if !strings.Contains(line, "/favicon.ico") {
		shape = "asked through it"
	}
	raw = random.ReplaceAllString(shapeQuery.ReplaceAllString(raw, ""), "$1: AAAAAAAAAAAAAAAAAAAAAA==")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heads = append(r.heads, head{e.name, shape, raw})
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.heads)
}

// take returns what has been recorded, and forgets it.
func (r *recorder) take() []head {
	r.mu.Lock()
	defer r.mu.Unlock()
	heads := r.heads
	r.heads = nil
	return heads
}

// details are headers that vary within a kind.
var details = []string{"sec-fetch-storage-access", "sec-fetch-user"}

// kind returns what heads that are alike for a guard have in common: the method, the names
// of the headers, and what is accepted.
func kind(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	method, _, _ := strings.Cut(lines[0], " ")
	var accept string
	var names []string
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if name == "accept" {
			accept = value
		}
		if !slices.Contains(details, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return fmt.Sprint(method, names, accept)
}

// format lists the heads of a program, the first of each kind.
func format(program string, heads []head) string {
	type group struct {
		sample            string
		endpoints, shapes map[string]bool
	}
	groups := map[string]*group{}
	for _, h := range heads {
		g := groups[kind(h.text)]
		if g == nil {
			g = &group{h.text, map[string]bool{}, map[string]bool{}}
			groups[kind(h.text)] = g
		}
		g.endpoints[h.endpoint], g.shapes[h.shape] = true, true
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		g := groups[k]
		fmt.Fprintf(&b, "# %s: %s at %s\n%s\n", program, list(g.shapes), list(g.endpoints), g.sample)
	}
	return b.String()
}

func list(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }

// TestRecord writes what browsers and relays send to the test data of the guard. It is
// run only for that.
func TestRecord(t *testing.T) {
	r := newRecorder(t)
	visits := newSite(t).visits(t)
	for _, b := range browsers {
		version, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", b.name).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range visits {
			want := r.count() + v.atLeast
			b.open(t, v.url, "", func() bool { return r.count() >= want })
		}
		write(t, "browsers/"+b.name+".http", format(b.name+" "+string(version), r.take()))
	}
	var refused, granted strings.Builder
	for _, relay := range relays {
		t.Run(relay.name, func(t *testing.T) {
			runRelay(t, relay.program, relay.options)
			for i := range endpoints {
				ask(t, relay.way, i)
			}
		})
		text := format(relay.name, r.take())
		if relay.want == http.StatusOK {
			granted.WriteString(text)
		} else {
			refused.WriteString(text)
		}
	}
	write(t, "relays/refused.http", refused.String())
	write(t, "relays/granted.http", granted.String())
}

func write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(testdata, name)
	if err := cmp.Or(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}
