package main

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/server"
	"irsa-sidecar/internal/token"
)

// The rules of STS and IAM, as regular expressions:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const (
	sessionNameRule = `^[\w+=,.@-]{2,64}$`
	roleRule        = `^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`
	policyARNRule   = `^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+$`
	regionRule      = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	pathRule        = `^(/[\w~-][\w.~-]*)+/?$`
)

// matches tells whether a value keeps a rule. Rules are compiled where they are
// used, once or twice at the start, so that they do not stay in memory.
func matches(rule, value string) bool {
	return regexp.MustCompile(rule).MatchString(value)
}

const (
	minDuration     = 15 * time.Minute
	maxDuration     = 12 * time.Hour
	maxPolicyLength = 2048
	maxPolicyARNs   = 10
	maxPathLength   = 1024
	defaultPath     = "/v1/credentials"
	maxWait         = time.Hour
)

func (l *loader) logger(stderr io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: l.logLevel()}))
}

func (l *loader) logLevel() slog.Level {
	s := l.setting("log-level", "SIDECAR_LOG_LEVEL")
	switch strings.ToLower(cmp.Or(s.value, "info")) {
	case "debug":
		return slog.LevelDebug
	case "info":
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		l.fail(s, "%q is not one of debug, info, warn, error", s.value)
	}
	return slog.LevelInfo
}

func (l *loader) tokenFile() token.File {
	s := l.setting("token-file", "AWS_WEB_IDENTITY_TOKEN_FILE")
	if _, err := token.ParseClaims([]byte(l.required(s))); err == nil {
		l.fail(s, "is a token, not the name of a file with one")
	}
	return token.File(s.value)
}

func (l *loader) role() arn.ARN {
	s := l.setting("role-arn", "AWS_ROLE_ARN")
	if l.required(s) == "" {
		return arn.ARN{}
	}
	role, err := arn.Parse(s.value)
	if err != nil || !matches(roleRule, s.value) {
		l.fail(s, "%q is not the ARN of a role, as arn:aws:iam::123456789012:role/NAME", s.value)
	}
	return role
}

func (l *loader) sessionName() string {
	s := l.setting("session-name", "AWS_ROLE_SESSION_NAME")
	if s.value == "" {
		return defaultSessionName(os.Hostname())
	}
	if !matches(sessionNameRule, s.value) {
		l.fail(s, "%q has characters other than letters, digits and _+=,.@- or is not 2 to 64 long", s.value)
	}
	return s.value
}

// defaultSessionName makes a host name, which in a pod is the pod's, fit for a
// session name.
func defaultSessionName(host string, err error) string {
	if err != nil {
		return "irsa-sidecar"
	}
	name := regexp.MustCompile(`[^\w+=,.@-]`).ReplaceAllString(host, "-")
	if len(name) < 2 {
		name = "irsa-sidecar-" + name
	}
	return name[:min(len(name), 64)]
}

func (l *loader) duration() time.Duration {
	s := l.setting("duration", "SIDECAR_DURATION")
	d, err := time.ParseDuration(cmp.Or(s.value, "1h"))
	if err != nil || d < minDuration || d > maxDuration || d%time.Second != 0 {
		l.fail(s, "%q is not a duration from 15m to 12h in whole seconds, as 1h or 90m", s.value)
	}
	return d
}

func (l *loader) wait() time.Duration {
	s := l.setting("wait", "SIDECAR_WAIT")
	d, err := time.ParseDuration(cmp.Or(s.value, "0s"))
	if err != nil || d < 0 || d > maxWait {
		l.fail(s, "%q is not a duration up to 1h, as 10s", s.value)
	}
	return d
}

func (l *loader) policy() string {
	s := l.setting("session-policy-file", "SIDECAR_SESSION_POLICY_FILE")
	if s.value == "" {
		return ""
	}
	if json.Valid([]byte(s.value)) {
		l.fail(s, "is a policy, not the name of a file with one")
		return ""
	}
	policy, err := os.ReadFile(s.value)
	switch {
	case err != nil:
		l.fail(s, "%w", err)
	case !json.Valid(policy):
		l.fail(s, "%s does not hold JSON", s.value)
	case utf8.RuneCount(policy) > maxPolicyLength:
		l.fail(s, "%s has %d characters, STS takes at most %d", s.value, utf8.RuneCount(policy), maxPolicyLength)
	}
	return string(policy)
}

func (l *loader) policyARNs() []string {
	s := l.setting("session-policy-arns", "SIDECAR_SESSION_POLICY_ARNS")
	if s.value == "" {
		return nil
	}
	arns := strings.Split(s.value, ",")
	if len(arns) > maxPolicyARNs {
		l.fail(s, "names %d policies, STS takes at most %d", len(arns), maxPolicyARNs)
	}
	for i, a := range arns {
		arns[i] = strings.TrimSpace(a)
		if !matches(policyARNRule, arns[i]) {
			l.fail(s, "entry %d is not the ARN of a policy, as arn:aws:iam::123456789012:policy/NAME; entries are separated by commas", i+1)
		}
	}
	return arns
}

