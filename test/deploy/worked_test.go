package deploy

import (
	"os"
	"path/filepath"
	"testing"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The chart's values and the service account of the example for Harbor belong together, and
// the registry gets no keys. Unknown values are ignored by charts, silently.
func TestHarborValues(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "examples", "harbor", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Persistence struct {
			ImageChartStorage struct {
				Type string
				S3   struct{ Region, Bucket string }
			}
		}
		Registry struct {
			ServiceAccountName        string
			PodLabels, PodAnnotations map[string]string
		}
	}
	if err := yaml.UnmarshalStrict(b, &values); err != nil {
		t.Fatal(err)
	}
	account, ok := build(t, filepath.Join(root, "examples", "harbor"))[0].(*core.ServiceAccount)
	if !ok || account.Name != values.Registry.ServiceAccountName {
		t.Errorf("the registry has the service account %q, the example creates %v", values.Registry.ServiceAccountName, account)
	}
	if values.Registry.PodLabels["irsa-sidecar/inject"] != "true" || values.Registry.PodAnnotations["irsa-sidecar/endpoints"] != "imds" {
		t.Errorf("the registry's pods have the labels %v and the annotations %v", values.Registry.PodLabels, values.Registry.PodAnnotations)
	}
}
