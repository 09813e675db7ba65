package main

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/credentials"
	"irsa-sidecar/internal/podidentity"
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/internal/token"
)

// longestSession is the longest that a role allows; how long one of EKS Pod Identity is
// cannot be chosen: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html
const longestSession = 12 * time.Hour

// newRefresher returns the refresher of the credentials of the source.
func newRefresher(cfg *config.Config, log *slog.Logger, reg prometheus.Registerer) *credentials.Refresher {
	codes := reasonCodes(cfg.Source)
	if cfg.Source == config.PodIdentity {
		return credentials.NewRefresher(newSource(cfg, reg), "the EKS Pod Identity agent", longestSession, codes, log, reg)
	}
	var refresher *credentials.Refresher
	valid := func() bool {
		_, err := refresher.Current()
		return err == nil
	}
	files, options := sts.NewFiles(log, reg), stsOptions(cfg)
	options.Transport = newTransport(cfg, files)
	client := newSession(cfg, sts.NewFallback(options, cfg.STS.Fallback, valid, log, reg), files, log)
	refresher = credentials.NewRefresher(newProvider(cfg, client), "STS", cfg.Duration, codes, log, reg)
	return refresher
}

// sourceAttributes says in the log where credentials come from.
func sourceAttributes(cfg *config.Config) []any {
	if cfg.Source == config.PodIdentity {
		return []any{"source", cfg.Source, "agent", cfg.AgentURL, "region", cfg.STS.Region}
	}
	attributes := []any{"source", cfg.Source, "role_arn", cfg.Role.String(), "session_name", cfg.SessionName, "region", cfg.STS.Region}
	if len(cfg.STS.Fallback) > 0 {
		attributes = append(attributes, "fallback_regions", cfg.STS.Fallback)
	}
	return attributes
}

// newSource returns the provider of the source, which asks STS of its own region.
func newSource(cfg *config.Config, reg prometheus.Registerer) aws.CredentialsProvider {
	if cfg.Source == config.PodIdentity {
		return podidentity.New(cfg.AgentURL, token.File(cfg.TokenFile), podidentity.NewTransport())
	}
	return newProvider(cfg, sts.New(stsOptions(cfg), reg))
}

// stsOptions says how STS is reached.
func stsOptions(cfg *config.Config) sts.Options {
	return sts.Options{
		Region:       cfg.STS.Region,
		Endpoint:     cfg.STS.Endpoint,
		UseFIPS:      cfg.STS.UseFIPS,
		UseDualStack: cfg.STS.UseDualStack,
		Transport:    sts.NewTransport(cfg.STS.RootCAs),
	}
}

// newProvider returns the provider that calls STS with client.
func newProvider(cfg *config.Config, client stscreds.AssumeRoleWithWebIdentityAPIClient) aws.CredentialsProvider {
	return stscreds.NewWebIdentityRoleProvider(client, cfg.Role.String(), token.File(cfg.TokenFile), func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = cfg.SessionName
		o.Duration = cfg.Duration
		if cfg.Policy != "" {
			o.Policy = &cfg.Policy
		}
		for _, policy := range cfg.PolicyARNs {
			o.PolicyARNs = append(o.PolicyARNs, types.PolicyDescriptorType{Arn: &policy})
		}
	})
}

// newTransport returns the transport to STS, which reads AWS_CA_BUNDLE for every call.
func newTransport(cfg *config.Config, files *sts.Files) http.RoundTripper {
	if cfg.STS.CABundle == "" {
		return sts.NewTransport(nil)
	}
	return sts.NewReloadedTransport(sts.Reload(files, "AWS_CA_BUNDLE", cfg.STS.RootCAs, func() (*x509.CertPool, error) {
		return config.ReadRootCAs(token.ReadFile, cfg.STS.CABundle)
	}))
}

// newSession returns a client that asks for the duration that the role allows, and with the
// session policy that there is.
func newSession(cfg *config.Config, client stscreds.AssumeRoleWithWebIdentityAPIClient, files *sts.Files, log *slog.Logger) *sts.Session {
	var durations []time.Duration
	if cfg.LongestDuration {
		durations = sts.Longest()
	}
	var policy *sts.Reloaded[string]
	if cfg.PolicyFile != "" {
		policy = sts.Reload(files, "session-policy-file", cfg.Policy, func() (string, error) {
			return config.ReadPolicy(token.ReadFile, cfg.PolicyFile)
		})
	}
	return sts.NewSession(client, durations, policy, log)
}
