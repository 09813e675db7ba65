// Package sts calls AssumeRoleWithWebIdentity: one call an attempt, bounded in time and
// size, whose failure becomes a reason that a person can act on.
//
// It exists because everything that STS, a proxy or an attacker in its place can answer
// ends here: no other package sees the token and an answer together.
package sts

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus"
)

// maxAnswer bounds what is read of an answer of STS, in bytes. Real answers have
// some 2 kB; the SDK itself reads the bodies of errors without bound.
const maxAnswer = 256 << 10

// Options say how STS is reached.
type Options struct {
	Region       string            // may be empty if there is an Endpoint
	Endpoint     string            // URL; empty: the region's
	UseFIPS      bool              // not together with Endpoint
	UseDualStack bool              // not together with Endpoint
	Transport    http.RoundTripper // nil: NewTransport(nil)
}

// Client is the client of STS that a stscreds.WebIdentityRoleProvider uses. It makes
// one call per attempt, without retries or redirects, and measures it. Its errors are
// of type *Error.
type Client struct {
	client   *awssts.Client
	region   string // may be empty if there is an endpoint
	endpoint string // for messages
	metrics  *metrics
}

// New returns a Client whose metrics are registered with reg.
func New(o Options, reg prometheus.Registerer) *Client { return newClient(o, newMetrics(reg)) }

func newClient(o Options, m *metrics) *Client {
	m.requests.WithLabelValues(o.Region, "success")
	return &Client{client: newAWSClient(o), region: o.Region, endpoint: o.name(), metrics: m}
}

// name returns what messages call the endpoint.
func (o Options) name() string {
	if o.Endpoint == "" {
		return "STS of region " + o.Region
	}
	return o.Endpoint
}

func newAWSClient(o Options) *awssts.Client {
	if o.Region == "" {
		// The call is not signed and the endpoint is given: the SDK only
		// requires that there is a region.
		o.Region = "us-east-1"
	}
	return awssts.New(awssts.Options{
		Region:      o.Region,
		Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{
			Transport: bounded{o.transport()},
			// A redirect is an answer: the token goes nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retryer: aws.NopRetryer{}, // the Refresher alone decides when to call
		AppID:   "irsa-sidecar",   // in the user agent that CloudTrail shows
	}, func(options *awssts.Options) {
		if o.Endpoint != "" {
			options.BaseEndpoint = &o.Endpoint
		}
		if o.UseFIPS {
			options.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if o.UseDualStack {
			options.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	})
}

// AssumeRoleWithWebIdentity implements stscreds.AssumeRoleWithWebIdentityAPIClient.
func (c *Client) AssumeRoleWithWebIdentity(ctx context.Context, in *awssts.AssumeRoleWithWebIdentityInput, opts ...func(*awssts.Options)) (*awssts.AssumeRoleWithWebIdentityOutput, error) {
	start := time.Now()
	a := attempt{token: aws.ToString(in.WebIdentityToken), stage: new(stage)}
	if deadline, ok := ctx.Deadline(); ok {
		a.limit = deadline.Sub(start)
	}
	out, err := c.client.AssumeRoleWithWebIdentity(a.stage.trace(ctx), in, opts...)
	c.metrics.duration.Observe(time.Since(start).Seconds())
	// stscreds would take an answer without an expiration for one that expired in
	// the year 1.
	var why *Error
	switch {
	case err != nil:
		why = c.explain(ctx, err, a)
	case out.Credentials == nil || out.Credentials.Expiration == nil:
		why = c.invalidResponse("a success without credentials, or without their expiration")
	default:
		c.metrics.requests.WithLabelValues(c.region, "success").Inc()
		return out, nil
	}
	c.metrics.requests.WithLabelValues(c.region, why.code).Inc()
	return nil, why
}

// NewTransport returns the SDK's own transport, which honours proxies. It trusts
// rootCAs instead of the system's root certificates unless rootCAs is nil.
func NewTransport(rootCAs *x509.CertPool) *http.Transport {
	transport := awshttp.NewBuildableClient().GetTransport()
	// The next call is half an hour away.
	transport.DisableKeepAlives = true
	transport.MaxResponseHeaderBytes = 64 << 10
	transport.OnProxyConnectResponse = explainProxy
	if rootCAs != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: rootCAs, MinVersion: tls.VersionTLS12}
	}
	return transport
}

// bounded is a RoundTripper whose answers fail to read beyond maxAnswer.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		// The SDK closes its body as soon as an answer begins. Its WriteTo then
		// fails with io.EOF, and net/http closes the connection together with the
		// answer; its Read just ends (smithy-go v1.28.9,
		// transport/http/internal/io/safe.go).
		r = r.WithContext(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	if resp.StatusCode >= 400 {
		resp.Body = wrapped(resp.Body)
	}
	return resp, nil
}

// wrapped puts the body of an error in an <ErrorResponse>, as in AWS's, if it has the form
// of S3's: the STS of Ceph and others have it, and the SDK would find no code in it.
func wrapped(body io.ReadCloser) io.ReadCloser {
	const start = 256 // more than an XML declaration and the root
	buffered := bufio.NewReader(body)
	var r io.Reader = buffered
	head, _ := buffered.Peek(start) // an error comes again when the rest is read
	if bytes.Contains(head, []byte("<Error>")) && !bytes.Contains(head, []byte("<ErrorResponse")) {
		r = io.MultiReader(strings.NewReader("<ErrorResponse>"), r, strings.NewReader("</ErrorResponse>"))
	}
	return struct {
		io.Reader
		io.Closer
	}{r, body}
}
