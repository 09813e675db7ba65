package sts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
)

// CallerIdentity returns the ARN of whoever owns credentials, as STS sees it. Its errors are
// of type *Error. The SDK's own operation would make the binary 30 kB larger.
func CallerIdentity(ctx context.Context, o Options, owned aws.Credentials) (arn string, err error) {
	c := &Client{endpoint: o.name()}
	// None of them may be in a message.
	a := attempt{token: owned.SessionToken + "." + owned.AccessKeyID, stage: new(stage)}
	status, body, err := o.callerIdentity(a.stage.trace(ctx), owned)
	if err != nil {
		return "", c.explain(ctx, err, a)
	}
	var answer struct {
		ARN   string                         `xml:"GetCallerIdentityResult>Arn"`
		Error struct{ Code, Message string } `xml:"Error"`
	}
	switch err := xml.Unmarshal(body, &answer); {
	case err != nil || status == http.StatusOK && answer.ARN == "":
		return "", c.invalidResponse(fmt.Sprintf("HTTP %d with a body that is not an answer of STS", status))
	case status != http.StatusOK:
		return "", c.refusal(status, answer.Error.Code, answer.Error.Message, a.token)
	}
	return sanitize(answer.ARN, a.token), nil
}

// callerIdentity makes the call.
func (o Options) callerIdentity(ctx context.Context, owned aws.Credentials) (status int, body []byte, err error) {
	const form = "Action=GetCallerIdentity&Version=2011-06-15"
	r, err := o.request(ctx, http.MethodPost, form)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	region := o.Region
	if region == "" {
		region = "us-east-1" // as for the SDK
	}
	sum := sha256.Sum256([]byte(form))
	if err := v4.NewSigner().SignHTTP(ctx, owned, r, hex.EncodeToString(sum[:]), "sts", region, time.Now()); err != nil {
		return 0, nil, err
	}
	resp, err := o.transport().RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}

func (o Options) transport() http.RoundTripper {
	if o.Transport == nil {
		return NewTransport(nil)
	}
	return o.Transport
}

// request returns a request for the URL of STS.
func (o Options) request(ctx context.Context, method, body string) (*http.Request, error) {
	endpoint := o.Endpoint
	if endpoint == "" {
		resolved, err := awssts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, awssts.EndpointParameters{
			Region: &o.Region, UseFIPS: &o.UseFIPS, UseDualStack: &o.UseDualStack, UseGlobalEndpoint: new(false),
		})
		if err != nil {
			return nil, err
		}
		endpoint = resolved.URI.String()
	}
	return http.NewRequestWithContext(ctx, method, strings.TrimSuffix(endpoint, "/")+"/", strings.NewReader(body))
}
