package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	current = cluster{"v1.37.2", servesPolicies}
	older   = cluster{"v1.34.9-eks-0123abc", "v1/Pod"}
)

// What is missing is an error that says so. Several problems are one error.
func TestProblems(t *testing.T) {
	const (
		image    = "image.repository is missing: "
		region   = "region is missing: "
		injector = "injector.image.repository is missing: "
		policies = "this cluster (Kubernetes v1.34.9-eks-0123abc) does not serve MutatingAdmissionPolicy, which inject needs (1.36 and later): use the injector"
	)
	for _, tt := range []struct {
		name, values string
		cluster      cluster
		want         []string
	}{
		{"image and region", "", current, []string{image, region}},
		{"image", "region: eu-west-1", current, []string{image}},
		{"region", "image: {repository: a}", current, []string{region}},
		{"the injector's image", images + "injector: {enabled: true}", current, []string{injector}},
		{"the injector's region", "inject: {enabled: false}\ninjector: {enabled: true}\nimage: {repository: a}", older, []string{region, injector}},
		{"no such policies", images, older, []string{policies}},
		{"no such policies, by the version", images, cluster{"v1.34.9-eks-0123abc", ""}, []string{policies}},
		{"nothing of it", "", older, []string{image, region, policies}},
		{"no region of nodes", injectorValues + "image: {repository: a}\nregion: \"\"", older, []string{"region is \"\", but Kubernetes v1.34.9-eks-0123abc does not copy it from the node"}},
		{"nothing", "inject: {enabled: false}\nguard: {enabled: false}", current, []string{"nothing is enabled: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := render(t, tt.values, "irsa-sidecar", tt.cluster)
			if err == nil {
				t.Fatal("no error")
			}
			if n := strings.Count(err.Error(), "\n- "); n != len(tt.want) {
				t.Errorf("%d problems, want %d", n, len(tt.want))
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), "\n- "+want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

// A value that does not exist, or cannot be right, is an error that names it.
func TestSchema(t *testing.T) {
	for _, tt := range []struct{ name, values, want string }{
		{"a typo", "imaeg: {}", "additional properties 'imaeg' not allowed"},
		{"a typo below", "guard: {warning: Deny}", "additional properties 'warning' not allowed"},
		{"a typo in resources", "resources: {limits: {memroy: 1Mi}}", "additional properties 'memroy' not allowed"},
		{"a boolean for the guard", "guard: true", "'/guard'"},
		{"an action", "guard: {warnings: deny}", "'/guard/warnings'"},
		{"a failure policy", "inject: {failurePolicy: fail}", "'/inject/failurePolicy'"},
		{"a quantity", "resources: {limits: {memory: 64MB}}", "'/resources/limits/memory'"},
		{"a fraction", "resources: {limits: {cpu: 0.5}}", "'/resources/limits/cpu'"},
		{"a user id", "uid: 0", "'/uid'"},
		{"no user id", "uid: null", "missing property 'uid'"},
		{"the end of a string in CEL", `env: {A: "'''"}`, "'/env/A'"},
		{"two lines", `env: {A: "b\nC=d"}`, "'/env/A'"},
		{"a space at the end, which the policy would take away", `env: {A: "b "}`, "'/env/A'"},
		{"the name of a variable", `env: {"A B": c}`, "'A B'"},
		{"quotation marks", `image: {repository: 'a"'}`, "'/image/repository'"},
		{"a digest in the repository", "image: {repository: 'a@sha256:0'}", "'/image/repository'"},
		{"a tag in the repository", "image: {repository: 'registry.example.com/a:v1'}", "'/image/repository'"},
		{"a slash after the repository", "image: {repository: registry.example.com/a/}", "'/image/repository'"},
		{"a URL", "image: {repository: 'https://registry.example.com/a'}", "'/image/repository'"},
		{"a digest for a tag", "image: {tag: 'sha256:0'}", "'/image/tag'"},
		{"half a digest", "injector: {image: {tag: 'v1@sha256:0'}}", "'/injector/image/tag'"},
		{"not a region", "region: Ireland", "'/region'"},
		{"no values", "namespaceSelector: {matchExpressions: [{key: a, operator: NotIn}]}", "missing property 'values'"},
		{"values of Exists", "namespaceSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}", "/matchExpressions/0/values'"},
		{"a slash at the end", "monitoring: {repository: https://git.example.com/}", "'/monitoring/repository'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := render(t, tt.values, "irsa-sidecar", current)
			if err == nil || !strings.Contains(err.Error(), "specifications of the schema") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What is right is not refused.
func TestNoProblem(t *testing.T) {
	for _, tt := range []struct {
		name, values string
		cluster      cluster
	}{
		{"helm template", images, cluster{"v1.37.0", ""}},
		{"guard and monitoring alone need no image", "inject: {enabled: false}\nmonitoring: {enabled: true}", older},
		{"an image with a port", "image: {repository: 'localhost:5000/a/b__c.d-e', tag: 'v1@sha256:" + strings.Repeat("0", 64) + "'}\nregion: us-gov-west-1", current},
		{"the node's region", injectorValues + "image: {repository: a}\nregion: \"\"", cluster{"v1.35.4-eks-0123abc", "v1/Pod"}},
		{"no region, but an STS endpoint", injectorValues + "image: {repository: a}\nregion: \"\"\nenv: {AWS_ENDPOINT_URL_STS: 'https://minio.example.com'}", older},
		{"globals and condition of a parent chart", images + "global: {a: b}\nenabled: true", current},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := render(t, tt.values, "irsa-sidecar", tt.cluster); err != nil {
				t.Error(err)
			}
		})
	}
}

// The notes say what is next, which depends on the values and the cluster.
func TestNotes(t *testing.T) {
	const (
		next      = "kubectl label serviceaccount NAME irsa-sidecar/inject=true"
		namespace = "kubectl label namespace NAMESPACE irsa-sidecar/service-accounts=true"
		unguarded = "WARNING: without the guard"
		served    = "set inject.enabled=true too"
		leave     = "injector.enabled=false."
		scrape    = "scrape port 9440"
		labels    = "set monitoring.labels"
		component = "deploy/component"
	)
	for _, tt := range []struct {
		name, values string
		cluster      cluster
		want         []string
	}{
		{"inject", images, current, []string{next}},
		{"inject without the guard", images + "guard: {enabled: false}", current, []string{next, unguarded}},
		{"injector", images + injectorValues, older, []string{next, namespace, scrape}},
		{"injector, monitored", images + injectorValues + "monitoring: {enabled: true}", older, []string{next, namespace, labels}},
		{"injector after an upgrade", images + injectorValues, current, []string{next, namespace, served, leave, scrape}},
		{"both", images + injectorValues + "inject: {enabled: true}", current, []string{next, leave, scrape}},
		{"guard alone", "inject: {enabled: false}", older, []string{component}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, notes, err := render(t, tt.values, "irsa-sidecar", tt.cluster)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{next, namespace, unguarded, served, leave, scrape, labels, component} {
				if got, want := strings.Contains(notes, text), slices.Contains(tt.want, text); got != want {
					t.Errorf("%q is there: %v, want %v, in\n%s", text, got, want, notes)
				}
			}
		})
	}
}

// With a registry the images need not be set, and have the version's tag.
func TestRegistry(t *testing.T) {
	files, err := chart("v1.2.3-rc.1", "registry.example.org/team")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"Chart.yaml":  {"\nversion: 1.2.3-rc.1\n", "\nappVersion: v1.2.3-rc.1\n"},
		"values.yaml": {"repository: registry.example.org/team/irsa-sidecar\n", "repository: registry.example.org/team/irsa-sidecar-injector\n"},
	} {
		for _, want := range want {
			if !strings.Contains(string(files[name]), want) {
				t.Errorf("%s has no %q", name, want)
			}
		}
	}
	for _, version := range []string{"", "1.2.3", "v1.2", "v1.2.3\n", "v01.2.3", "v1.2.3-", "v1.2.3-01", "v1.2.3-rc..1"} {
		if _, err := chart(version, ""); err == nil {
			t.Errorf("no error for version %q", version)
		}
	}
}

// The chart has a value for each optional key of the ConfigMap.
func TestEveryKeyIsAValue(t *testing.T) {
	keys := regexp.MustCompile(`labelSelector: "!([a-z-]+)"`)
	defaults, err := os.ReadFile("../../deploy/settings/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile("kustomize/settings/irsa-sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := keys.FindAllStringSubmatch(string(defaults), -1)
	if len(found) == 0 {
		t.Fatal("deploy/settings has no keys")
	}
	for _, key := range found {
		if key[1] != "namespace-label" && !strings.Contains(string(settings), "\n  "+key[1]+": <<") {
			t.Errorf("the chart has no value for %s", key[1])
		}
	}
}
