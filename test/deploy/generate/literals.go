package main

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// settings are the sidecar's variables that the policy computes.
var settings = map[string]string{
	"AWS_ROLE_ARN": `variables.roles.size() > 0 ? variables.roles[0] : ""`,
	"AWS_REGION":   "variables.region",
}

// computed are the fields that the policy computes, by the type of the value. VALUE is
// the value in the source.
var computed = map[string]string{
	"Object.spec.initContainers.image": "variables.image",
	"Object.spec.initContainers.env": `variables.settings.map(e, has(e.value)
  ? Object.spec.initContainers.env{name: e.name, value: e.value}
  : Object.spec.initContainers.env{name: e.name, valueFrom: Object.spec.initContainers.env.valueFrom{
      fieldRef: Object.spec.initContainers.env.valueFrom.fieldRef{fieldPath: "metadata.annotations['" + e.annotation + "']"}}})`,
	"Object.spec.initContainers.args":                                             `["link-local"] + variables.endpoints.map(endpoint, endpoint.address)`,
	"Object.spec.volumes.projected.sources.serviceAccountToken.audience":          `params.metadata.?annotations[?"eks.amazonaws.com/audience"].orValue(VALUE)`,
	"Object.spec.volumes.projected.sources.serviceAccountToken.expirationSeconds": `(variables.expirations + [VALUE])[0]`,
}

// endpointOf is the endpoint that needs a variable in every container except the sidecar.
var endpointOf = map[string]string{
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "ecs",
	"AWS_EC2_METADATA_DISABLED":              "imds",
}

// literals returns the sections of the policy.
func (s *shape) literals() (sections, error) {
	endpoints, err := s.endpointLiterals()
	if err != nil {
		return nil, err
	}
	settings, err := s.settingLiterals()
	if err != nil {
		return nil, err
	}
	env, err := s.envLiteral()
	if err != nil {
		return nil, err
	}
	region, err := s.regionLiteral()
	if err != nil {
		return nil, err
	}
	var labels, sysctls []string
	for i := 0; i < len(s.labels.Content); i += 2 {
		labels = append(labels, fmt.Sprintf("%q: %q,", s.labels.Content[i].Value, s.labels.Content[i+1].Value))
	}
	for _, sysctl := range s.sysctls.Content {
		sysctls = append(sysctls, fmt.Sprintf(`{"name": %q, "value": %q},`, field(sysctl, "name").Value, field(sysctl, "value").Value))
	}
	return sections{
		"endpoints":  endpoints,
		"settings":   settings,
		"app-env":    env,
		"region-env": region,
		"labels":     labels,
		"sysctls":    sysctls,
		"volume":     literal("Object.spec.volumes", s.volume),
		"sidecar":    literal("Object.spec.initContainers", s.sidecar),
		"link-local": literal("Object.spec.initContainers", s.linkLocal),
	}, nil
}

var listenVariable = regexp.MustCompile(`^SIDECAR_([A-Z]+)_LISTEN$`)

// endpointLiterals returns one entry for each endpoint. It fails if the init container
// does not add exactly their addresses, because the policy computes its arguments.
func (s *shape) endpointLiterals() (lines []string, err error) {
	all, err := variables(s.endpointSettings)
	if err != nil {
		return nil, err
	}
	args := []string{"link-local"}
	for _, v := range all {
		match := listenVariable.FindStringSubmatch(v.name)
		address, _, err := net.SplitHostPort(v.value)
		if match == nil || err != nil {
			return nil, fmt.Errorf("endpoints.yaml: the sidecar's variable %s=%s is not an endpoint's: %v", v.name, v.value, err)
		}
		args = append(args, address)
		lines = append(lines, fmt.Sprintf(`{"name": %q, "address": %q, "variable": %q, "value": %q},`, strings.ToLower(match[1]), address, v.name, v.value))
	}
	var got []string
	for _, arg := range field(s.linkLocal, "args").Content {
		got = append(got, arg.Value)
	}
	if !slices.Equal(got, args) {
		return nil, fmt.Errorf("endpoints.yaml: the arguments of irsa-sidecar-link-local are %q, want %q", got, args)
	}
	return lines, nil
}

