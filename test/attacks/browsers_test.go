//go:build attacks

package attacks

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"irsa-sidecar/test/harness"
)

const (
	// A browser has this long for a page. It usually takes two seconds.
	pageTimeout = time.Minute
	// For the answers, and for further requests.
	someTime = 3 * time.Second
)

// browser is a Debian package. Its command opens a URL, writes what it shows to dir, and
// ends.
type browser struct {
	name    string
	lingers bool // it does not end if it gets a download instead of a page
	command func(dir, url, userAgent string) []string
}

var browsers = []browser{
	{"chromium", false, func(dir, url, userAgent string) []string {
		command := []string{"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
			"--disable-popup-blocking", "--user-data-dir=" + dir + "/profile", "--virtual-time-budget=4000",
			"--print-to-pdf=" + dir + "/page.pdf"}
		if userAgent != "" {
			command = append(command, "--user-agent="+userAgent)
		}
		return append(command, url)
	}},
	{"firefox-esr", true, func(dir, url, userAgent string) []string {
		_ = os.Mkdir(dir+"/profile", 0o755)
		if userAgent != "" {
			// If this fails, the test sees it in the requests.
			_ = os.WriteFile(dir+"/profile/user.js", []byte(`user_pref("general.useragent.override", "`+userAgent+`");`), 0o644)
		}
		return []string{"firefox-esr", "--headless", "--no-remote", "--profile", dir + "/profile", "--screenshot", dir + "/page.png", url}
	}},
	{"wkhtmltopdf", false, func(dir, url, userAgent string) []string {
		command := []string{"wkhtmltopdf", "--quiet", "--javascript-delay", "1000", "--enable-local-file-access"}
		if userAgent != "" {
			command = append(command, "--custom-header", "User-Agent", userAgent, "--custom-header-propagation")
		}
		return append(command, url, dir+"/page.pdf")
	}},
}

// open opens url and returns the browser's home directory, with what it shows and what it
// downloads, and the end of its output. A browser that lingers is ended some time after asked
// reports that it has asked for everything.
func (b *browser) open(t *testing.T, url, userAgent string, asked func() bool) (dir, end string) {
	t.Helper()
	// The names of t.TempDir are too long for Chromium's sockets.
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	command := b.command(dir, url, userAgent)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p, err := harness.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-p.Pid(), syscall.SIGKILL) // and its helper processes
		<-p.Exited()
	}()
	// How it ends says nothing: wkhtmltopdf has status 1 for a page with a refusal.
	err = harness.Await(t.Context(), 100*time.Millisecond, pageTimeout, func(context.Context) error {
		select {
		case <-p.Exited():
			return nil
		default:
		}
		if b.lingers && asked() {
			time.Sleep(someTime)
			return nil
		}
		return fmt.Errorf("%s has not ended", b.name)
	})
	if err != nil {
		t.Errorf("%s: %v\n%s", url, err, p.Log())
	}
	log := p.Log()
	return dir, log[max(0, len(log)-300):]
}

// leaked returns a file in dir that shows the credentials, empty if there is none.
func (p *pod) leaked(t *testing.T, dir string) (leak string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // helper processes may still remove files
		}
		content, _ := os.ReadFile(path)
		if strings.HasSuffix(path, ".pdf") {
			if content, err = exec.Command("pdftotext", path, "-").Output(); err != nil {
				return err
			}
		}
		if p.shown(string(content)) {
			leak = strings.TrimPrefix(path, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return leak
}

// Whatever a page does, the sidecar answers no request of a browser with credentials. It
// is not enough that the page cannot show them.
func TestBrowsers(t *testing.T) {
	p := startPod(t)
	visits := newSite(t).visits(t)
	for _, b := range browsers {
		t.Run(b.name, func(t *testing.T) {
			for _, v := range visits {
				if n := p.visit(t, b, v, ""); n != 0 {
					t.Errorf("%s: %d requests got credentials", v.name, n)
				}
			}
		})
	}
	p.serves(t)
}

// answered are the shapes that a browser asks for as an SDK does, if whoever runs it has
// changed its User-Agent. No page can read what it gets that way.
var answered = map[string][]string{
	"chromium":    {"img", "svg", "video", "script", "stylesheet", "preload", "fetch-no-cors"},
	"firefox-esr": {"object", "embed", "img", "svg", "video", "script", "stylesheet", "preload", "fetch-no-cors"},
	"wkhtmltopdf": {"img", "svg", "script", "stylesheet", "font", "prefetch"},
}

// HTML-to-PDF services like to give their browser a name of their own.
func TestBrowsersWithAnotherUserAgent(t *testing.T) {
	const userAgent = "Renderer/1.0"
	p := startPod(t)
	s := newSite(t)
	visitTo := func(atLeast int, endpoints []endpoint, shapes ...shape) visit {
		return visit{shapes[0].name, s.origins(t, page(shapes, endpoints...))["outside"], atLeast}
	}
	for _, b := range browsers {
		t.Run(b.name, func(t *testing.T) {
			var others []shape
			for _, e := range embedded {
				if !slices.Contains(answered[b.name], e.name) {
					others = append(others, e)
				} else if n := p.visit(t, b, visitTo(2, endpoints, e), userAgent); n == 0 {
					t.Errorf("%s: no request got credentials", e.name)
				}
			}
			if n := p.visit(t, b, visitTo(len(others), endpoints, others...), userAgent); n != 0 {
				t.Errorf("all other shapes: %d requests got credentials", n)
			}
			for _, shape := range navigations {
				if n := p.visit(t, b, visitTo(1, endpoints[2:], shape), userAgent); n != 0 {
					t.Errorf("%s: %d requests got credentials", shape.name, n)
				}
			}
		})
	}
}

// visit has a browser open a page, checks that it has no credentials afterwards, and
// returns how many of its requests got them.
func (p *pod) visit(t *testing.T, b browser, v visit, userAgent string) (granted int) {
	t.Helper()
	before := p.answers(t)
	var dir, end string
	var got answers
	// Firefox may end when the page is loaded, before it follows a refresh.
	for range 3 {
		dir, end = b.open(t, v.url, userAgent, func() bool { return p.answers(t).all-before.all >= v.atLeast })
		after := p.answers(t)
		got = answers{after.all - before.all, after.ok - before.ok}
		if got.all >= v.atLeast {
			break
		}
	}
	if got.all < v.atLeast {
		t.Errorf("%s: the sidecar answered %d requests, want %d or more: this proves nothing\n%s", v.name, got.all, v.atLeast, end)
	}
	if leak := p.leaked(t, dir); leak != "" {
		t.Errorf("%s: the browser has credentials in %s", v.name, leak)
	}
	return got.ok
}
