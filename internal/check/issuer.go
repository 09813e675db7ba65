package check

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	issuerTimeout = 3 * time.Second // for each of two requests

	// issuerAnswer bounds what is read of an issuer's answer. Real ones have some 2 kB.
	issuerAnswer = 64 << 10
)

// issuer checks what the token's issuer publishes. STS fetches it too, but from AWS, so what
// is seen here proves nothing against the issuer.
func (r *run) issuer(ctx context.Context) outcome {
	if r.claims == nil {
		return skip("there is no token with claims")
	}
	if problem := httpsURL(r.claims.Issuer); problem != "" {
		return warn("the token's issuer %s: STS accepts only https", problem).
			advise("set --service-account-issuer of the API server to a public https URL")
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	const advice = "if STS sees the same, it says \"Couldn't retrieve verification key\""
	where := strings.TrimSuffix(r.claims.Issuer, "/") + "/.well-known/openid-configuration"
	if results := r.fetch(ctx, where, &document); results != nil {
		return results
	}
	if document.Issuer != r.claims.Issuer {
		return warn("the discovery document names the issuer %.200q, and the token %q: they must be the same to the letter", document.Issuer, r.claims.Issuer).
			advise(advice)
	}
	if problem := httpsURL(document.Keys); problem != "" {
		return warn("the jwks_uri of the discovery document %s", problem).advise(advice)
	}
	var set struct{ Keys []key }
	if results := r.fetch(ctx, document.Keys, &set); results != nil {
		return results
	}
	for _, k := range set.Keys {
		if k.ID != r.header.KeyID {
			continue
		}
		if err := k.verify(r.header.Algorithm, r.raw); err != nil {
			return warn("the issuer's key %s did not sign the token: %v", k.ID, err).
				advise("is it the token of another cluster with the same issuer? " + advice)
		}
		return ok("%s publishes the key %s, which signed the token", r.claims.Issuer, k.ID)
	}
	return warn("the issuer's keys have none with the token's kid %q (%d keys)", r.header.KeyID, len(set.Keys)).
		advise("publish the current keys of the API server (kubectl get --raw /openid/v1/jwks) at the issuer's jwks_uri; " + advice)
}

// httpsURL returns why a URL is not fetched, or "": it is from a token or from a document
// that anybody may have written.
func httpsURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "is not an https URL"
	}
	return ""
}

// fetch decodes the JSON at a URL. Without it, it returns the results of the step.
func (r *run) fetch(ctx context.Context, where string, into any) outcome {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return warn("the issuer's URL cannot be requested")
	}
	response, err := r.Issuer.RoundTrip(request) // which follows no redirect
	if err != nil {
		return skip("the issuer is not in reach from here (%s); STS fetches its keys from AWS, not from the pod", reason(ctx, err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return warn("%s answers HTTP %d", where, response.StatusCode).
			advise("STS reads it without credentials, from the internet: it must answer 200 there")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, issuerAnswer))
	if err != nil {
		return skip("the issuer's answer did not end; STS fetches its keys from AWS, not from the pod")
	}
	if json.Unmarshal(body, into) != nil {
		return warn("%s is not the JSON of an OIDC issuer", where)
	}
	return nil
}

// reason says why there was no answer, without what net/http repeats of one.
func reason(ctx context.Context, err error) string {
	var netErr interface {
		error
		Timeout() bool
	}
	switch {
	case ctx.Err() != nil:
		return "no answer within " + issuerTimeout.String()
	case errors.As(err, &netErr):
		return netErr.Error()
	case strings.Contains(err.Error(), "certificate"):
		return "its certificate is not trusted here"
	}
	return "no answer"
}
