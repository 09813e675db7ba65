//go:build attacks

package attacks

import (
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// shape is a way in which a page has its browser ask for URL.
type shape struct{ name, markup string }

// embedded are the shapes that leave the page where it is. What a script can read of an
// answer, it appends to the page.
var embedded = []shape{
	{"iframe", `<iframe src="URL"></iframe>`},
	{"object", `<object data="URL"></object>`},
	{"embed", `<embed src="URL">`},
	{"frame-get", `<iframe name="NAME"></iframe><form id="NAMEf" target="NAME" action="URL"><input name="shape" value="frame-get"></form><script>document.getElementById("NAMEf").submit()</script>`},
	{"frame-post", `<iframe name="NAME"></iframe><form id="NAMEf" target="NAME" action="URL" method="post"></form><script>document.getElementById("NAMEf").submit()</script>`},
	{"window-open", `<script>window.open("URL")</script>`},
	{"img", `<img src="URL">`},
	{"svg", `<svg><image href="URL" xlink:href="URL" width="9" height="9"/></svg>`},
	{"video", `<video src="URL"></video>`},
	{"script", `<script src="URL"></script>`},
	{"stylesheet", `<link rel="stylesheet" href="URL">`},
	{"font", `<style>@font-face{font-family:"NAME";src:url("URL")}</style><p style="font-family:NAME">text</p>`},
	{"prefetch", `<link rel="prefetch" href="URL">`},
	{"preload", `<link rel="preload" as="fetch" href="URL">`},
	{"module", `<script type="module">import("URL")</script>`},
	{"fetch", `<script>fetch("URL").then(r => r.text()).then(text => document.body.append(text))</script>`},
	{"fetch-no-cors", `<script>fetch("URL", {mode: "no-cors"}).then(r => r.text()).then(text => document.body.append(text))</script>`},
	{"fetch-put", `<script>fetch("URL", {method: "PUT", headers: {"X-aws-ec2-metadata-token-ttl-seconds": "60"}})</script>`},
	{"xhr", `<script>var x = new XMLHttpRequest(); x.open("GET", "URL"); x.onload = function() { document.body.appendChild(document.createTextNode(this.responseText)) }; x.send()</script>`},
	{"beacon", `<script>navigator.sendBeacon("URL", "text")</script>`},
	{"eventsource", `<script>new EventSource("URL")</script>`},
	{"websocket", `<script>new WebSocket("URL".replace("http", "ws"))</script>`},
}

// navigations are the shapes that leave the page.
var navigations = []shape{
	{"meta-refresh", `<meta http-equiv="refresh" content="0;url=URL">`},
	{"location", `<script>location = "URL"</script>`},
	{"form-get", `<form id="f" action="URL"><input name="shape" value="form-get"></form><script>document.getElementById("f").submit()</script>`},
	{"form-post", `<form id="f" action="URL" method="post"></form><script>document.getElementById("f").submit()</script>`},
}

// page returns a page with shapes that ask each of the endpoints, and that hides where
// the requests come from as well as a page can.
func page(shapes []shape, endpoints ...endpoint) string {
	var b strings.Builder
	b.WriteString("<!doctype html><meta name=\"referrer\" content=\"no-referrer\"><body>\n")
	for _, s := range shapes {
		for _, e := range endpoints {
			b.WriteString(strings.NewReplacer("URL", e.url()+"?shape="+s.name, "NAME", s.name+e.name).Replace(s.markup) + "\n")
		}
	}
	return b.String()
}

const (
	// otherHost is an address of this pod that is neither loopback nor link-local, as a
	// page from outside has.
	otherHost = "10.0.0.2"
	sitePort  = ":8000"
)

// site has pages for the browsers.
type site struct{ dir string }

// newSite serves pages at every address of the pod, until the test ends.
func newSite(t *testing.T) *site {
	t.Helper()
	ln, err := net.Listen("tcp4", "0.0.0.0"+sitePort)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: t.TempDir()}
	server := &http.Server{Handler: http.FileServer(http.Dir(s.dir))}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return s
}

// add adds a page and returns its name.
func (s *site) add(t *testing.T, content string) string {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	name := strconv.Itoa(len(entries)) + ".html"
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// origins returns the URLs at which a page can be opened, by the origin that it has there.
func (s *site) origins(t *testing.T, content string) map[string]string {
	t.Helper()
	name := s.add(t, content)
	// Chromium 156 lets a data: URL in the address bar connect to nothing on this machine
	// (Local Network Access), but one in a frame of a page.
	data := s.add(t, `<iframe width="900" height="900" src="data:text/html;base64,`+base64.StdEncoding.EncodeToString([]byte(content))+`"></iframe>`)
	return map[string]string{
		"file":       "file://" + filepath.Join(s.dir, name),
		"data":       "http://" + otherHost + sitePort + "/" + data,
		"loopback":   "http://127.0.0.1" + sitePort + "/" + name,
		"link-local": "http://169.254.170.2" + sitePort + "/" + name,
		"outside":    "http://" + otherHost + sitePort + "/" + name,
	}
}

// visit is a URL for a browser to open.
type visit struct {
	name, url string
	atLeast   int // the number of requests that this makes
}

// visits returns what every browser opens: each endpoint itself, the embedded shapes in one
// page from every origin, and each navigation from a file and from outside.
func (s *site) visits(t *testing.T) (all []visit) {
	t.Helper()
	for _, e := range endpoints {
		all = append(all, visit{e.name + " directly", e.url() + "?shape=direct", 1})
		for _, n := range navigations {
			urls := s.origins(t, page([]shape{n}, e))
			for _, origin := range []string{"file", "outside"} {
				all = append(all, visit{n.name + " to " + e.name + " from " + origin, urls[origin], 1})
			}
		}
	}
	// Not every browser knows every shape.
	for origin, url := range s.origins(t, page(embedded, endpoints...)) {
		all = append(all, visit{"all shapes from " + origin, url, len(endpoints) * len(embedded) / 2})
	}
	return all
}
