package credentials

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// maxAnswer bounds what is read of an answer of STS, in bytes. Real ones have
// some 2 kB; the SDK itself reads the bodies of errors without bound.
const maxAnswer = 256 << 10

// STSOptions say how STS is reached.
type STSOptions struct {
	Region       string         // may be empty if there is an Endpoint
	Endpoint     string         // URL; empty: the region's
	UseFIPS      bool           // not together with Endpoint
	UseDualStack bool           // not together with Endpoint
	RootCAs      *x509.CertPool // nil: the system's
}

// STS is the client of STS that a stscreds.WebIdentityRoleProvider uses. It
// makes one call an attempt, with no retry and following no redirect, measures
// it, and turns what comes back into a reason that a person can act on and
// that cannot hold the token.
type STS struct {
	client   stscreds.AssumeRoleWithWebIdentityAPIClient
	endpoint string // for messages
	duration prometheus.Histogram
}

// NewSTS returns a client whose metric is registered with reg.
func NewSTS(o STSOptions, reg prometheus.Registerer) *STS {
	return newSTS(o, newTransport(o.RootCAs), reg)
}

func newSTS(o STSOptions, transport http.RoundTripper, reg prometheus.Registerer) *STS {
	region := o.Region
	if region == "" {
		// The call is not signed and the endpoint is given: the SDK just
		// wants a region to be there.
		region = "us-east-1"
	}
	client := sts.New(sts.Options{
		Region:      region,
		Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{
			Transport: bounded{transport},
			// A redirect is an answer: the token goes nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retryer: aws.NopRetryer{}, // the Refresher alone decides when
		AppID:   "irsa-sidecar",   // what CloudTrail shows as the user agent
	}, func(options *sts.Options) {
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
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = "STS of region " + region
	}
	return &STS{
		client:   client,
		endpoint: endpoint,
		duration: promauto.With(reg).NewHistogram(prometheus.HistogramOpts{
			Name:    "irsa_sidecar_sts_request_duration_seconds",
			Help:    "How long calls to STS took, failed ones too.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
	}
}

// AssumeRoleWithWebIdentity implements stscreds.AssumeRoleWithWebIdentityAPIClient.
// Its errors are reasons: they have an ErrorCode and an ErrorMessage.
func (s *STS) AssumeRoleWithWebIdentity(ctx context.Context, in *sts.AssumeRoleWithWebIdentityInput, opts ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	start, at := time.Now(), new(stage)
	out, err := s.client.AssumeRoleWithWebIdentity(at.trace(ctx), in, opts...)
	s.duration.Observe(time.Since(start).Seconds())
	if err != nil {
		return nil, s.explain(ctx, err, at, aws.ToString(in.WebIdentityToken))
	}
	// stscreds would pass on an answer without an expiration as one that has
	// expired in the year 1.
	if out.Credentials == nil || out.Credentials.Expiration == nil {
		return nil, s.invalidResponse("a success without credentials that expire")
	}
	return out, nil
}

// newTransport returns the SDK's own transport, which honours proxies.
func newTransport(rootCAs *x509.CertPool) *http.Transport {
	transport := awshttp.NewBuildableClient().GetTransport()
	// The next call is half an hour away.
	transport.DisableKeepAlives = true
	transport.MaxResponseHeaderBytes = 64 << 10
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
		// fails with io.EOF, and net/http cuts the connection, answer and all;
		// its Read just ends (smithy-go v1.28.9, transport/http/internal/io/safe.go).
		r = r.WithContext(r.Context())
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}
