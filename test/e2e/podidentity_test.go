//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"irsa-sidecar/test/standin"
)

const agentAddress = "169.254.170.23"

// agentEnv sets up the sidecar for EKS Pod Identity.
const agentEnv = `, env: [{name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "` + standin.AgentURL + `"}]`

// serveAgent gives the node an EKS Pod Identity agent, whose association is the service
// account example. It skips the test if the node already has one.
func (n *namespace) serveAgent() *standin.Agent {
	n.Helper()
	address := net.JoinHostPort(agentAddress, "80")
	if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		conn.Close()
		n.Skip("NOT RUN: the node has an EKS Pod Identity agent of its own")
	}
	ip(n.TB, "address", "add", agentAddress+"/32", "dev", "lo", "valid_lft", "300", "preferred_lft", "300")
	ipAtEnd(n.TB, "address", "del", agentAddress+"/32", "dev", "lo")
	ln, err := net.Listen("tcp", address)
	if err != nil {
		n.Fatal(err)
	}
	agent := standin.NewAgent(standin.NewIssuer("https://unused.example"), n.sts, n.role)
	agent.SetCluster(shared.issuer, &http.Client{Transport: discovery{}}, n.name, "example")
	server := &http.Server{Handler: agent, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(ln)
	n.Cleanup(func() { server.Close() })
	return agent
}

// With EKS Pod Identity a program with an SDK of 2019 gets the role of the association, from
// a sidecar of deploy/inject and of deploy/component. Not parallel: it changes the node.
func TestPodIdentity(t *testing.T) {
	needNode(t)
	n := newNamespace(t, "inject", "guard")
	agent := n.serveAgent()
	n.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: example, annotations: {irsa-sidecar/source: pod-identity}}\n")
	component := strings.NewReplacer("{name: example}", `{name: component, labels: {irsa-sidecar/inject: "true"}, annotations: {irsa-sidecar/source: pod-identity}}`, "app: example", "app: component").
		Replace(n.deployment("labels: {app: example}"))
	n.applyDeploy("resources: [settings.yaml, workload.yaml]\ncomponents: [../../component]\n", map[string]string{
		"workload.yaml": component,
		"settings.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: irsa-sidecar}\ndata: {image: %q, region: \"\", role: \"\"}\n", shared.image),
	})
	n.apply(n.deployment(injected))
	for _, name := range []string{"component", "example"} {
		p := n.awaitRunning("app=" + name)
		until(t, time.Minute, func() error {
			ids, err := n.identities(p.Metadata.Name)
			if err != nil || len(ids) == 0 {
				return fmt.Errorf("the application has printed %v, %v", ids, err)
			}
			for _, id := range ids {
				if !strings.HasPrefix(id.ARN, "arn:aws:sts::111122223333:assumed-role/"+n.name+"/eks-demo-example-") {
					t.Fatalf("the application of %s is %+v, want role %s", name, id, n.role)
				}
			}
			t.Logf("proved: the application of %s is %s", name, ids[0].ARN)
			return nil
		})
	}
	requests := agent.Requests()
	if len(requests) != 2 {
		t.Errorf("%d requests to the agent, want 2", len(requests))
	}
	for _, r := range requests {
		if r.Outcome != "" {
			t.Errorf("the agent answered %s", r.Outcome)
		}
	}
	n.checkIsHealthy(n.awaitRunning("app=example").Metadata.Name, "ok    agent       the EKS Pod Identity agent granted credentials until ")
	for _, r := range n.sts.Requests() {
		if r.Claims != nil {
			t.Errorf("a request to STS with a token of %s", r.Claims.Subject)
		}
	}
}

