package standin

import (
	"bytes"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Fault changes the answer to a request for credentials. It is given the handler
// that answers as AWS would, which it may call, and returns the handler to use
// instead. The request's body is buffered and can be read again.
type Fault func(next http.Handler) http.Handler

// faults are those that a stand-in is to answer requests for credentials with.
type faults struct {
	faultsMu sync.Mutex // guards the fields below
	next     []Fault
	always   Fault
}

// Next queues faults for the next requests for credentials, one each; nil means a
// normal answer. Queued faults take precedence over Always.
func (f *faults) Next(faults ...Fault) {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	f.next = append(f.next, faults...)
}

// Always applies the fault to every request for credentials until Always(nil) is
// called.
func (f *faults) Always(fault Fault) {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	f.always = fault
}

// take returns the fault for the next request, nil if there is none.
func (f *faults) take() Fault {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	fault := f.always
	if len(f.next) > 0 {
		fault, f.next = f.next[0], f.next[1:]
	}
	return fault
}

func instead(f http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return f }
}

// Refuse answers with an STS error, such as 503 ServiceUnavailable, 400 Throttling
// or 400 IDPCommunicationError.
func Refuse(status int, code, message string) Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		err := &refusal{status, code, message}
		note(r.Context(), err)
		AWS.answer(w, nil, err)
	})
}

// EchoToken answers with an error whose message contains the token that was sent.
func EchoToken() Fault {
	return instead(func(w http.ResponseWriter, r *http.Request) {
		Refuse(http.StatusBadRequest, "InvalidIdentityToken",
			"cannot validate the token "+r.PostFormValue("WebIdentityToken"))(nil).ServeHTTP(w, r)
	})
}

// Answer answers with what a proxy or another service would send.
func Answer(status int, contentType, body string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// Redirect answers with a Location header.
func Redirect(status int, location string) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	})
}

// Hang never answers. It returns when the client disconnects.
func Hang() Fault {
	return instead(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
}

// Reset answers with a TCP reset. It needs HTTP/1.
func Reset() Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		raw := conn
		if c, ok := conn.(*tls.Conn); ok {
			raw = c.NetConn()
		}
		if c, ok := raw.(*net.TCPConn); ok {
			_ = c.SetLinger(0)
		}
		// Close the raw connection: closing the TLS one sends an alert first.
		_ = raw.Close()
	})
}

// HalfBody sends the first half of a real answer, with the Content-Length of the
// whole, and closes the connection.
func HalfBody() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := capture(next, r)
			a.writeHeader(w)
			_, _ = w.Write(a.body.Bytes()[:a.body.Len()/2])
		})
	}
}

// Drip sends a real answer one byte per interval, which must be positive.
func Drip(interval time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := capture(next, r)
			a.writeHeader(w)
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for _, b := range a.body.Bytes() {
				_, _ = w.Write([]byte{b})
				_ = http.NewResponseController(w).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
					return
				}
			}
		})
	}
}

// HugeBody answers with n bytes of XML that starts well and is never complete. The
// status matters because clients read the bodies of errors differently.
func HugeBody(status, n int) Fault {
	return instead(func(w http.ResponseWriter, _ *http.Request) {
		begin := "<ErrorResponse><Error><Message>"
		if status == http.StatusOK {
			begin = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Audience>"
		}
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, err := io.WriteString(w, begin)
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for n -= len(begin); n > 0 && err == nil; n -= len(chunk) {
			_, err = w.Write(chunk[:min(n, len(chunk))])
		}
	})
}

var (
	credentialsElement = regexp.MustCompile(`\s*<Credentials>[\s\S]*</Credentials>`)
	expirationElement  = regexp.MustCompile(`\s*<Expiration>(.*)</Expiration>`)
	secretElements     = regexp.MustCompile(`<(AccessKeyId|SecretAccessKey|SessionToken)>.*</`)
)

// NoCredentials answers with a success that lacks the Credentials element.
func NoCredentials() Fault {
	return edit(func(body []byte) []byte { return credentialsElement.ReplaceAll(body, nil) })
}

// EmptyCredentials answers with a success whose access key id, secret access key
// and session token are empty.
func EmptyCredentials() Fault {
	return edit(func(body []byte) []byte { return secretElements.ReplaceAll(body, []byte("<$1></")) })
}

// BlankCredentials answers with a success whose keys and session token are white space.
func BlankCredentials() Fault {
	return edit(func(body []byte) []byte { return secretElements.ReplaceAll(body, []byte("<$1> \n </")) })
}

// NoExpiration answers with a success that lacks the Expiration element.
func NoExpiration() Fault {
	return edit(func(body []byte) []byte { return expirationElement.ReplaceAll(body, nil) })
}

// EndlessCredentials answers with a success whose Expiration is the last second that
// RFC 3339 can write.
func EndlessCredentials() Fault {
	return edit(func(body []byte) []byte {
		return expirationElement.ReplaceAll(body, []byte("<Expiration>9999-12-31T23:59:59Z</Expiration>"))
	})
}

// ExpiredCredentials answers with a success whose Expiration is a day too early.
func ExpiredCredentials() Fault {
	return edit(func(body []byte) []byte {
		m := expirationElement.FindSubmatchIndex(body)
		if m == nil {
			return body
		}
		expiration, err := time.Parse(time.RFC3339, string(body[m[2]:m[3]]))
		if err != nil {
			return body
		}
		past := expiration.AddDate(0, 0, -1).Format(time.RFC3339)
		return bytes.Join([][]byte{body[:m[2]], []byte(past), body[m[3]:]}, nil)
	})
}

// edit changes the body of a real answer.
func edit(f func(body []byte) []byte) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := capture(next, r)
			body := f(a.body.Bytes())
			a.header.Set("Content-Length", strconv.Itoa(len(body)))
			a.writeHeader(w)
			_, _ = w.Write(body)
		})
	}
}

// captured is an http.ResponseWriter that keeps the answer. (httptest has one, but
// would add its flags to programs that use this package.)
type captured struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func capture(h http.Handler, r *http.Request) *captured {
	a := &captured{status: http.StatusOK, header: http.Header{}}
	h.ServeHTTP(a, r)
	return a
}

func (a *captured) Header() http.Header         { return a.header }
func (a *captured) WriteHeader(status int)      { a.status = status }
func (a *captured) Write(b []byte) (int, error) { return a.body.Write(b) }

// writeHeader sends the status and the headers.
func (a *captured) writeHeader(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
}
