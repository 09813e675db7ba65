package check

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// trustPolicy is a trust policy of IAM, as far as it is needed:
// https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
type trustPolicy struct {
	Version   string
	Statement []trustStatement
}

type trustStatement struct {
	Effect    string
	Principal struct{ Federated string }
	Action    string
	Condition struct{ StringEquals map[string]any }
}

// policy prints the trust policy, for whoever cannot ask STS.
func (r *run) policy(context.Context) outcome {
	if !r.isAWS() || r.claims == nil {
		return skip("it needs a role of AWS and a token")
	}
	return ok("the role trusts this service account if this is its trust policy:").paste(r.trustPolicy())
}

// provider returns the issuer without its scheme, as IAM names the OIDC provider.
func (r *run) provider() string { return strings.TrimPrefix(r.claims.Issuer, "https://") }

func (r *run) providerARN() string {
	return fmt.Sprintf("arn:%s:iam::%s:oidc-provider/%s", r.Role.Partition, r.Role.AccountID, r.provider())
}

// trustPolicy returns the whole trust policy that accepts the token, and no other service
// account's.
func (r *run) trustPolicy() string {
	var audience any = r.claims.Audience
	if len(r.claims.Audience) == 1 {
		audience = r.claims.Audience[0]
	}
	s := trustStatement{Effect: "Allow", Action: "sts:AssumeRoleWithWebIdentity"}
	s.Principal.Federated = r.providerARN()
	s.Condition.StringEquals = map[string]any{r.provider() + ":sub": r.claims.Subject, r.provider() + ":aud": audience}
	text, _ := json.MarshalIndent(trustPolicy{"2012-10-17", []trustStatement{s}}, "", "  ") // strings can always be marshalled
	return string(text)
}

// trustMistakes are those that people make, after the policy itself.
func (r *run) trustMistakes() []string {
	return []string{
		"compare the role's trust policy with the one below, letter by letter (aws iam get-role); if there is no such role, correct --role-arn",
		"the usual mistakes: the value of :sub at the key :aud, or the other way round",
		"a * under StringEquals, which takes it literally: it needs StringLike",
		fmt.Sprintf("the provider's ARN as the key of a condition, where %s:sub belongs", r.provider()),
		"oidc.REGION.eks for oidc.eks.REGION in the name of the provider",
		fmt.Sprintf("a misspelt namespace or service account: the token has %s", r.claims.Subject),
		"if the policy is the same, an SCP of the organization or the policy of a VPC endpoint for STS denies the call",
	}
}

// createProvider returns the command that creates the OIDC provider.
func (r *run) createProvider() string {
	return fmt.Sprintf("aws iam create-open-id-connect-provider --url %s --client-id-list %s", quote(r.claims.Issuer), quoteAll(r.claims.Audience))
}

// addAudience returns the command that adds the token's audience to the OIDC provider.
func (r *run) addAudience() string {
	return fmt.Sprintf("aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn %s --client-id %s",
		quote(r.providerARN()), quote(r.claims.Audience[0]))
}

// quote makes a word safe for a shell: it may be a claim, which anybody may have written.
func quote(word string) string {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("/:._-", c)
	}
	if word != "" && word[0] != '-' && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}
