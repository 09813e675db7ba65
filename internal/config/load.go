package config

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Config is a configuration that has been checked.
type Config struct {
	Command  string
	LogLevel slog.Level

	// Of LinkLocal alone: the addresses to add.
	Addresses []netip.Addr

	// Of the other commands. With PodIdentity, AgentURL is where credentials come from,
	// and the fields from SessionName to PolicyARNs are empty, as is STS apart from Region.
	Source      string // WebIdentity or PodIdentity
	Why         string // this source
	AgentURL    string
	TokenFile   string
	Role        arn.ARN // with PodIdentity it has no account, and the name pod-identity
	SessionName string
	Duration    time.Duration
	Policy      string // JSON, may be empty
	PolicyFile  string // that it is from and may change in: ReadPolicy returns the current one
	PolicyARNs  []string
	STS         STS
	Listen      Listen
	Path        string // without a slash at its end; may be a secret
	IMDSV1      bool
	Zone        string // availability zone, may be empty
	InstanceID  string // may be empty
	Wait        time.Duration

	// LongestDuration is whether Duration is only the longest that a role may allow, and
	// what the role does allow is to be found out.
	LongestDuration bool

	// AuthorizationToken is the token that clients must send, empty: none. If
	// AuthorizationTokenFile is not empty the token is from there and may change:
	// ReadAuthorizationToken returns the current one.
	AuthorizationToken     string
	AuthorizationTokenFile string

	AllowedUIDs []uint32 // nil: everybody
	AccessLog   bool
}

// STS says how STS is reached.
type STS struct {
	Region       string // may be empty if there is an Endpoint
	Endpoint     string // URL; empty: the region's
	Fallback     []string
	UseFIPS      bool
	UseDualStack bool
	RootCAs      *x509.CertPool // nil: the system's
	CABundle     string         // the file that they are from and may change in: see ReadRootCAs
}

// ReadFile reads a file that has at most that many bytes. Its errors do not name the file.
type ReadFile func(name string, most int) ([]byte, error)

// Load reads every setting that the command uses, from the command line and the
// environment, and the files that they name. Its error is an *Error with everything
// that is wrong.
func Load(arguments Arguments, getenv func(string) string, read ReadFile) (*Config, error) {
	l := &loader{arguments: arguments, settings: settings(), getenv: getenv, read: read, problems: arguments.problems}
	cfg := &Config{Command: arguments.Command, LogLevel: l.logLevel()}
	if arguments.Command == LinkLocal {
		cfg.Addresses = l.linkLocalAddresses(arguments.operands)
		return cfg, l.err()
	}
	if cfg.Source, cfg.Why = l.source(); cfg.Source == PodIdentity {
		l.podIdentity(cfg)
	} else {
		l.webIdentity(cfg)
	}
	cfg.Listen = l.listen()
	cfg.Path = l.path()
	cfg.AuthorizationToken, cfg.AuthorizationTokenFile = l.authorization()
	cfg.AllowedUIDs = l.allowedUIDs()
	cfg.AccessLog = l.boolean(keyAccessLog)
	cfg.IMDSV1 = l.boolean(keyIMDSV1)
	cfg.Zone = l.zone(cfg.STS.Region)
	cfg.InstanceID = l.instanceID()
	cfg.Wait = l.durationOf(keyWait)
	return cfg, l.err()
}

// HasDefaultPath reports whether credentials are served at the path where clients ask
// by default, which is no secret.
func (c *Config) HasDefaultPath() bool { return c.Path == settings()[keyPath].standard }

// RegionPartition returns the partition of AWS that the region is in, empty if it is in none.
func (c *Config) RegionPartition() string { return partitionOf(c.STS.Region) }

// Domain returns the domain of AWS's services in the partition of the role, empty if it is
// not a partition of AWS.
func (c *Config) Domain() string {
	for _, p := range partitions() {
		if p.name == c.Role.Partition {
			return p.domain
		}
	}
	return ""
}

// Error is everything that is wrong with a configuration.
type Error struct {
	Command  string
	Problems []string // each names the setting
	Hints    []string // each for one or more of the problems
}

// Error returns a header, a line per problem and a line per hint.
func (e *Error) Error() string {
	plural := "s"
	if len(e.Problems) == 1 {
		plural = ""
	}
	var text strings.Builder
	text.WriteString(fmt.Sprintf("invalid configuration (%d problem%s):", len(e.Problems), plural))
	for _, problem := range e.Problems {
		text.WriteString("\n  " + problem)
	}
	for _, hint := range e.Hints {
		text.WriteString("\n  hint: " + hint)
	}
	return text.String()
}

// loader reads settings and collects what is wrong with them.
type loader struct {
	arguments Arguments
	settings  []setting
	getenv    func(string) string
	read      ReadFile
	problems  []string
	hints     []string
}

// value returns the flag of a setting, or its first variable that is not empty, or its
// default. An empty flag counts as unset, and hides the variables.
func (l *loader) value(k key) string {
	s := l.settings[k]
	value, isFlag := l.arguments.flags[s.flag]
	if !isFlag {
		for variable := range strings.FieldsSeq(s.variables) {
			if value = l.getenv(variable); value != "" {
				break
			}
		}
	}
	if value == "" {
		return s.standard
	}
	return value
}

// required returns the value of a setting that must be set.
func (l *loader) required(k key) string {
	value := l.value(k)
	if value == "" {
		l.fail(k, "is required")
		l.hint(l.missingCause())
	}
	return value
}

// file returns the value of a setting that is the name of a file. It must be absolute: a
// token or a policy that was set in its place never is, and so is refused before a
// message can repeat it as a name.
func (l *loader) file(k key) string {
	value := l.value(k)
	if l.arguments.Offline {
		value = absolute(value)
	}
	if value != "" && !strings.HasPrefix(value, "/") {
		l.fail(k, "must be the absolute path of a file, not what the file holds")
		return ""
	}
	return value
}

// absolute returns the absolute path of a file that there is, for people at a shell: what is
// no file may be a secret, and stays as it is.
func absolute(name string) string {
	if _, err := os.Stat(name); err != nil {
		return name
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return path
}

// fail adds a problem with a setting.
func (l *loader) fail(k key, format string, args ...any) {
	l.problems = append(l.problems, l.settings[k].name()+": "+fmt.Sprintf(format, args...))
}

// quoted returns a wrong value for an error, or words in its place if it may be a secret
// that was set in the wrong place: those have 16 random bytes or more, which are 22
// characters in base64, and an access key ID has 20. An ARN is none.
func quoted(value string) string {
	if len(value) < 20 || strings.HasPrefix(value, "arn:") {
		return strconv.Quote(value)
	}
	return "the value"
}

// hint adds a hint, once.
func (l *loader) hint(text string) {
	if !slices.Contains(l.hints, text) {
		l.hints = append(l.hints, text)
	}
}

func (l *loader) err() error {
	if len(l.problems) == 0 {
		return nil
	}
	return &Error{Command: l.arguments.Command, Problems: l.problems, Hints: l.hints}
}

// missingCause says why token and role are usually missing.
func (l *loader) missingCause() string {
	// https://github.com/aws/amazon-eks-pod-identity-webhook sets one kind or the other.
	if l.value(keyAgentURL) != "" || l.value(keyAgentTokenFile) != "" {
		return "the AWS_CONTAINER_ variables here are those of an EKS Pod Identity association: to use it, set --source " + PodIdentity + " (SIDECAR_SOURCE)"
	}
	return "the EKS pod identity webhook and deploy/inject set this if the service account has the annotation eks.amazonaws.com/role-arn before the pod is created; without them write it in the pod"
}
