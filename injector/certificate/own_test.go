package certificate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"irsa-sidecar/injector/cluster"
)

// api is as much of an API server as the certificate needs.
type api struct {
	mu            sync.Mutex // guards the fields below
	secret        *corev1.Secret
	configuration *admissionv1.MutatingWebhookConfiguration
	version       int
	writes        []string
	beforeWrite   func() // called once, without the lock, as if another replica were faster
}

func newAPI() *api {
	a := &api{configuration: &admissionv1.MutatingWebhookConfiguration{Webhooks: []admissionv1.MutatingWebhook{{Name: "a"}, {Name: "b"}}}}
	a.configuration.APIVersion, a.configuration.Kind = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
	a.configuration.ResourceVersion = "1"
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodGet {
		a.mu.Lock()
		before := a.beforeWrite
		a.beforeWrite = nil
		a.mu.Unlock()
		if before != nil {
			before()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch path := r.Method + " " + r.URL.Path; path {
	case "GET /api/v1/namespaces/injector/secrets/irsa-sidecar-injector":
		if a.secret == nil {
			status(w, http.StatusNotFound, "NotFound")
			return
		}
		json.NewEncoder(w).Encode(a.secret)
	case "POST /api/v1/namespaces/injector/secrets", "PUT /api/v1/namespaces/injector/secrets/irsa-sidecar-injector":
		secret := &corev1.Secret{}
		if err := json.Unmarshal(body, secret); err != nil || secret.Name != "irsa-sidecar-injector" {
			status(w, http.StatusBadRequest, "BadRequest")
			return
		}
		if r.Method == http.MethodPost && a.secret != nil {
			status(w, http.StatusConflict, "AlreadyExists")
			return
		}
		if r.Method == http.MethodPut && (a.secret == nil || secret.ResourceVersion != a.secret.ResourceVersion) {
			status(w, http.StatusConflict, "Conflict")
			return
		}
		a.version++
		secret.ResourceVersion = fmt.Sprint(a.version)
		secret.APIVersion, secret.Kind = "v1", "Secret"
		a.secret = secret
		a.writes = append(a.writes, r.Method)
		json.NewEncoder(w).Encode(secret)
	case "GET /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/irsa-sidecar":
		json.NewEncoder(w).Encode(a.configuration)
	case "PATCH /apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/irsa-sidecar":
		patch := &admissionv1.MutatingWebhookConfiguration{}
		if err := json.Unmarshal(body, patch); err != nil || patch.ResourceVersion != a.configuration.ResourceVersion {
			status(w, http.StatusConflict, "Conflict")
			return
		}
		for _, p := range patch.Webhooks {
			for i := range a.configuration.Webhooks {
				if a.configuration.Webhooks[i].Name == p.Name {
					a.configuration.Webhooks[i].ClientConfig.CABundle = p.ClientConfig.CABundle
				}
			}
		}
		a.writes = append(a.writes, r.Method)
		json.NewEncoder(w).Encode(a.configuration)
	default:
		status(w, http.StatusForbidden, "Forbidden")
	}
}

func status(w http.ResponseWriter, code int, reason string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": %q, "code": %d}`, reason, code)
}

// take returns and forgets what was written.
func (a *api) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { a.writes = nil }()
	return strings.Join(a.writes, " ")
}

type replica struct {
	*Own
	clock *time.Time
}

// look fails the test unless the API server trusts the certificate afterwards.
func (r replica) mustLook(t *testing.T, a *api) {
	t.Helper()
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.configuration.Webhooks {
		data := map[string][]byte{authorityCert: w.ClientConfig.CABundle, authorityKey: r.current.Load().data[authorityKey],
			leafCert: r.current.Load().data[leafCert], leafKey: r.current.Load().data[leafKey]}
		if _, err := parse(data, "irsa-sidecar-injector.injector.svc", *r.clock); err != nil {
			t.Fatalf("webhook %s does not trust the certificate: %v", w.Name, err)
		}
	}
}

func newReplica(t *testing.T, a *api, server string, clock *time.Time) replica {
	t.Helper()
	config := &rest.Config{Host: server}
	core, err := cluster.Client(config, "")
	if err != nil {
		t.Fatal(err)
	}
	admission, err := cluster.Client(config, "admissionregistration.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	return replica{NewOwn(core, admission, "injector", slog.New(slog.DiscardHandler), func() time.Time { return *clock }), clock}
}

func start(t *testing.T) (a *api, one, two replica) {
	a = newAPI()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	clock := new(time.Now())
	return a, newReplica(t, a, server.URL, clock), newReplica(t, a, server.URL, clock)
}

// Two replicas that start at once without a Secret share one authority.
func TestTwoReplicasStart(t *testing.T) {
	a, one, two := start(t)
	if one.Ready() == nil {
		t.Error("ready before the first look")
	}
	a.beforeWrite = func() {
		if err := two.lookAtSecret(t.Context()); err != nil {
			t.Error(err)
		}
	}
	one.mustLook(t, a)
	two.mustLook(t, a)
	if got := a.take(); got != "POST PATCH" {
		t.Errorf("writes: %s", got)
	}
	if !one.current.Load().leaf.Leaf.Equal(two.current.Load().leaf.Leaf) {
		t.Error("the replicas have different certificates")
	}
	one.mustLook(t, a)
	if got := a.take(); got != "" {
		t.Errorf("writes without need: %s", got)
	}
}

// A renewal does not change the authority, and two replicas renew once.
func TestRenewal(t *testing.T) {
	a, one, two := start(t)
	one.mustLook(t, a)
	two.mustLook(t, a)
	a.take()
	authority, first := bytes.Clone(a.secret.Data[authorityCert]), one.Expires()
	*one.clock = one.clock.Add(leafLifetime*2/3 - time.Hour)
	one.mustLook(t, a)
	if got := a.take(); got != "" {
		t.Errorf("writes before it is due: %s", got)
	}
	*one.clock = one.clock.Add(2 * time.Hour)
	a.beforeWrite = func() { two.mustLook(t, a) }
	one.mustLook(t, a)
	if got := a.take(); got != "PUT" {
		t.Errorf("writes: %s", got)
	}
	if !one.Expires().After(first) || !bytes.Equal(a.secret.Data[authorityCert], authority) {
		t.Errorf("expires %s, before %s", one.Expires(), first)
	}
	// After a year without a replica the certificate has expired.
	*one.clock = one.clock.Add(2 * leafLifetime)
	fresh := replica{NewOwn(one.core, one.admission, "injector", one.log, one.now), one.clock}
	fresh.mustLook(t, a)
	if got := a.take(); got != "PUT" || !bytes.Equal(a.secret.Data[authorityCert], authority) {
		t.Errorf("writes: %s", got)
	}
}

// A Secret that is deleted or broken comes back as it was, and so does the configuration.
func TestRepair(t *testing.T) {
	a, one, two := start(t)
	one.mustLook(t, a)
	two.mustLook(t, a)
	data := a.secret.Data
	for _, tt := range []struct {
		name   string
		damage func()
		want   string
	}{
		{"secret deleted", func() { a.secret = nil }, "POST"},
		{"secret emptied", func() { a.secret.Data = nil }, "PUT"},
		{"garbage", func() { a.secret.Data = map[string][]byte{authorityCert: []byte("x")} }, "PUT"},
		{"configuration emptied", func() { a.configuration.Webhooks[1].ClientConfig.CABundle = nil }, "PATCH"},
		{"another authority", func() { a.configuration.Webhooks[0].ClientConfig.CABundle = []byte("x") }, "PATCH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a.take()
			tt.damage()
			one.mustLook(t, a)
			two.mustLook(t, a)
			if got := a.take(); got != tt.want || !bytes.Equal(a.secret.Data[authorityCert], data[authorityCert]) {
				t.Errorf("writes: %s, want %s", got, tt.want)
			}
		})
	}
	// A certificate for another name, or of another authority, is replaced; the authority is kept.
	other, err := newPair("example.com", *one.clock)
	if err != nil {
		t.Fatal(err)
	}
	a.secret.Data = map[string][]byte{authorityCert: data[authorityCert], authorityKey: data[authorityKey], leafCert: other.data[leafCert], leafKey: other.data[leafKey]}
	a.take()
	one.mustLook(t, a)
	if got := a.take(); got != "PUT" {
		t.Errorf("writes: %s", got)
	}
}

// Somebody who replaces authority and certificate in the Secret is obeyed.
func TestSecretDecides(t *testing.T) {
	a, one, _ := start(t)
	one.mustLook(t, a)
	other, err := newPair(one.host(), *one.clock)
	if err != nil {
		t.Fatal(err)
	}
	a.secret.Data = other.data
	a.take()
	one.mustLook(t, a)
	if got := a.take(); got != "PATCH" || !one.current.Load().leaf.Leaf.Equal(other.leaf.Leaf) {
		t.Errorf("writes: %s", got)
	}
}

// Without the API server the certificate in memory is still served.
func TestWithoutAPIServer(t *testing.T) {
	a, one, _ := start(t)
	one.mustLook(t, a)
	a.mu.Lock()
	a.configuration.ResourceVersion = "2" // as long as it is read, nothing changes
	a.mu.Unlock()
	broken := newReplica(t, a, "http://127.0.0.1:1", one.clock)
	if err := broken.look(t.Context()); err == nil || broken.Ready() == nil {
		t.Error("ready without the API server")
	}
	one.core, one.admission = broken.core, broken.admission
	if err := one.look(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := one.Ready(); err != nil {
		t.Errorf("no longer ready: %v", err)
	}
}
