package check

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// endpoints asks each endpoint of the sidecar as an SDK does.
func (r *run) endpoints(ctx context.Context) (all outcome) {
	if len(r.Endpoints) == 0 {
		return skip("the settings are wrong")
	}
	if r.Users != nil {
		if err := r.Users(); err != nil {
			all = fail("only some users may have credentials, and this kernel does not say which user a client is: %v", err).
				advise("unset --allowed-uids (SIDECAR_ALLOWED_UIDS), with which the sidecar does not start here, and keep containers out with a secret path or an authorization token")
		}
	}
	for _, endpoint := range r.Endpoints {
		if err := endpoint.Ask(ctx); err != nil {
			all = append(all, fail("%s: %v", endpoint.Address, err).
				advise("this is what the application's SDK gets; the log of the sidecar has more")...)
			continue
		}
		all = append(all, ok("%s serves credentials", endpoint.Address)...)
	}
	return all
}

// agent asks the EKS Pod Identity agent.
func (r *run) agent(ctx context.Context) outcome {
	switch {
	case len(r.Settings) > 0:
		return skip("the settings are wrong")
	case r.raw == nil:
		return skip("there is no token")
	}
	if failure := r.assume(ctx, 0); failure != nil {
		advice := failure.advice()
		if failure.Code == "network" {
			advice = append(advice, r.mesh(ctx, r.Agent)...)
		}
		return fail("%s", failure.String()).advise(advice...)
	}
	return r.granted("the EKS Pod Identity agent")
}

// metadataTimeout bounds each of two requests: in a pod the answer to one is there at once,
// or never.
const metadataTimeout = time.Second

// metadata checks whether the instance metadata service is in reach, and whose it is. With a
// hop limit of 1 the node's answers GET but not PUT; an old agent such as kiam refuses PUT, and
// gives credentials all the same.
func (r *run) metadata(ctx context.Context) outcome {
	status, version := r.askMetadata(ctx, http.MethodPut, "/latest/api/token"), "IMDSv2"
	if status != http.StatusOK {
		if first := r.askMetadata(ctx, http.MethodGet, "/latest/meta-data/iam/security-credentials/"); first != 0 {
			status, version = first, "IMDSv1"
		}
	}
	const host = "the instance metadata service"
	switch {
	case status == 0:
		return ok("%s of the node is not in reach", host)
	case isOurs(r.Metadata):
		return ok("%s in reach is in this pod: the sidecar's", host)
	case status != http.StatusOK:
		return ok("%s of the node answers HTTP %d, no credentials", host, status)
	}
	return warn("%s of the node answers (%s): an SDK that does not ask the sidecar gets the role of the node, or that of kiam or kube2iam", host, version).
		advise("set the hop limit of the node's metadata service to 1 and require IMDSv2, or deny 169.254.169.254 with a network policy, or turn on --imds-listen, which answers there in its place")
}

// askMetadata returns the status of an answer, 0 without one.
func (r *run) askMetadata(ctx context.Context, method, path string) (status int) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, r.Metadata+path, nil)
	if err != nil {
		return 0
	}
	if method == http.MethodPut {
		request.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "1")
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request) // no proxy
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// isOurs reports whether the address of a URL is one of this pod.
func isOurs(where string) bool {
	u, err := url.Parse(where)
	addresses, err2 := net.InterfaceAddrs()
	if err != nil || err2 != nil {
		return false
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, ok := a.(*net.IPNet)
		return ok && prefix.IP.String() == u.Hostname()
	})
}
