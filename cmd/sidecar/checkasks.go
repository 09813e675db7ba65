package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/check"
	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/podidentity"
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/internal/token"
)

// askers returns how check asks STS, or the EKS Pod Identity agent: as the sidecar does.
func askers(cfg *config.Config) (
	reach func(context.Context) (check.Reach, *check.Failure),
	assume func(context.Context, time.Duration) (aws.Credentials, *check.Failure),
	identity func(context.Context, aws.Credentials) (string, *check.Failure),
) {
	reach = func(ctx context.Context) (check.Reach, *check.Failure) {
		r, err := sts.Probe(ctx, stsOptions(cfg))
		return check.Reach(r), failureOf(err)
	}
	assume = func(ctx context.Context, duration time.Duration) (aws.Credentials, *check.Failure) {
		session := *cfg
		session.Duration = duration
		credentials, err := newSource(&session, prometheus.NewRegistry()).Retrieve(ctx)
		return credentials, failureOf(err)
	}
	if cfg.STS.Region != "" || cfg.STS.Endpoint != "" {
		identity = func(ctx context.Context, owned aws.Credentials) (string, *check.Failure) {
			who, err := sts.CallerIdentity(ctx, stsOptions(cfg), owned)
			return who, failureOf(err)
		}
	}
	return reach, assume, identity
}

// fallbacksOf returns the ways to the fallback regions.
func fallbacksOf(cfg *config.Config) (all []check.Fallback) {
	for _, region := range cfg.STS.Fallback {
		options := stsOptions(cfg)
		options.Region = region
		all = append(all, check.Fallback{Region: region, Reach: func(ctx context.Context) (check.Reach, *check.Failure) {
			r, err := sts.Probe(ctx, options)
			return check.Reach(r), failureOf(err)
		}})
	}
	return all
}

// failureOf returns an error of a source as check knows it, nil if there is none.
func failureOf(err error) *check.Failure {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*sts.Error](err); ok {
		cause := e.Cause()
		return &check.Failure{Code: e.ErrorCode(), Kind: cause.Name, What: e.What(), Proves: cause.Proves, Fix: e.Fix()}
	}
	if e, ok := errors.AsType[*podidentity.Error](err); ok {
		return &check.Failure{Code: e.ErrorCode(), What: e.What(), Fix: e.Fix()}
	}
	return &check.Failure{Code: token.Code, What: err.Error(), Fix: "see the step token file"}
}
