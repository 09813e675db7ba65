package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/server"
	"irsa-sidecar/internal/token"
)

// config is a configuration that has been checked.
type config struct {
	tokenFile   token.File
	role        arn.ARN
	sessionName string
	duration    time.Duration
	policy      string
	policyARNs  []string
	sts         credentials.STSOptions
	listen      addresses
	guard       server.Guard
	imdsV1      bool
	wait        time.Duration // of ready
	log         *slog.Logger
}

// loadConfig reads every setting from flags and environment, opens the files
// that they name, and returns all that is wrong in one error. Logs go to stderr.
func loadConfig(flags map[string]string, getenv func(string) string, stderr io.Writer) (*config, error) {
	l := &loader{flags: flags, getenv: getenv}
	cfg := &config{log: l.logger(stderr)}
	cfg.tokenFile = l.tokenFile()
	cfg.role = l.role()
	cfg.sessionName = l.sessionName()
	cfg.duration = l.duration()
	cfg.policy = l.policy()
	cfg.policyARNs = l.policyARNs()
	cfg.sts = l.sts()
	cfg.listen = l.addresses()
	cfg.guard = server.Guard{Path: l.path(), Authorization: l.authorization(cfg.log)}
	cfg.imdsV1 = l.boolean(l.setting("imds-v1", "SIDECAR_IMDS_V1"), true)
	cfg.wait = l.wait()
	l.proxies()
	return cfg, errors.Join(l.problems...)
}

// loader reads settings and collects what is wrong with them.
type loader struct {
	flags    map[string]string
	getenv   func(string) string
	problems []error
}

// setting is a value and what a user calls it.
type setting struct {
	name  string
	value string
}

// setting returns the value of a flag, or of the first variable that is not
// empty. The flag is empty for what may be a secret.
func (l *loader) setting(flag string, variables ...string) setting {
	s := setting{name: strings.Join(variables, ", ")}
	if flag != "" {
		s.name = "--" + flag + " (" + s.name + ")"
		if value, ok := l.flags[flag]; ok {
			s.value = value
			return s
		}
	}
	for _, variable := range variables {
		s.value = cmp.Or(s.value, l.getenv(variable))
	}
	return s
}

// fail adds a problem with a setting.
func (l *loader) fail(s setting, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf(s.name+": "+format, args...))
}

// required returns a value that must be there.
func (l *loader) required(s setting) string {
	if s.value == "" {
		l.fail(s, "is required: %s", l.missingCause())
	}
	return s.value
}

// missingCause says why token and role are usually missing.
func (l *loader) missingCause() string {
	// https://github.com/aws/amazon-eks-pod-identity-webhook sets one kind or the other.
	if cmp.Or(l.getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), l.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) != "" {
		return "this service account has an EKS Pod Identity association, for which the webhook sets the AWS_CONTAINER_ variables only: write role, region and token volume in the pod by hand, or remove the association"
	}
	return "the EKS pod identity webhook and deploy/inject set it if the service account is annotated with eks.amazonaws.com/role-arn before the pod is made; without them write it in the pod"
}
