package main

import (
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// computed are the fields that the policy computes, by the type of the value. VALUE is
// the value in the source.
var computed = map[string]string{
	"Object.spec.initContainers.image": "variables.image,\nimagePullPolicy: variables.container[\"image-pull-policy\"].replace(\"none\", \"\")",
	"Object.spec.initContainers.env": `variables.sidecarEnv.map(e, has(e.value)
  ? Object.spec.initContainers.env{name: e.name, value: e.value}
  : Object.spec.initContainers.env{name: e.name, valueFrom: Object.spec.initContainers.env.valueFrom{
      fieldRef: Object.spec.initContainers.env.valueFrom.fieldRef{fieldPath: e.field}}})`,
	"Object.spec.initContainers.resources":                                        `Object.spec.initContainers.resources{requests: variables.resources[0], limits: variables.resources[1]}`,
	"Object.spec.initContainers.securityContext.runAsUser":                        `int(variables.container["uid"])`,
	"Object.spec.initContainers.securityContext.runAsGroup":                       `int(variables.container["gid"])`,
	"Object.spec.initContainers.args":                                             `["link-local"] + variables.endpoints.map(endpoint, endpoint.address)`,
	"Object.spec.volumes.projected.sources.serviceAccountToken.audience":          `variables.podIdentity ? "pods.eks.amazonaws.com" : params.metadata.?annotations[?"eks.amazonaws.com/audience"].orValue(VALUE)`,
	"Object.spec.volumes.projected.sources.serviceAccountToken.expirationSeconds": `(variables.expirations + [VALUE])[0]`,
}

// compute returns the expression for a field that the policy computes, or "". The
// container that adds addresses keeps its user, root.
func compute(typ string, node *yaml.Node) string {
	if strings.HasPrefix(typ, "Object.spec.initContainers.securityContext.runAs") && node.Value == "0" {
		return ""
	}
	return strings.Replace(computed[typ], "VALUE", scalar(typ, node), 1)
}

// unset are the conditions under which the policy leaves fields out, by the type of the value.
var unset = map[string]string{
	"Object.spec.initContainers.startupProbe": `variables.container["startup"] == "hook"`,
	"Object.spec.initContainers.lifecycle":    `variables.container["startup"] != "hook"`,
}

// width is the longest line of a value that is written on one line.
const width = 100

// literal returns a value as CEL, with the line breaks of the source. An object has the
// type's name, such as Object.spec.volumes.
func literal(typ string, node *yaml.Node) []string {
	if line := flat(typ, node); node.Kind == yaml.ScalarNode || compute(typ, node) != "" || node.Style&yaml.FlowStyle != 0 && len(line) <= width {
		return strings.Split(line, "\n")
	}
	if node.Kind == yaml.SequenceNode && len(node.Content) == 1 {
		lines := literal(typ, node.Content[0])
		lines[0] = "[" + lines[0]
		lines[len(lines)-1] += "]"
		return lines
	}
	var items [][]string
	open, end := "[", "]"
	if node.Kind == yaml.SequenceNode {
		for _, item := range node.Content {
			items = append(items, literal(typ, item))
		}
	} else {
		open, end = typ+"{", "}"
		if isMap(typ) {
			open = "{"
		}
		for i := 0; i < len(node.Content); i += 2 {
			name, of := node.Content[i].Value, fieldType(typ, node.Content[i].Value)
			item := literal(of, node.Content[i+1])
			if condition, ok := unset[of]; ok {
				item[0] = "?" + key(typ, name) + condition + " ? optional.none() : optional.of(" + item[0]
				item[len(item)-1] += ")"
			} else {
				item[0] = key(typ, name) + item[0]
			}
			items = append(items, item)
		}
	}
	lines := []string{open}
	for i, item := range items {
		if i < len(items)-1 {
			item[len(item)-1] += ","
		}
		for _, line := range item {
			lines = append(lines, "  "+line)
		}
	}
	return append(lines, end)
}

// flat returns a value as CEL on one line.
func flat(typ string, node *yaml.Node) string {
	if expression := compute(typ, node); expression != "" {
		return expression
	}
	var items []string
	switch node.Kind {
	case yaml.SequenceNode:
		for _, item := range node.Content {
			items = append(items, flat(typ, item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			items = append(items, key(typ, node.Content[i].Value)+flat(fieldType(typ, node.Content[i].Value), node.Content[i+1]))
		}
		object := typ
		if isMap(typ) {
			object = ""
		}
		return object + "{" + strings.Join(items, ", ") + "}"
	}
	return scalar(typ, node)
}

func scalar(typ string, node *yaml.Node) string {
	if node.Tag == yaml.NodeTagString || typ == "" {
		return strconv.Quote(node.Value)
	}
	return node.Value
}

// isMap reports whether a field is a map of strings and not an object.
func isMap(typ string) bool {
	return strings.HasSuffix(typ, ".requests") || strings.HasSuffix(typ, ".limits")
}

// fieldType returns the type of an object's field, or "" for a map's value.
func fieldType(typ, name string) string {
	if isMap(typ) {
		return ""
	}
	return typ + "." + name
}

func key(typ, name string) string {
	if isMap(typ) {
		return strconv.Quote(name) + ": "
	}
	return name + ": "
}
