// Package recorded reads and writes requests as real clients sent them: the request line
// and the headers, with their order, case and repetitions, which net/http does not keep.
//
// A file is a sequence of blocks, each followed by an empty line. A block is a comment
// with the endpoint and the clients that sent the request, and the request:
//
//	# imds: python boto 2.49.0; python botocore 1.5.27
//	GET /latest/meta-data/iam/security-credentials/ HTTP/1.1
//	Host: 169.254.169.254
package recorded

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Token is what a file has in place of session tokens.
const Token = "TOKEN"

// Request is a request, without its body, and who sent it where.
type Request struct {
	Endpoint string // container, ecs or imds
	Head     string // with plain line feeds, and no empty line at its end
	Clients  []string
}

// ReadDir returns the requests in all files of a directory.
func ReadDir(dir string) ([]Request, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.http"))
	if err != nil {
		return nil, err
	}
	var all []Request
	for _, name := range names {
		requests, err := Read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, requests...)
	}
	return all, nil
}

// Read returns the requests in a file.
func Read(name string) ([]Request, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var requests []Request
	for block := range strings.SplitSeq(strings.TrimSuffix(string(content), "\n\n"), "\n\n") {
		comment, head, _ := strings.Cut(block, "\n")
		endpoint, clients, ok := strings.Cut(strings.TrimPrefix(comment, "# "), ": ")
		if !ok || head == "" {
			return nil, fmt.Errorf("%s: want a comment and a request, not %q", name, block)
		}
		requests = append(requests, Request{endpoint, head, strings.Split(clients, "; ")})
	}
	return requests, nil
}

// Write replaces a file. Equal requests become one, with the clients of all.
func Write(name string, requests []Request) error {
	var b strings.Builder
	for _, r := range merge(requests) {
		fmt.Fprintf(&b, "# %s: %s\n%s\n\n", r.Endpoint, strings.Join(r.Clients, "; "), r.Head)
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

func merge(requests []Request) []Request {
	var merged []Request
	for _, r := range requests {
		i := slices.IndexFunc(merged, func(m Request) bool { return m.Endpoint == r.Endpoint && m.Head == r.Head })
		if i < 0 {
			i, merged = len(merged), append(merged, Request{Endpoint: r.Endpoint, Head: r.Head})
		}
		merged[i].Clients = append(merged[i].Clients, r.Clients...)
	}
	for i := range merged {
		slices.Sort(merged[i].Clients)
		merged[i].Clients = slices.Compact(merged[i].Clients)
	}
	slices.SortFunc(merged, func(a, b Request) int {
		return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), slices.Compare(a.Clients, b.Clients), cmp.Compare(a.Head, b.Head))
	})
	return merged
}
