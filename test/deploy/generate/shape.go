package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// shape is the source: what the Component adds to a pod, and example settings.
type shape struct {
	labels             *yaml.Node
	sidecar, linkLocal *yaml.Node // containers
	hook               *yaml.Node // the sidecar's lifecycle in place of its startup probe
	volume             *yaml.Node
	env                *yaml.Node // of every other container
	endpoints          *yaml.Node // the additional spec: sysctls, containers
	sysctls            *yaml.Node
	endpointSettings   *yaml.Node // the sidecar's additional env
	endpointEnv        *yaml.Node // the additional env of every other container
	podIdentity        *yaml.Node // the sidecar's env with EKS Pod Identity, in place of sourceSettings
	podIdentityVolume  *yaml.Node
	node, nodeEnv      *yaml.Node // the env of the sidecar and of every other container with the node's region

	image, region, role string
}

func readShape(root string) (*shape, error) {
	dir := filepath.Join(root, "deploy", "component", "sidecar")
	var s shape
	for _, source := range []struct {
		file  string
		parts map[**yaml.Node][]string
	}{
		{filepath.Join(dir, "pod.yaml"), map[**yaml.Node][]string{
			&s.labels:  {"template", "metadata", "labels"},
			&s.sidecar: {"template", "spec", "initContainers", "[name=irsa-sidecar]"},
			&s.volume:  {"template", "spec", "volumes", "[name=irsa-sidecar-token]"},
			&s.env:     {"template", "spec", "containers", "0", "env"},
		}},
		{filepath.Join(dir, "hook.yaml"), map[**yaml.Node][]string{
			&s.hook: {"template", "spec", "initContainers", "[name=irsa-sidecar]", "lifecycle"},
		}},
		{filepath.Join(dir, "endpoints.yaml"), map[**yaml.Node][]string{
			&s.endpoints:        {"template", "spec"},
			&s.sysctls:          {"template", "spec", "securityContext", "sysctls"},
			&s.linkLocal:        {"template", "spec", "initContainers", "[name=irsa-sidecar-link-local]"},
			&s.endpointSettings: {"template", "spec", "initContainers", "[name=irsa-sidecar]", "env"},
			&s.endpointEnv:      {"template", "spec", "containers", "0", "env"},
		}},
		{filepath.Join(dir, "pod-identity.yaml"), map[**yaml.Node][]string{
			&s.podIdentity:       {"template", "spec", "initContainers", "[name=irsa-sidecar]", "env"},
			&s.podIdentityVolume: {"template", "spec", "volumes", "[name=irsa-sidecar-token]"},
		}},
		{filepath.Join(dir, "node.yaml"), map[**yaml.Node][]string{
			&s.node:    {"template", "spec", "initContainers", "[name=irsa-sidecar]", "env"},
			&s.nodeEnv: {"template", "spec", "containers", "0", "env"},
		}},
	} {
		object, err := readYAML(source.file)
		if err != nil {
			return nil, err
		}
		for part, path := range source.parts {
			found, err := object.Pipe(yaml.Lookup(path...))
			if err != nil || found == nil {
				return nil, fmt.Errorf("%s: no %v: %v", source.file, path, err)
			}
			*part = found.YNode()
		}
	}
	settings, err := readYAML(filepath.Join(root, "deploy", "examples", "settings", "irsa-sidecar.yaml"))
	if err != nil {
		return nil, err
	}
	data := settings.GetDataMap()
	s.image, s.region, s.role = data["image"], data["region"], data["role"]
	return &s, nil
}

func readYAML(file string) (*yaml.RNode, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return yaml.Parse(string(b))
}

// withHook returns the sidecar with both its startup probe and its hook.
func (s *shape) withHook() *yaml.Node {
	both := *s.sidecar
	both.Content = nil
	for i := 0; i+1 < len(s.sidecar.Content); i += 2 {
		both.Content = append(both.Content, s.sidecar.Content[i:i+2]...)
		if s.sidecar.Content[i].Value == "startupProbe" {
			both.Content = append(both.Content, yaml.NewStringRNode("lifecycle").YNode(), s.hook)
		}
	}
	return &both
}

// field returns a mapping's value for a key, or nil.
func field(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// A variable is an entry of a container's env, with a value or the path of a field.
type variable struct{ name, value, field string }

// variables returns the entries of an env.
func variables(env *yaml.Node) (all []variable, err error) {
	for _, entry := range env.Content {
		name, value := field(entry, "name"), field(entry, "value")
		path, err := yaml.NewRNode(entry).Pipe(yaml.Lookup("valueFrom", "fieldRef", "fieldPath"))
		switch {
		case name == nil || err != nil:
			return nil, fmt.Errorf("line %d: no name: %v", entry.Line, err)
		case value != nil:
			all = append(all, variable{name: name.Value, value: value.Value})
		case path != nil:
			all = append(all, variable{name: name.Value, field: path.YNode().Value})
		default:
			return nil, fmt.Errorf("line %d: %s has neither a value nor a field", entry.Line, name.Value)
		}
	}
	return all, nil
}
