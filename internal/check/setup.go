package check

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Setup is what is checked: the settings, and functions for what is outside.
type Setup struct {
	Offline     bool
	PodIdentity bool // the source; otherwise web identity

	Settings []string // what is wrong with them, as at start
	Hints    []string
	Seen     string // what else there is to say about the settings
	Source   string // "": none
	Why      string // this source

	TokenFile   string
	ReadToken   func() ([]byte, error)
	ParseHeader func(jwt []byte) (Header, error)
	ParseClaims func(jwt []byte) (Claims, error)
	Proc        string // usually /proc
	Now         func() time.Time

	Role        arn.ARN
	Region      string
	Partition   string // of Region; "": not one of AWS
	SessionName string
	Duration    time.Duration
	Longest     bool // Duration is only the longest that a role may allow
	Policy      string
	Policies    int // managed ones

	// Reach makes a request to STS that is no call. Its Reach counts even with a Failure.
	Reach func(context.Context) (Reach, *Failure)
	// Fallback are the regions that are asked while the region's own STS is down.
	Fallback []Fallback
	Agent    string // HOST:PORT of the EKS Pod Identity agent, if that is asked
	// Mesh is InMesh.
	Mesh func(ctx context.Context, refused string) (name string, captures bool)
	// Issuer reaches the issuer of the token.
	Issuer http.RoundTripper
	// Assume asks STS for credentials, or the EKS Pod Identity agent, which knows no duration.
	Assume func(context.Context, time.Duration) (aws.Credentials, *Failure)
	// Identity returns the ARN of who owns credentials. It is nil if nobody can be asked.
	Identity func(context.Context, aws.Credentials) (string, *Failure)

	// Users returns an error if the kernel does not say which user a client is. It is nil if
	// nobody needs to know.
	Users func() error

	Endpoints []Endpoint
	Metadata  string // the URL of the instance metadata service
}

// Endpoint is where the sidecar serves credentials.
type Endpoint struct {
	Address string
	Ask     func(context.Context) error // as an SDK asks
}

// Header is what a token says about its signature.
type Header struct{ Algorithm, KeyID string }

// Claims are what a token says, unverified.
type Claims struct {
	Issuer, Subject             string
	Audience                    []string
	Expiry, IssuedAt, NotBefore time.Time
	ID                          string
	Namespace, ServiceAccount   string
	Pod, Node                   string
}

// Fallback is another region, whose Reach is like that of Setup.
type Fallback struct {
	Region string
	Reach  func(context.Context) (Reach, *Failure)
}

// Reach is how far a request to STS came. Durations are 0 for what did not end.
type Reach struct {
	Host, Proxy               string
	Addresses                 []netip.Addr
	Refused                   string // the address that refused a connection, or the DNS server that gave no answer
	DNS, Connect, TLS, Answer time.Duration
	Issuer                    string // of the certificate
	Date                      time.Time
}

// Failure is why STS, or the EKS Pod Identity agent, gave no credentials.
type Failure struct {
	Code   string
	Kind   string // one of the constants, or ""
	What   string // happened
	Proves string
	Fix    string
}

// The kinds of failures for which there is more to say than their Fix.
const (
	KindDenied      = "denied"
	KindNoProvider  = "no provider"
	KindAudience    = "audience"
	KindTooLong     = "duration"
	KindUnknownHost = "unknown host"
)

// run is a run of the steps: what one found out is there for the next.
type run struct {
	*Setup
	raw         []byte // the token, nil without
	header      Header
	claims      *Claims // nil without
	reached     bool    // STS
	credentials aws.Credentials
}

// step is one step of the list.
type step struct {
	name   string
	online bool
	find   func(*run, context.Context) outcome
}

// steps returns the steps for a setup, in their order.
func steps(s *Setup) []step {
	all := []step{
		{"settings", false, (*run).settings}, {"source", false, (*run).source},
		{"token file", false, (*run).tokenFile}, {"claims", false, (*run).checkClaims},
	}
	if s.PodIdentity {
		all = append(all, step{"agent", true, (*run).agent})
	} else {
		all = append(all, step{"role", false, (*run).role})
		if s.Offline {
			all = append(all, step{"policy", false, (*run).policy})
		}
		all = append(all, step{"network", true, (*run).network}, step{"issuer", true, (*run).issuer}, step{"STS", true, (*run).sts})
	}
	return append(all, step{"identity", true, (*run).identity}, step{"endpoints", true, (*run).endpoints}, step{"metadata", true, (*run).metadata})
}

// Calls says which calls the steps make, for whoever is to know before.
func Calls(s *Setup) string {
	switch {
	case s.Offline:
		return "makes no calls"
	case s.PodIdentity:
		return "asks the EKS Pod Identity agent for credentials once, and calls GetCallerIdentity at most once"
	}
	return "calls AssumeRoleWithWebIdentity at most twice, and GetCallerIdentity at most once"
}
