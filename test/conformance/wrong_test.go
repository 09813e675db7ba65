package main

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// Each fault changes what a client gets, the second time at the latest.
func TestFaults(t *testing.T) {
	for _, f := range faults() {
		synctest.Test(t, func(t *testing.T) { // one of them takes its time
			spoil := f.begin()
			get := func(key string) (changed bool) {
				document := map[string]any{"AccessKeyId": key, "SecretAccessKey": "secret", "Token": "token", "Expiration": "2026-11-28T22:00:00Z"}
				before := maps.Clone(document)
				spoil(document)
				return !maps.Equal(before, document)
			}
			isChanged := get("ASIAFIRST") || get("ASIASECOND")
			if want := f.name != rightly && f.name != "late"; isChanged != want {
				t.Errorf("%s changes a document: %t, want %t", f.name, isChanged, want)
			}
		})
	}
}

// What has no credentials arrives as it is, and what has them as the fault leaves it.
func TestLiar(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{`{"code":"CredentialsUnavailable"}`, `{"code":"CredentialsUnavailable"}`},
		{"role", "role"},
		{`{"AccessKeyId":"ASIA","Token":"token"}`, `{"AccessKeyId":"ASIA"}`},
	} {
		l := new(liar)
		l.spoil.Store(new(without("Token")()))
		r := &http.Response{Header: make(http.Header), Body: io.NopCloser(strings.NewReader(test.body))}
		if err := l.change(r); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != test.want {
			t.Errorf("%s arrives as %s, %v; want %s", test.body, got, err, test.want)
		}
	}
}