func (s *shape) settingLiterals() (lines []string, err error) {
	all, err := variables(field(s.sidecar, "env"))
	if err != nil {
		return nil, err
	}
	missing := maps.Clone(settings)
	for _, v := range all {
		if v.annotation != "" {
			lines = append(lines, fmt.Sprintf(`{"name": %q, "annotation": %q},`, v.name, v.annotation))
			continue
		}
		value := strconv.Quote(v.value)
		if expression, ok := settings[v.name]; ok {
			value = expression
			delete(missing, v.name)
		}
		lines = append(lines, fmt.Sprintf(`{"name": %q, "value": %s},`, v.name, value))
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("pod.yaml: the sidecar lacks variables: %v", missing)
	}
	return lines, nil
}

// unlessSet are the variables that a container gets only if it has none of its group.
var unlessSet = [][]string{{"AWS_REGION", "AWS_DEFAULT_REGION"}, {"AWS_STS_REGIONAL_ENDPOINTS"}}

// regionLiteral returns those groups.
func (s *shape) regionLiteral() (lines []string, err error) {
	all, err := variables(s.env)
	if err != nil {
		return nil, err
	}
	for _, group := range unlessSet {
		var entries []string
		for _, v := range all {
			if slices.Contains(group, v.name) {
				value := strconv.Quote(v.value)
				if expression, ok := settings[strings.Replace(v.name, "DEFAULT_", "", 1)]; ok {
					value = expression
				}
				entries = append(entries, fmt.Sprintf(`{"name": %q, "value": %s}`, v.name, value))
			}
		}
		if len(entries) != len(group) {
			return nil, fmt.Errorf("pod.yaml: other containers do not have %v", group)
		}
		lines = append(lines, "["+strings.Join(entries, ", ")+"],")
	}
	return lines, nil
}

// envLiteral returns the environment of every other container.
func (s *shape) envLiteral() (lines []string, err error) {
	always, err := variables(s.env)
	if err != nil {
		return nil, err
	}
	always = slices.DeleteFunc(always, func(v variable) bool { return slices.Contains(slices.Concat(unlessSet...), v.name) })
	withEndpoint, err := variables(s.endpointEnv)
	if err != nil {
		return nil, err
	}
	var added []string
	replaced := map[string]string{} // the values that endpoints replace
	for _, v := range withEndpoint {
		endpoint, ok := endpointOf[v.name]
		if !ok {
			return nil, fmt.Errorf("endpoints.yaml: no endpoint is known for the variable %s", v.name)
		}
		if slices.ContainsFunc(always, func(a variable) bool { return a.name == v.name }) {
			replaced[v.name] = fmt.Sprintf("%q in variables.endpointNames ? %q : ", endpoint, v.value)
		} else {
			added = append(added, fmt.Sprintf(` + (%q in variables.endpointNames ? [{"name": %q, "value": %q}] : [])`, endpoint, v.name, v.value))
		}
	}
	lines = []string{"["}
	for _, v := range always {
		lines = append(lines, fmt.Sprintf(`  {"name": %q, "value": %s%q},`, v.name, replaced[v.name], v.value))
	}
	return append(lines, "]"+strings.Join(added, "")), nil
}

// width is the longest line of a value that is written on one line.
const width = 100

// literal returns a value as CEL, with the line breaks of the source. An object has the
// type's name, such as Object.spec.volumes.
func literal(typ string, node *yaml.Node) []string {
	if line := flat(typ, node); node.Kind == yaml.ScalarNode || computed[typ] != "" || node.Style&yaml.FlowStyle != 0 && len(line) <= width {
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
			item := literal(fieldType(typ, node.Content[i].Value), node.Content[i+1])
			item[0] = key(typ, node.Content[i].Value) + item[0]
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
	if expression := computed[typ]; expression != "" {
		return strings.Replace(expression, "VALUE", scalar(typ, node), 1)
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
