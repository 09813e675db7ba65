package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"irsa-sidecar/test/recorded"
)

// writeRequests replaces what is recorded of the releases that were run. What is recorded
// of others stays.
func (s *suite) writeRequests(seen map[string]*report) error {
	listed, err := s.choose(options{})
	if err != nil {
		return err
	}
	for _, sameLanguage := range groups(listed, release.language) {
		name := filepath.Join(s.dir, "..", "..", "internal", "server", "testdata", "requests", sameLanguage[0].language()+".http")
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
		for _, r := range sameLanguage {
			if seen[r.String()] == nil {
				continue
			}
			for _, request := range seen[r.String()].Requests {
				request.Clients = []string{r.String()}
				requests = append(requests, request)
			}
		}
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
