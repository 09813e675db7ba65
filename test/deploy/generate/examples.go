package main

import (
	"bytes"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// examples returns the sections of the documents: a pod, and what endpoints add to it.
func (s *shape) examples() (sections, error) {
	sidecar := clean(s.sidecar)
	field(sidecar, "image").Value = s.image
	env := clean(s.env)
	for _, entry := range slices.Concat(field(sidecar, "env").Content, env.Content) {
		switch value := field(entry, "value"); field(entry, "name").Value {
		case "AWS_ROLE_ARN":
			value.Value, value.Style = s.role, yaml.DoubleQuotedStyle
		case "AWS_REGION", "AWS_DEFAULT_REGION":
			value.Value = s.region
		}
	}
	endpoints := clean(s.endpoints)
	field(field(endpoints, "initContainers").Content[0], "image").Value = s.image
	field(field(endpoints, "containers").Content[0], "name").Value = "app"

	var e encoder
	pod := slices.Concat([]string{
		"```yaml",
		"apiVersion: v1",
		"kind: Pod",
		"metadata:",
		"  name: example",
		"  labels:",
	}, e.lines(4, clean(s.labels)), []string{
		"spec:",
		"  serviceAccountName: example",
		"  automountServiceAccountToken: false",
		"  initContainers:",
	}, e.lines(4, sequence(sidecar)), []string{
		"  containers:",
		"    - name: app",
		"      image: registry.example.com/your-application:v1",
		"      env:",
	}, e.lines(8, env), []string{
		"  volumes:",
	}, e.lines(4, sequence(clean(s.volume))), []string{"```"})
	linkLocal := slices.Concat([]string{
		"```yaml",
		"metadata:",
		`  annotations: {irsa-sidecar/endpoints: "ecs,imds"} # for deploy/guard`,
		"spec:",
	}, e.lines(2, endpoints), []string{"```"})
	return sections{"pod": pod, "link-local": linkLocal}, e.err
}

func sequence(item *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{item}}
}

// clean returns a copy without the comments that have a line of their own: documents
// explain more than a manifest does.
func clean(node *yaml.Node) *yaml.Node {
	c := *node
	c.HeadComment, c.FootComment = "", ""
	c.Content = nil
	for _, item := range node.Content {
		c.Content = append(c.Content, clean(item))
	}
	return &c
}

// encoder encodes nodes and keeps the first error.
type encoder struct{ err error }

// lines returns a node's YAML, indented.
func (e *encoder) lines(indent int, node *yaml.Node) []string {
	var b bytes.Buffer
	if err := yaml.NewEncoderWithOptions(&b, &yaml.EncoderOptions{SeqIndent: yaml.WideSequenceStyle}).Encode(node); err != nil && e.err == nil {
		e.err = err
	}
	prefix := strings.Repeat(" ", indent)
	return strings.Split(prefix+strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n"+prefix), "\n")
}
