package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is an IAM OIDC identity provider: an issuer that the account trusts,
// and how STS gets its keys.
type provider struct {
	issuer string
	keys   func(context.Context) ([]jose.JSONWebKey, error)
}

func providers(issuers []*Issuer) []provider {
	var ps []provider
	for _, i := range issuers {
		ps = append(ps, provider{i.url, func(context.Context) ([]jose.JSONWebKey, error) {
			return []jose.JSONWebKey{i.key.Public()}, nil
		}})
	}
	return ps
}

// AddProvider adds an OIDC provider for an issuer outside this package, such as a
// real cluster. It fetches the keys for every token, with client, the way AWS
// does: through the discovery document of the issuer
// (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig).
func (s *STS) AddProvider(issuer string, client *http.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers = append(s.providers, discovered(issuer, client))
}

// discovered returns a provider whose keys are in discovery documents.
func discovered(issuer string, client *http.Client) provider {
	return provider{issuer, func(ctx context.Context) ([]jose.JSONWebKey, error) {
		return discover(ctx, client, issuer)
	}}
}

// discoveryTimeout is a guess at AWS's, which is known only to be some seconds.
const discoveryTimeout = 5 * time.Second

func discover(ctx context.Context, client *http.Client, issuer string) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := fetchJSON(ctx, client, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &document); err != nil {
		return nil, err
	}
	if document.Issuer != issuer {
		return nil, fmt.Errorf("the discovery document of %s names the issuer %s", issuer, document.Issuer)
	}
	var set jose.JSONWebKeySet
	err := fetchJSON(ctx, client, document.JWKSURI, &set)
	return set.Keys, err
}

func fetchJSON(ctx context.Context, client *http.Client, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}
