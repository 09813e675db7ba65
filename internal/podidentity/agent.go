// Package podidentity takes credentials from the EKS Pod Identity agent, which runs on
// every node and exchanges a pod's token for them.
//
// It exists so that an SDK which refuses the agent's address, as all of them did before
// November 2023, gets its credentials nevertheless: to the rest of the sidecar the agent is
// one more provider of credentials.
package podidentity

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
)

const (
	// maxAnswer bounds what is read of an answer, in bytes. Real ones have some 2 kB.
	maxAnswer = 256 << 10

	// maxHeader bounds the headers of an answer, in bytes. Real ones have some 200.
	maxHeader = 64 << 10
)

// Agent is an aws.CredentialsProvider. It is safe for concurrent use.
type Agent struct {
	url    string
	token  stscreds.IdentityTokenRetriever
	client *http.Client
}

// New returns the agent at url, to which the token proves who asks.
func New(url string, token stscreds.IdentityTokenRetriever, transport http.RoundTripper) *Agent {
	return &Agent{url: url, token: token, client: &http.Client{
		Transport: transport,
		// A redirect is an answer: the token goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// NewTransport returns a transport that bounds the headers of answers and knows no proxy:
// what is at a link-local address is on this node.
func NewTransport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives:      true, // the next call is most of an hour away
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// Retrieve makes one call, without retries, as long as ctx allows. The agent answers from a
// cache: two answers may have the same credentials.
//
// It reads the token at every call. An error of that is returned as it is; any other is of
// type *Error.
func (a *Agent) Retrieve(ctx context.Context) (aws.Credentials, error) {
	token, err := a.token.GetIdentityToken()
	if err != nil {
		return aws.Credentials{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url, nil)
	if err != nil {
		return aws.Credentials{}, newError(codeOther, "the agent's URL is not one")
	}
	r.Header.Set("Authorization", string(token))
	r.Header.Set("User-Agent", "irsa-sidecar")
	resp, err := a.client.Do(r)
	if err != nil {
		return aws.Credentials{}, explainTransport(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxAnswer))
	switch {
	case err != nil:
		return aws.Credentials{}, explainTransport(ctx, err)
	case resp.StatusCode != http.StatusOK:
		return aws.Credentials{}, explainStatus(resp.StatusCode, body)
	}
	return parse(body)
}

// parse returns the credentials of an answer. Whether they are complete and worth having is
// for the caller to check.
func parse(body []byte) (aws.Credentials, error) {
	var answer struct{ AccessKeyID, SecretAccessKey, Token, AccountID, Expiration string } // keys match in any case: AccessKeyId
	if json.Unmarshal(body, &answer) != nil {
		return aws.Credentials{}, newError(codeInvalidResponse, "the agent answered what is not credentials")
	}
	expiry, err := time.Parse(time.RFC3339, answer.Expiration) // fractions of a second are accepted
	if err != nil {
		return aws.Credentials{}, newError(codeInvalidResponse, "the agent answered credentials without a time of expiration")
	}
	return aws.Credentials{
		AccessKeyID:     answer.AccessKeyID,
		SecretAccessKey: answer.SecretAccessKey,
		SessionToken:    answer.Token,
		AccountID:       answer.AccountID,
		Source:          "EKSPodIdentityAgent",
		CanExpire:       true,
		Expires:         expiry,
	}, nil
}
