package check

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func (r *run) settings(context.Context) outcome {
	if len(r.Settings) > 0 {
		advice := r.Hints
		if r.Seen != "" {
			advice = append(advice, r.Seen)
		}
		return fail("%s", strings.Join(r.Settings, "; ")).advise(advice...)
	}
	text := "valid"
	if r.Seen != "" {
		text += "; " + r.Seen
	}
	return ok("%s", text)
}

func (r *run) source(context.Context) outcome {
	if r.Source == "" {
		return fail("none").
			advise("set a role for web identity, or AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE for EKS Pod Identity")
	}
	return ok("%s: %s", r.Source, r.Why)
}

// role checks what STS is asked for.
func (r *run) role(context.Context) outcome {
	if r.Role.Resource == "" {
		return skip("the settings have no valid role")
	}
	if r.Partition != "" && r.Partition != r.Role.Partition {
		return fail("the role is in the partition %s, and the region %s in the partition %s", r.Role.Partition, r.Region, r.Partition).
			advise("set a role and a region of the same partition: STS of one knows no role of another")
	}
	where := "no region, as an endpoint is set"
	if r.Region != "" {
		where = "region " + r.Region
	}
	account := "account " + r.Role.AccountID
	if r.Role.AccountID == "" {
		account = "no account"
	}
	duration := short(r.Duration)
	if r.Longest {
		duration += " or what the role allows"
	}
	text := fmt.Sprintf("%s in %s, partition %s; %s; session %s for %s", r.Role.Resource, account, r.Role.Partition, where, r.SessionName, duration)
	if r.Policy != "" || r.Policies > 0 {
		text += fmt.Sprintf("; restricted by a session policy of %d characters and %d managed policies", len([]rune(r.Policy)), r.Policies)
	}
	return ok("%s", text)
}

// short returns a duration without the units that are zero.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