func (l *loader) sts() credentials.STSOptions {
	region := l.setting("region", "AWS_REGION", "AWS_DEFAULT_REGION")
	endpoint := l.setting("sts-endpoint", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL")
	o := credentials.STSOptions{
		Region:       region.value,
		Endpoint:     endpoint.value,
		UseFIPS:      l.boolean(l.setting("", "AWS_USE_FIPS_ENDPOINT"), false),
		UseDualStack: l.boolean(l.setting("", "AWS_USE_DUALSTACK_ENDPOINT"), false),
		RootCAs:      l.rootCAs(),
	}
	switch {
	case o.Region == "" && o.Endpoint == "":
		l.fail(region, "is required unless an STS endpoint is set: the EKS pod identity webhook sets it; without the webhook write the cluster's region in the pod")
	case o.Region != "" && !matches(regionRule, o.Region):
		l.fail(region, "%q is not the name of a region, as eu-west-1", o.Region)
	}
	if o.Endpoint == "" {
		return o
	}
	if !isEndpoint(o.Endpoint) {
		l.fail(endpoint, "is not a URL of the form https://HOST[:PORT][/PATH]")
	}
	if o.UseFIPS || o.UseDualStack {
		l.fail(endpoint, "cannot be set together with AWS_USE_FIPS_ENDPOINT or AWS_USE_DUALSTACK_ENDPOINT, which choose the endpoint: name the endpoint that you want, or leave it to them")
	}
	return o
}

// isEndpoint tells whether a URL has nothing but scheme, host and path: what
// else it could have may be a secret, and would show in messages.
func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && isPort(u.Port()) && strings.EqualFold(bare.String(), s)
}

// isPlain tells whether an endpoint is asked without TLS, and not over loopback.
func isPlain(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback())
}

// isPort tells whether a string is a port, or empty.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil
}

// boolean returns what a setting says, or otherwise if it says nothing.
func (l *loader) boolean(s setting, otherwise bool) bool {
	switch strings.ToLower(s.value) {
	case "true":
		return true
	case "false":
		return false
	case "":
	default:
		l.fail(s, "%q is neither true nor false", s.value)
	}
	return otherwise
}

// rootCAs returns what AWS_CA_BUNDLE names; as in every SDK it takes the place
// of the system's certificates.
func (l *loader) rootCAs() *x509.CertPool {
	s := l.setting("", "AWS_CA_BUNDLE")
	if s.value == "" {
		return nil
	}
	bundle, err := os.ReadFile(s.value)
	if err != nil {
		l.fail(s, "%w", err)
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		l.fail(s, "%s holds no certificate in PEM form", s.value)
	}
	return pool
}

// path returns where credentials are served. It may be a secret: no error
// repeats it.
func (l *loader) path() string {
	s := l.setting("", "SIDECAR_PATH")
	path := cmp.Or(s.value, defaultPath)
	if !matches(pathRule, path) || len(path) > maxPathLength {
		l.fail(s, "is not a path as /v1/credentials: it begins with a slash and has only letters, digits and -._~ between single slashes, at most %d in all (a $(NAME) in it was not replaced: define NAME before it)", maxPathLength)
	}
	return strings.TrimSuffix(path, "/")
}

func (l *loader) authorization(log *slog.Logger) (a *server.Authorization) {
	value := l.setting("", "SIDECAR_AUTHORIZATION_TOKEN")
	file := l.setting("authorization-token-file", "SIDECAR_AUTHORIZATION_TOKEN_FILE")
	var err error
	switch {
	case value.value != "" && file.value != "":
		l.fail(file, "cannot be set together with %s: which of them counts?", value.name)
	case value.value != "":
		if a, err = server.NewAuthorization(value.value); err != nil {
			l.fail(value, "%w", err)
		}
	case file.value != "":
		if a, err = server.NewAuthorizationFile(file.value, log); err != nil {
			l.fail(file, "%w", err)
		}
	}
	return a
}

// proxies checks the proxy variables, which net/http reads by itself: at every
// call it would repeat a malformed one, password and all.
func (l *loader) proxies() {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		s := l.setting("", name)
		address := s.value
		if !strings.Contains(address, "://") { // net/http takes HOST:PORT too
			address = "http://" + address
		}
		u, err := url.Parse(address)
		if s.value == "" {
			continue
		}
		if err != nil || u.Hostname() == "" || !isPort(u.Port()) || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
			l.fail(s, "is not the URL of a proxy, as http://HOST:PORT")
		}
	}
}
