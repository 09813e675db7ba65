package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"irsa-sidecar/test/recorded"
)

// requestsDir is where the tests of the guard read the recorded requests.
func (s *suite) requestsDir() string {
	return filepath.Join(s.dir, "..", "..", "internal", "server", "testdata", "requests")
}

// writeRequests replaces what is recorded of the releases that were run. What is recorded
// of others stays.
func (s *suite) writeRequests(seen map[string]*report) error {
	listed, err := s.choose(options{})
	if err != nil {
		return err
	}
	for _, sameLanguage := range groups(listed, release.language) {
		name := filepath.Join(s.requestsDir(), sameLanguage[0].language()+".http")
		known, err := recorded.Read(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		var requests []recorded.Request
		for _, r := range known {
			r.Clients = slices.DeleteFunc(r.Clients, func(client string) bool {
				isListed := slices.ContainsFunc(sameLanguage, func(r release) bool { return r.String() == client })
				return seen[client] != nil || !isListed
			})
			if len(r.Clients) > 0 {
				requests = append(requests, r)
			}
		}
		requests = append(requests, sentBy(sameLanguage, seen)...)
		if len(requests) == 0 {
			continue
		}
		if err := recorded.Write(name, requests); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "wrote %s\n", name)
	}
	return nil
}

// sentBy returns the requests of the releases that were run.
func sentBy(releases []release, seen map[string]*report) []recorded.Request {
	var requests []recorded.Request
	for _, r := range releases {
		report := seen[r.String()]
		if report == nil || r.marked("standin") {
			continue
		}
		for _, request := range report.Requests {
			request.Clients = []string{r.String()}
			requests = append(requests, request)
		}
	}
	return requests
}

// checkRequests returns an error unless requests of every release are recorded.
func (s *suite) checkRequests() error {
	listed, err := s.choose(options{})
	if err != nil {
		return err
	}
	requests, err := recorded.ReadDir(s.requestsDir())
	if err != nil {
		return err
	}
	var missing []string
	for _, r := range listed {
		isRecorded := slices.ContainsFunc(requests, func(request recorded.Request) bool {
			return slices.Contains(request.Clients, r.String())
		})
		if !isRecorded && !r.marked("standin") {
			missing = append(missing, r.String())
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no requests are recorded of %s: run test/conformance/run --record --client RELEASE", strings.Join(missing, ", "))
	}
	return nil
}
