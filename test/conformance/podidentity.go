package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"

	"irsa-sidecar/test/standin"
)

// Cases of EKS Pod Identity: SDKs from before November 2023 refuse the address of its
// agent, but not that of the sidecar, which asks the agent for them.

const agentAddress = "169.254.170.23"

// podIdentityCases are the cases with the agent as the source of credentials.
func podIdentityCases() []testCase {
	return []testCase{
		{"agent", "gets credentials from the agent itself, without the sidecar", false, askAgent, always},
		{"pod_identity", "gets credentials that the sidecar has from the agent, and STS confirms that they are the role's", false, podIdentity, always},
	}
}

// webIdentity is the environment of a sidecar that takes credentials from STS.
func (w *world) webIdentity() []string {
	return []string{"AWS_ROLE_ARN=" + sidecarRole, "AWS_WEB_IDENTITY_TOKEN_FILE=" + w.volume.Path("token")}
}

// webIdentityOfClient is what gives a client with web identity a role of its own.
func (w *world) webIdentityOfClient() []string {
	return []string{"AWS_ROLE_ARN=" + webRole, "AWS_ROLE_SESSION_NAME=client", "AWS_WEB_IDENTITY_TOKEN_FILE=" + w.volume.Path("token")}
}

// association is what the EKS webhook sets for an association: in the container of an SDK
// that is to ask the agent, or of a sidecar that takes credentials from it.
func (w *world) association() []string {
	return []string{fullURI + standin.AgentURL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + w.pods.Path("token")}
}

// askAgent records what an SDK does with what the webhook sets. Only a request with the
// token can get credentials; that one does, is proven first.
func askAgent(t *trial) error {
	token, err := t.world.publishForAgent()
	if err != nil {
		return err
	}
	if err := t.reachAgent(token); err != nil {
		return err
	}
	before := len(t.world.agent.Load().Requests())
	if err := t.start(append(t.world.association(), noMetadata)...); err != nil {
		return err
	}
	key, err := t.key()
	if err == nil && t.roleOf(key) != "sidecar" {
		err = fmt.Errorf("it has the key %s, which is not the agent's", key)
	}
	asked := t.world.agent.Load().Requests()[before:]
	authorized := slices.ContainsFunc(asked, func(r standin.AgentRequest) bool { return r.Header.Get("Authorization") == token })
	switch {
	case err == nil && authorized:
		return nil
	case err == nil || authorized:
		return fmt.Errorf("the agent was asked %d times, with the token: %t, and the client has %q, %w", len(asked), authorized, key, err)
	case len(asked) > 0:
		return verdict("asks without the token")
	case err == verdict("fails"):
		return verdict("does not ask it")
	}
	return err
}

// publishForAgent publishes a token for the agent.
func (w *world) publishForAgent() (token string, err error) {
	token = w.issuer.Token(standin.Claims{Audience: standin.AgentAudience})
	return token, w.pods.Publish("token", token)
}

// reachAgent returns an error unless the agent answers in the pod, so that an SDK that does
// not ask it has refused to.
func (t *trial) reachAgent(token string) error {
	r, err := http.NewRequestWithContext(t.ctx, http.MethodGet, standin.AgentURL, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent answers %s %s: %w", resp.Status, body, err)
	}
	return nil
}

// podIdentity checks that the client gets what the agent grants to the sidecar, at the IMDS
// endpoint if it does not support a full URI.
func podIdentity(t *trial) error {
	if _, err := t.world.publishForAgent(); err != nil {
		return err
	}
	t.source = t.world.association()
	return identity(t.job.Release.endpoint())(t)
}
