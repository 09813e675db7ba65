package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// A kustomization is a directory below kustomize/, and becomes a template that renders nothing
// unless the condition is true.
type kustomization struct{ directory, condition string }

var templates = []kustomization{
	{"inject", ".Values.inject.enabled"},
	{"injector", ".Values.injector.enabled"},
	{"guard", ".Values.guard.enabled"},
	{"monitoring", ".Values.monitoring.enabled"},
	{"injector-monitoring", "and .Values.monitoring.enabled .Values.injector.enabled"},
}

func (k kustomization) render() (string, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("kustomize", k.directory))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{{- /* generated from deploy/, do not edit */}}\n{{- if %s }}\n", k.condition)
	for _, resource := range built.Resources() {
		text, err := object(resource.YNode())
		if err != nil {
			return "", err
		}
		b.WriteString("---\n" + text)
	}
	b.WriteString("{{- end }}\n")
	return b.String(), nil
}

// object returns the template of an object.
func object(node *yaml.Node) (string, error) {
	var expressions []string
	replaceScalars(node, false, &expressions)
	b, err := yaml.Marshal(node)
	if err != nil {
		return "", err
	}
	// What Prometheus or Grafana expands is text for Helm.
	text := strings.ReplaceAll(string(b), "{{", `{{ "{{" }}`)
	for i, expression := range expressions {
		text = strings.Replace(text, mark(i), "{{ "+expression+" | toJson }}", 1)
	}
	if strings.Contains(text, "<<") {
		return "", fmt.Errorf("an expression is not in a value of its own:\n%s", text)
	}
	return text, nil
}

// mark stands for a value until the YAML is written, and is written without quotation marks.
func mark(i int) string { return fmt.Sprintf("EXPRESSION-%d-", i) }

var placeholder = regexp.MustCompile(`<<(.+?)>>`)

// replaceScalars replaces each value that has placeholders by a mark, and appends its expression.
// What JSON quotes is a value of YAML too, whatever the setting is. A key just loses its marks.
func replaceScalars(node *yaml.Node, isKey bool, expressions *[]string) {
	for i, child := range node.Content {
		isKey := node.Kind == yaml.MappingNode && i%2 == 0
		replaceScalars(child, isKey, expressions)
	}
	if node.Kind != yaml.ScalarNode || !strings.Contains(node.Value, "<<") {
		return
	}
	if found := placeholder.FindStringSubmatch(node.Value); isKey && found != nil {
		node.Value = found[1]
		return
	}
	*expressions = append(*expressions, expression(node.Value))
	*node = yaml.Node{Kind: yaml.ScalarNode, Value: mark(len(*expressions) - 1)}
}

// expression returns the template's expression for a value. One that is nothing but a placeholder
// keeps its type.
func expression(value string) string {
	found := placeholder.FindAllStringSubmatch(value, -1)
	if len(found) == 1 && found[0][0] == value {
		return found[0][1]
	}
	format := placeholder.ReplaceAllLiteralString(strings.ReplaceAll(value, "%", "%%"), "%v")
	var arguments strings.Builder
	for _, f := range found {
		arguments.WriteString(" (" + f[1] + ")")
	}
	return fmt.Sprintf("printf %q%s", format, arguments.String())
}