const (
	podIdentity = "irsa-sidecar/source: pod-identity"

	agentAccount = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent, annotations: {" + podIdentity + ", eks.amazonaws.com/role-arn: \"" + roleA + "\"}}\n"
)

func TestGuardOfPodIdentity(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "inject", "guard", privileged)
	n.apply(agentAccount)
	n.check(t, []admission{
		{name: "injected by the pod's annotation", account: "default", label: "true", annotations: podIdentity, sidecar: true},
		{name: "in place of the service account's role", label: "true", annotations: podIdentity, sidecar: true},
		{name: "injected by the service account's annotation", account: "agent", label: "true", sidecar: true},
		{name: "the pod's annotation takes precedence", account: "agent", label: "true", annotations: "irsa-sidecar/source: web-identity", sidecar: true},
		{name: "neither role nor source", account: "default", label: "true", refused: []string{"the sidecar has no role", "annotate with irsa-sidecar/source: pod-identity"}},
		{name: "a duration", account: "agent", label: "true", annotations: "irsa-sidecar/duration: 30m", refused: []string{"annotation irsa-sidecar/duration is for a call to STS, which EKS Pod Identity does not make, so the sidecar would not start: remove the annotation"}},
		{name: "a session policy", account: "default", label: "true", annotations: podIdentity + `, irsa-sidecar/session-policy-arns: "arn:aws:iam::aws:policy/A"`, refused: []string{"annotation irsa-sidecar/session-policy-arns is for a call to STS"}},
		{name: "its token in another container", account: "agent", label: "true", containers: "{name: app, image: none, volumeMounts: [{name: token, mountPath: /t}]}", spec: tokenVolume(standin.AgentAudience), refused: []string{"a token for STS or EKS Pod Identity is mounted in container app"}},
		{name: "its token beside web identity", label: "true", containers: "{name: app, image: none, volumeMounts: [{name: token, mountPath: /t}]}", spec: tokenVolume(standin.AgentAudience), refused: []string{"a token for STS or EKS Pod Identity is mounted in container app"}},
	})
}

func TestGuardAloneOfPodIdentity(t *testing.T) {
	t.Parallel()
	n := newNamespace(t, "guard", privileged)
	n.apply(agentAccount)
	n.check(t, []admission{
		{name: "by hand, annotated", label: "true", annotations: podIdentity, spec: nativeSidecar(agentEnv), sidecar: true},
		{name: "by hand, settled by a variable", label: "true", annotations: podIdentity, sidecar: true,
			spec: nativeSidecar(`, env: [{name: AWS_ROLE_ARN, value: "` + roleA + `"}, {name: SIDECAR_SOURCE, value: pod-identity}, {name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: x}]`)},
		{name: "by hand, settled by a flag", label: "true", annotations: podIdentity, spec: nativeSidecar(agentEnv + `, args: [--source, pod-identity]`), sidecar: true},
		{name: "settled for web identity, without a role", label: "true", spec: nativeSidecar(agentEnv + `, args: [--source=web-identity]`), refused: []string{"the sidecar has no role"}},
		{name: "annotated, but with a role", label: "true", annotations: podIdentity, spec: nativeSidecar(roleEnv), refused: []string{`the pod's annotation irsa-sidecar/source is "pod-identity", but the sidecar is set up for web identity: with deploy/component, set the annotation of the workload to the same`}},
		{name: "annotated for web identity", label: "true", annotations: "irsa-sidecar/source: web-identity", spec: nativeSidecar(agentEnv), refused: []string{`irsa-sidecar/source is "web-identity", but the sidecar is set up for EKS Pod Identity`}},
		{name: "annotated service account, sidecar with a role", account: "agent", label: "true", spec: nativeSidecar(roleEnv), refused: []string{`service account agent has the annotation irsa-sidecar/source: "pod-identity", but the sidecar is set up for web-identity`}},
		{name: "annotated service account", account: "agent", label: "true", spec: nativeSidecar(agentEnv), sidecar: true},
	})
}

// Without a region in the ConfigMap the pods have that of their node. Not parallel: it
// changes the node.
func TestRegionOfNode(t *testing.T) {
	needNode(t)
	n := newNamespace(t, "inject-node", "guard", privileged)
	n.trust()
	for _, label := range []string{"topology.kubernetes.io/region", "topology.kubernetes.io/zone"} {
		value := map[bool]string{true: "eu-west-1a", false: "eu-west-1"}[strings.HasSuffix(label, "zone")]
		if _, err := kubectl(t.Context(), "", "label", "node", "--all", label+"="+value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := kubectl(context.Background(), "", "label", "node", "--all", label+"-"); err != nil {
				t.Error(err)
			}
		})
	}
	n.apply(n.serviceAccount() + strings.Replace(n.deployment(withEndpoints), "env: [{name: AWS_REGION, value: eu-west-1}]", "", 1))
	p := n.awaitRunning("app=example")
	n.awaitIdentity(p.Metadata.Name)
	if got, err := n.exec(p.Metadata.Name, "/probe", "http://"+metadataAddress+"/latest/meta-data/placement/availability-zone"); err != nil || strings.TrimSpace(got) != "200 eu-west-1a" {
		t.Errorf("the zone is %q, %v, want that of the node", got, err)
	}
	var created struct{ Spec json.RawMessage }
	if err := kubectlJSON(t.Context(), &created, "-n", n.name, "get", "pod", p.Metadata.Name, "-o", "json"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(created.Spec), `metadata.labels['topology.kubernetes.io/region']`); n != 3 {
		t.Errorf("%d variables with the node's region, want that of the sidecar and two of the application: %s", n, created.Spec)
	}
}
