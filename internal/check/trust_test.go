package check

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"irsa-sidecar/test/standin"
)

// allows evaluates a trust policy as IAM does, strictly: what it does not know it refuses.
func allows(policy, provider string, c Claims) error {
	var p struct {
		Version   string
		Statement []struct {
			Effect    string
			Principal map[string]string
			Action    string
			Condition map[string]map[string]any
		}
	}
	decoder := json.NewDecoder(strings.NewReader(policy))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return err
	}
	if p.Version != "2012-10-17" || len(p.Statement) != 1 {
		return errors.New("not one statement of the current language")
	}
	s := p.Statement[0]
	host := strings.TrimPrefix(c.Issuer, "https://")
	switch {
	case s.Effect != "Allow" || s.Action != "sts:AssumeRoleWithWebIdentity":
		return errors.New("it allows something else")
	case len(s.Principal) != 1 || s.Principal["Federated"] != provider+host:
		return errors.New("another principal")
	case len(s.Condition) != 1 || len(s.Condition["StringEquals"]) != 2:
		return errors.New("other conditions")
	case s.Condition["StringEquals"][host+":sub"] != c.Subject:
		return errors.New("another subject")
	}
	audience, isOne := s.Condition["StringEquals"][host+":aud"].(string)
	if !isOne || !slices.Contains(c.Audience, audience) {
		return errors.New("another audience")
	}
	return nil
}

// The policy that is printed accepts the token, and none of another service account,
// namespace, audience or issuer.
func TestTrustPolicy(t *testing.T) {
	t.Parallel()
	const provider = "arn:aws:iam::111122223333:oidc-provider/"
	for _, mine := range []standin.Claims{{}, {Namespace: "shop", ServiceAccount: "cart"}, {Audience: "sts.example"}} {
		s := healthy(t)
		mine.IssuedAt = now
		s.Offline = true
		s.holds(t, standin.NewIssuer("https://oidc.eks.eu-west-1.amazonaws.com/id/A").Token(mine))
		policy := of(t, s, "policy").Paste
		c := Claims{Issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/A", Subject: "system:serviceaccount:default:app", Audience: []string{"sts.amazonaws.com"}}
		if mine.Namespace != "" {
			c.Subject = "system:serviceaccount:shop:cart"
		}
		if mine.Audience != "" {
			c.Audience = []string{mine.Audience}
		}
		if err := allows(policy, provider, c); err != nil {
			t.Errorf("%v: %s", err, policy)
		}
		for name, change := range map[string]func(*Claims){
			"service account": func(c *Claims) { c.Subject += "2" },
			"namespace":       func(c *Claims) { c.Subject = "system:serviceaccount:other:app" },
			"any":             func(c *Claims) { c.Subject = "system:serviceaccount:*:*" },
			"audience":        func(c *Claims) { c.Audience = []string{"vault"} },
			"issuer":          func(c *Claims) { c.Issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/B" },
		} {
			other := c
			if change(&other); allows(policy, provider, other) == nil {
				t.Errorf("another %s is accepted: %s", name, policy)
			}
		}
		if allows(policy, strings.Replace(provider, "1111", "2222", 1), c) == nil {
			t.Errorf("the provider of another account is accepted: %s", policy)
		}
	}
}

// With two audiences either may be the one that the provider knows.
func TestTrustPolicyForTwoAudiences(t *testing.T) {
	t.Parallel()
	r := &run{Setup: healthy(t), claims: &Claims{Issuer: "https://i.example", Subject: "s", Audience: []string{"a", "b"}}}
	if policy := r.trustPolicy(); !strings.Contains(strings.Join(strings.Fields(policy), ""), `"i.example:aud":["a","b"]`) {
		t.Errorf("got %s", policy)
	}
}

// The other partitions have other ARNs.
func TestTrustPolicyElsewhere(t *testing.T) {
	t.Parallel()
	s := healthy(t)
	s.Offline, s.Partition, s.Role.Partition = true, "aws-cn", "aws-cn"
	if r := of(t, s, "policy"); !strings.Contains(r.Paste, `"arn:aws-cn:iam::111122223333:oidc-provider/127.0.0.1:`) {
		t.Errorf("got %s", r.all())
	}
}

// A claim is no command, whoever wrote it.
func TestQuote(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"https://issuer.example/id/A", "a b", "$(touch /tmp/x)", "it's", "", "-x", "a\nb", "`id`", `"`} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil && word != "-x" || string(out) != word && word != "-x" {
			t.Errorf("%q became %q: %v", word, out, err)
		}
	}
	if quote("https://issuer.example/id/A") != "https://issuer.example/id/A" {
		t.Error("a plain word is quoted")
	}
}
