package main

import (
	"fmt"
	"slices"
	"strings"
)

const usage = `Usage: sidecar [FLAGS]          serve credentials until told to end
       sidecar [FLAGS] ready    exit with 0 if credentials are being served, else
                                print why not and exit with 1 (a startup probe)
       sidecar [FLAGS] link-local [ADDRESS...]
                                give this pod the addresses for --ecs-listen and
                                --imds-listen, or only those that are named, and
                                exit (an init container of user 0 that has the
                                capability NET_ADMIN)

Exchanges the pod's service account token for the credentials of its IAM role
and serves them to programs whose AWS SDK cannot do that. In the container of
such a program set

    AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:9911/v1/credentials

A flag wins over its environment variable; an empty variable counts as unset.

  --token-file FILE            AWS_WEB_IDENTITY_TOKEN_FILE, required
        the projected service account token
  --role-arn ARN               AWS_ROLE_ARN, required
        the IAM role
  --region REGION              AWS_REGION, AWS_DEFAULT_REGION
        the region whose STS is asked; required unless --sts-endpoint is set
  --session-name NAME          AWS_ROLE_SESSION_NAME
        how CloudTrail names the session (default: the host name)
  --duration DURATION          SIDECAR_DURATION
        the lifetime to ask for, 15m to 12h (default: 1h)
  --session-policy-file FILE   SIDECAR_SESSION_POLICY_FILE
        an IAM policy in JSON that narrows the role down
  --session-policy-arns ARNS   SIDECAR_SESSION_POLICY_ARNS
        up to ten managed policies that do, separated by commas
  --sts-endpoint URL           AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL
        another STS (default: the region's)
  --listen 127.0.0.1:PORT      SIDECAR_LISTEN
        where credentials are served, on [::1] too (default: 127.0.0.1:9911)
  --ecs-listen 169.254.170.2:PORT   SIDECAR_ECS_LISTEN
        serve the same there, where SDKs with AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
        ask, at port 80 (default: off)
  --imds-listen 169.254.169.254:PORT   SIDECAR_IMDS_LISTEN
        serve credentials and region there, as the EC2 instance metadata service
        does at port 80 (default: off)
  --imds-v1 BOOL               SIDECAR_IMDS_V1
        whether it answers without a session token, too (default: true)
  --authorization-token-file FILE   SIDECAR_AUTHORIZATION_TOKEN_FILE
        a file with a token that clients must send; it may change
  --admin-listen [HOST]:PORT   SIDECAR_ADMIN_LISTEN
        /metrics, /healthz and /readyz (default: :9912)
  --wait DURATION              SIDECAR_WAIT
        how long ready waits for credentials, up to 1h (default: 0s)
  --log-level LEVEL            SIDECAR_LOG_LEVEL
        debug, info, warn or error (default: info)
  --help, --version

Settings that may be secrets, and so have no flag:

  SIDECAR_PATH                 the path of the endpoint (default: /v1/credentials)
  SIDECAR_AUTHORIZATION_TOKEN  a token that clients must send, as their
                               AWS_CONTAINER_AUTHORIZATION_TOKEN

As in every AWS SDK: AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT,
AWS_CA_BUNDLE, HTTPS_PROXY, NO_PROXY. The AWS_CONTAINER_* variables are for
clients: the sidecar ignores its own.

Exit status: 0 when told to end, 2 for a configuration error, else 1.
`

// flagNames returns the flags that take a value.
func flagNames() []string {
	return []string{"token-file", "role-arn", "region", "session-name", "duration", "session-policy-file",
		"session-policy-arns", "sts-endpoint", "listen",
		"ecs-listen", "imds-listen", "imds-v1", "authorization-token-file", "admin-listen", "wait", "log-level"}
}

// arguments is what a command line says.
type arguments struct {
	flags         map[string]string // those that are given
	command       string            // empty: serve
	operands      []string          // of link-local
	help, version bool
}

// parseArguments reads a command line in which flags, with one dash or two, may
// stand on both sides of the command. The flag package would stop at the first
// error; this goes on, so that all of them are told. No error repeats a value:
// it may be a secret that was meant for a flag that is not there.
func parseArguments(words []string) (a arguments, problems []error) {
	a.flags = make(map[string]string)
	next := func() (word string, ok bool) {
		if len(words) == 0 {
			return "", false
		}
		word, words = words[0], words[1:]
		return word, true
	}
	for word, ok := next(); ok; word, ok = next() {
		if !strings.HasPrefix(word, "-") {
			problems = append(problems, a.setCommand(word)...)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case name == "help" || name == "h":
			a.help = true
		case name == "version":
			a.version = true
		case !slices.Contains(flagNames(), name):
			problems = append(problems, fmt.Errorf("unknown flag --%s: see sidecar --help", name))
			if !hasValue && len(words) > 0 && !strings.HasPrefix(words[0], "-") {
				next() // most likely its value
			}
		default:
			if !hasValue {
				value, hasValue = next()
			}
			if !hasValue {
				problems = append(problems, fmt.Errorf("--%s: needs a value", name))
			}
			a.flags[name] = value
		}
	}
	return a, problems
}

func (a *arguments) setCommand(word string) (problems []error) {
	switch {
	case a.command == "link-local":
		a.operands = append(a.operands, word)
		return nil
	case a.command != "":
		return []error{fmt.Errorf("more than one command: %q follows %q", word, a.command)}
	case word != "ready" && word != "link-local":
		problems = []error{fmt.Errorf("unknown command %q: there are ready and link-local, and none to serve", word)}
	}
	a.command = word
	return problems
}
