package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const namespaceLabel = "namespace-label"

// withDefaults adds the defaults of deploy/settings/kustomization.yaml, each of which is a
// patch of the ConfigMap. A setting that is unknown there is an error.
func withDefaults(settings Settings, kustomization []byte) (Settings, error) {
	var k struct{ Patches []struct{ Patch string } }
	if err := yaml.Unmarshal(kustomization, &k); err != nil {
		return nil, err
	}
	all := Settings{}
	for _, p := range k.Patches {
		var configMap struct{ Data Settings }
		if err := yaml.Unmarshal([]byte(p.Patch), &configMap); err != nil {
			return nil, err
		}
		maps.Copy(all, configMap.Data)
	}
	for key := range settings {
		if _, ok := all[key]; !ok && key != "image" && key != "region" {
			return nil, fmt.Errorf("unknown setting %s", key)
		}
	}
	maps.Copy(all, settings)
	return all, nil
}

// The places that settings have in the policy, as in the replacements of
// deploy/inject/settings: a whole string literal, or a value of the map defaults.
var (
	literal = regexp.MustCompile(`^(r?)("|''')([^"]*)("|''')$`)
	entry   = regexp.MustCompile(`"([a-z-]+)": "([^"]*)"`)
)

// set writes settings into the policy, like the replacements of kustomize.
func set(policy *admissionv1.MutatingAdmissionPolicy, settings Settings) error {
	var problems []error
	found := map[string]bool{}
	for i := range policy.Spec.Variables {
		v := &policy.Spec.Variables[i]
		switch v.Name {
		case "image", "region", "env":
			found[v.Name] = true
			problems = append(problems, setLiteral(v, settings))
		case "defaults":
			v.Expression = entry.ReplaceAllStringFunc(v.Expression, func(text string) string {
				key, value := entry.FindStringSubmatch(text)[1], entry.FindStringSubmatch(text)[2]
				found[key] = true
				if set, ok := settings[key]; ok {
					value = set
				}
				problems = append(problems, checkValue(key, value))
				return fmt.Sprintf(`"%s": "%s"`, key, value)
			})
		}
	}
	if label, ok := settings[namespaceLabel]; ok {
		found[namespaceLabel] = true
		selector := policy.Spec.MatchConstraints.NamespaceSelector
		if selector == nil || len(selector.MatchExpressions) != 1 || selector.MatchExpressions[0].Operator != metav1.LabelSelectorOpExists {
			problems = append(problems, errors.New("no place for "+namespaceLabel))
		} else {
			selector.MatchExpressions[0].Key = label
		}
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if !found[key] && key != "warnings" { // of the guard
			problems = append(problems, fmt.Errorf("no place for the setting %s", key))
		}
	}
	for _, key := range []string{"image", "region"} {
		if !found[key] {
			problems = append(problems, fmt.Errorf("no variable %s", key))
		}
	}
	return errors.Join(problems...)
}

// setLiteral sets a variable that is a string literal. Its name in capitals is what the policy
// has before.
func setLiteral(v *admissionv1.Variable, settings Settings) error {
	parts := literal.FindStringSubmatch(v.Expression)
	if parts == nil || parts[2] != parts[4] {
		return fmt.Errorf("variable %s is %s, not a string", v.Name, v.Expression)
	}
	value, ok := settings[v.Name]
	if !ok {
		value = parts[3]
	}
	v.Expression = parts[1] + parts[2] + value + parts[4]
	switch {
	case value == strings.ToUpper(v.Name):
		return fmt.Errorf("no %s is set", v.Name)
	case v.Name == "env" && strings.Contains(value, "'''"):
		return fmt.Errorf("the env is %q", value)
	case v.Name != "env":
		return checkValue(v.Name, value)
	}
	return nil
}

// checkValue refuses values that would end the string literal. The policy itself refuses others.
func checkValue(key, value string) error {
	if strings.ContainsAny(value, "\"\\\n ") || value == "" && key != "region" {
		return fmt.Errorf("the %s is %q", key, value)
	}
	return nil
}
