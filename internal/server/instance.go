package server

import (
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Instance is what the instance metadata endpoint says in addition to credentials. What
// is empty has no page: programs believe what they read, such as the zone that they place
// replicas by.
type Instance struct {
	Role   arn.ARN // without an account: that of the credentials
	Region string
	Zone   string // the availability zone of the node
	ID     string // made up: there is no instance
	Domain string // of the partition's services, such as amazonaws.com
	V1     bool   // whether requests without a session token are answered
}

// pages returns the handlers of all documents and listings, by path.
func (i Instance) pages(provider Provider, fail failer, log *slog.Logger, metrics *Metrics) map[string]http.Handler {
	document := func(render Renderer) http.Handler {
		return newDocument(render, provider, fail, log, metrics)
	}
	role := path.Base(i.Role.Resource) // without role/ and the role's path
	pages := map[string]http.Handler{
		"iam/info":                                  document(InstanceProfile(i.Role)),
		"iam/security-credentials/" + role:          document(InstanceCredentials),
		"iam/security-credentials-extended/" + role: document(ExtendedCredentials(i.Role)),
	}
	for page, body := range map[string]string{
		"instance-id":                 i.ID,
		"placement/availability-zone": i.Zone,
		"placement/region":            i.Region,
		"services/domain":             i.Domain,
		"services/partition":          i.Role.Partition,
	} {
		if body != "" {
			pages[page] = text(metrics, "text/plain", body)
		}
	}
	paths := map[string]http.Handler{
		"/latest/dynamic/instance-identity/document": i.identity(provider, metrics),
	}
	for directory, names := range listings(maps.Keys(pages)) {
		paths[strings.TrimSuffix(metadataPath+directory, "/")] = text(metrics, "text/plain", names)
	}
	for page, handler := range pages {
		paths[metadataPath+page] = handler
	}
	return paths
}

// identity answers with the identity document. It never waits for credentials: programs
// that ask for their region need none.
func (i Instance) identity(provider Provider, metrics *Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account := i.Role.AccountID
		if account == "" {
			if credentials, err := provider.Current(); err == nil {
				account = credentials.AccountID
			}
		}
		text(metrics, "application/json", string(InstanceIdentity(i, account))).ServeHTTP(w, r)
	})
}

// listings returns the names of what each directory above the pages has, in lines; those
// of directories end with a slash. So the list of roles is that of their documents.
func listings(pages iter.Seq[string]) map[string]string {
	names := make(map[string][]string)
	for page := range pages {
		for entry := page; entry != ""; {
			directory := entry[:strings.LastIndexByte(strings.TrimSuffix(entry, "/"), '/')+1]
			names[directory] = append(names[directory], entry[len(directory):])
			entry = directory
		}
	}
	lists := make(map[string]string)
	for directory, all := range names {
		lists[directory] = strings.Join(slices.Compact(slices.Sorted(slices.Values(all))), "\n")
	}
	return lists
}
