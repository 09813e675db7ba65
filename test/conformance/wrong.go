package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// fault makes a sidecar wrong: it changes the documents with credentials that clients get.
// The suite must notice each, or its verdicts say less than they seem to.
type fault struct {
	name  string
	begin func() spoiler // what spoils the documents of a case
}

type spoiler func(document map[string]any)

// rightly is the fault of a sidecar that is right. With it the suite must notice nothing:
// what is between the sidecar and the clients is not what it notices.
const rightly = "none"

func faults() []fault {
	return []fault{
		{rightly, every(func(map[string]any) {})},
		{"no AccessKeyId", without("AccessKeyId")},
		{"no SecretAccessKey", without("SecretAccessKey")},
		{"no Token", without("Token")},
		{"no Expiration", without("Expiration")},
		{"another SecretAccessKey", with("SecretAccessKey", "wrong")},
		{"another Token", with("Token", "wrong")},
		{"an Expiration that has passed", with("Expiration", "2019-07-01T00:00:00Z")},
		{"an Expiration that never comes", with("Expiration", "2999-01-01T00:00:00Z")},
		{"an Expiration in another format", with("Expiration", 32472144000)},
		{"one field more", with("AccountId", "111122223333")},
		{"late", every(func(map[string]any) { time.Sleep(7 * time.Second) })},
		{"stale", stale},
	}
}

// every spoils every document in the same way.
func every(spoil spoiler) func() spoiler { return func() spoiler { return spoil } }

func without(field string) func() spoiler {
	return every(func(document map[string]any) { delete(document, field) })
}

func with(field string, value any) func() spoiler {
	return every(func(document map[string]any) { document[field] = value })
}

// stale answers what it answered first, for ever.
func stale() spoiler {
	var first atomic.Pointer[map[string]any]
	return func(document map[string]any) {
		kept := maps.Clone(document)
		if first.CompareAndSwap(nil, &kept) {
			return
		}
		for field, value := range *first.Load() {
			if document[field] != nil { // the documents of the endpoints differ
				document[field] = value
			}
		}
	}
}

// liar is between the clients and the sidecar, at the addresses that the clients use.
type liar struct{ spoil atomic.Pointer[spoiler] }

func (l *liar) listen(address, target string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: target})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: l.change,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	serve(ln, proxy)
	return ln, nil
}

// change spoils an answer with credentials.
func (l *liar) change(r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	document := make(map[string]any)
	if json.Unmarshal(body, &document) == nil && document["AccessKeyId"] != nil {
		(*l.spoil.Load())(document)
		if body, err = json.Marshal(document); err != nil {
			return err
		}
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// tryWrong tests sidecars that are wrong, and returns an error if the releases behave with
// one as is recorded: then the suite does not notice it.
func (s *suite) tryWrong(ctx context.Context, releases []release, o options) error {
	known, err := s.readResults()
	if err != nil {
		return err
	}
	var unnoticed []string
	for _, f := range faults() {
		o.fault = f.name
		seen, err := s.try(ctx, releases, o)
		if err != nil {
			return err
		}
		noticed := differences(verdicts(seen), known)
		fmt.Fprintf(s.out, "\n%s: %d verdicts differ\n", f.name, len(noticed))
		for _, difference := range noticed {
			fmt.Fprintf(s.out, "   %s\n", difference)
		}
		if isRight := f.name == rightly; isRight != (len(noticed) == 0) {
			unnoticed = append(unnoticed, f.name)
		}
	}
	if len(unnoticed) > 0 {
		return fmt.Errorf("the suite does not notice, or notices without reason: %s", strings.Join(unnoticed, ", "))
	}
	return nil
}

// differences returns the verdicts that are not the recorded ones.
func differences(seen, known results) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		for _, c := range cases() {
			if got, tried := seen[name][c.name]; tried && got != known[name][c.name] {
				all = append(all, fmt.Sprintf("%s, %s: %s, not %s", name, c.name, got, known[name][c.name]))
			}
		}
	}
	return all
}
