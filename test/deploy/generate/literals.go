package main

import (
	"errors"
	"fmt"
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
	all := sections{
		"endpoints":  endpoints,
		"app-env":    env,
		"region-env": region,
		"labels":     labels,
		"sysctls":    sysctls,
		"volume":     literal("Object.spec.volumes", s.volume),
		"sidecar":    literal("Object.spec.initContainers", s.withHook()),
		"link-local": literal("Object.spec.initContainers", s.linkLocal),
	}
	return all, s.settingLiterals(all)
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

// ofWebIdentity are the sidecar's variables that EKS Pod Identity replaces.
var ofWebIdentity = []string{"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}

// settingLiterals adds the sections with variables of the sidecar, and those that have the
// node's region.
func (s *shape) settingLiterals(all sections) error {
	env, err := variables(field(s.sidecar, "env"))
	if err != nil {
		return err
	}
	for name := range settings {
		if !slices.ContainsFunc(env, func(v variable) bool { return v.name == name }) {
			return fmt.Errorf("pod.yaml: the sidecar lacks the variable %s", name)
		}
	}
	for _, v := range env {
		section := "settings"
		if slices.Contains(ofWebIdentity, v.name) {
			section = "web-identity"
		}
		all[section] = append(all[section], v.literal()+",")
	}
	for section, env := range map[string]*yaml.Node{"pod-identity": s.podIdentity, "node": s.node, "node-env": s.nodeEnv} {
		vs, err := variables(env)
		if err != nil {
			return err
		}
		for _, v := range vs {
			all[section] = append(all[section], v.literal()+",")
		}
	}
	return s.checkPodIdentity()
}

// literal returns an entry of the policy's settings.
func (v variable) literal() string {
	if v.field != "" {
		return fmt.Sprintf(`{"name": %q, "field": %q}`, v.name, v.field)
	}
	value := strconv.Quote(v.value)
	if expression, ok := settings[v.name]; ok {
		value = expression
	}
	return fmt.Sprintf(`{"name": %q, "value": %s}`, v.name, value)
}

// checkPodIdentity fails if the volume with EKS Pod Identity differs in more than the
// audience, which the policy computes.
func (s *shape) checkPodIdentity() error {
	got, want := flat("Object.spec.volumes", s.podIdentityVolume), flat("Object.spec.volumes", s.volume)
	if strings.Replace(got, `orValue("pods.eks.amazonaws.com")`, `orValue("sts.amazonaws.com")`, 1) != want {
		return errors.New("pod-identity.yaml: the volume must differ from that of pod.yaml in the audience alone, and have pods.eks.amazonaws.com")
	}
	return nil
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
