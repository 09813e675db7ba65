package main

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

const role = "arn:aws:iam::111122223333:role/app"

// issuer signs the tokens. It makes its key at first use: a process that is the sidecar
// needs none.
var issuer = sync.OnceValue(func() *standin.Issuer { return standin.NewIssuer("https://issuer.example") })

// world is what a sidecar needs from outside.
type world struct {
	sts    *standin.STS
	agent  *standin.Agent   // nil with web identity
	srv    *httptest.Server // of the agent or of STS
	volume *standin.Volume
	tokens []string // all published
}

// newWorld returns an STS that knows role, and a volume that has no token yet.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{sts: standin.NewSTS(issuer()), volume: standin.NewVolume(t.TempDir())}
	w.sts.AddRole(standin.Role{ARN: role})
	w.srv = httptest.NewServer(w.sts)
	t.Cleanup(w.srv.Close)
	return w
}

// newShortWorld returns a world with a token, whose STS grants a few seconds, so that
// credentials expire within a test.
func newShortWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.sts.SetGrantLifetime(12 * time.Second)
	w.publish(t)
	return w
}

// publish puts a new token into the volume.
func (w *world) publish(t testing.TB) (token string) {
	t.Helper()
	token = issuer().Token(w.claims())
	if err := w.volume.Publish("token", token); err != nil {
		t.Fatal(err)
	}
	w.tokens = append(w.tokens, token)
	return token
}

// claims returns the claims of a good token.
func (w *world) claims() standin.Claims {
	if w.agent != nil {
		return standin.Claims{Audience: standin.AgentAudience}
	}
	return standin.Claims{}
}

// environment returns the environment of a sidecar in w, with more settings appended.
func (w *world) environment(more ...string) []string {
	if w.agent != nil {
		return append([]string{
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + standin.AgentURL,
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + w.volume.Path("token"),
			"SIDECAR_LISTEN=127.0.0.1:0",
			"SIDECAR_ADMIN_LISTEN=127.0.0.1:0",
		}, more...)
	}
	return append([]string{
		"AWS_ROLE_ARN=" + role,
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + w.volume.Path("token"),
		"AWS_REGION=eu-west-1",
		"AWS_ENDPOINT_URL_STS=" + w.srv.URL,
		"SIDECAR_LISTEN=127.0.0.1:0",
		"SIDECAR_ADMIN_LISTEN=127.0.0.1:0",
	}, more...)
}

// getenv returns an os.Getenv of environment.
func getenv(environment []string) func(name string) string {
	return func(name string) (value string) {
		for _, variable := range environment {
			if v, ok := strings.CutPrefix(variable, name+"="); ok {
				value = v // the last one counts
			}
		}
		return value
	}
}
