package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFallbackRegions(t *testing.T) {
	env := webhook()
	env["SIDECAR_STS_FALLBACK_REGIONS"] = "eu-central-1, us-east-1"
	cfg, err := load(nil, env)
	if err != nil || !slices.Equal(cfg.STS.Fallback, []string{"eu-central-1", "us-east-1"}) {
		t.Errorf("got %+v, %v", cfg, err)
	}
	env["AWS_USE_FIPS_ENDPOINT"], env["SIDECAR_STS_FALLBACK_REGIONS"] = "true", "us-east-1"
	if _, err := load(nil, env); err != nil {
		t.Error(err)
	}
}

func TestWrongFallbackRegions(t *testing.T) {
	tests := []struct {
		name  string
		env   map[string]string
		wants []string
	}{
		{"a fallback region that is none", map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1,hunter2"}, []string{"--sts-fallback-regions (SIDECAR_STS_FALLBACK_REGIONS): entry 2", "is not the name of a region"}},
		{"a zone as fallback region", map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1a"}, []string{"--sts-fallback-regions", "is not the name of a region"}},
		{"an empty fallback region", map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1,"}, []string{"--sts-fallback-regions", "entry 2"}},
		{"the region itself as fallback", map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "eu-west-1"}, []string{"--sts-fallback-regions", "is the region itself"}},
		{"a fallback region twice", map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1, eu-central-1"}, []string{"--sts-fallback-regions", "twice"}},
		{"a fallback region of another partition", map[string]string{"SIDECAR_STS_FALLBACK_REGIONS": "cn-north-1"}, []string{"--sts-fallback-regions", "partition"}},
		{"a fallback region without FIPS", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true", "SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1"}, []string{"--sts-fallback-regions", "no FIPS endpoint"}},
		{"fallback regions with an endpoint", map[string]string{"AWS_ENDPOINT_URL_STS": "https://sts.example", "SIDECAR_STS_FALLBACK_REGIONS": "eu-central-1"}, []string{"--sts-fallback-regions", "mutually exclusive"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := webhook()
			maps.Copy(env, tt.env)
			_, err := load(nil, env)
			for _, want := range tt.wants {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v, want it to have %q", err, want)
				}
			}
		})
	}
}
