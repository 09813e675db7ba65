package main

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// preflight returns the pods of deploy/preflight: one with the sidecar, and one with endpoints
// too. The application asks for what the sidecar asks for, so that no policy refuses it alone.
func (s *shape) preflight() (sections, error) {
	examples, err := s.examples()
	if err != nil {
		return nil, err
	}
	var e encoder
	sidecar := clean(s.sidecar)
	app := slices.Concat(
		[]string{"      resources:"}, e.lines(8, field(sidecar, "resources")),
		[]string{"      securityContext:"}, e.lines(8, user(field(sidecar, "securityContext"), "1000")))
	var pod []string
	for _, line := range examples["pod"] {
		switch line {
		case "```yaml", "```", "  serviceAccountName: example":
			continue
		case "  name: example":
			line = "  generateName: irsa-sidecar-preflight-"
		case "      image: registry.example.com/your-application:v1":
			line = "      image: " + s.image
		case "  volumes:":
			pod = append(pod, app...)
		}
		pod = append(pod, line)
	}
	linkLocal := clean(s.linkLocal)
	field(linkLocal, "image").Value = s.image
	var endpoints []string
	for _, line := range pod {
		switch line {
		case "  labels:":
			endpoints = append(endpoints, `  annotations: {irsa-sidecar/endpoints: "ecs,imds"}`)
		case "  initContainers:":
			endpoints = append(endpoints, slices.Concat([]string{"  securityContext:", "    sysctls:"}, e.lines(6, clean(s.sysctls)),
				[]string{line}, e.lines(4, sequence(linkLocal)))...)
			continue
		case "      volumeMounts:":
			endpoints = append(endpoints, e.lines(8, clean(s.endpointSettings))...)
		}
		endpoints = append(endpoints, line)
	}
	return sections{"pod": pod, "endpoints": endpoints}, e.err
}

// user returns a copy of a security context with another user.
func user(context *yaml.Node, id string) *yaml.Node {
	c := clean(context)
	for _, key := range []string{"runAsUser", "runAsGroup"} {
		field(c, key).Value, field(c, key).LineComment = id, ""
	}
	return c
}
