package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// readDockerfile returns what the last stage of a Dockerfile says of an image, so that it is
// written only there. It knows no more than our Dockerfiles have, and refuses the rest.
func readDockerfile(name string, args map[string]string) (v1.Config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return v1.Config{}, err
	}
	_, last, ok := cutLast(string(text), "\nFROM scratch\n")
	if !ok {
		return v1.Config{}, fmt.Errorf("%s: no stage FROM scratch", name)
	}
	config := v1.Config{Labels: map[string]string{}}
	for line := range strings.Lines(last) {
		if err := instruction(&config, strings.TrimSpace(line), args); err != nil {
			return v1.Config{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return config, nil
}

func instruction(config *v1.Config, line string, args map[string]string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case word == "" || word == "#" || line == "COPY --from=build /out /":
		return nil
	case word == "ARG":
		name, _, _ := strings.Cut(rest, "=")
		if args[name] == "" {
			return fmt.Errorf("no value for %s", name)
		}
		return nil
	case word == "USER":
		config.User = rest
		return nil
	case word == "ENTRYPOINT":
		return json.Unmarshal([]byte(rest), &config.Entrypoint)
	case word == "LABEL":
		key, quoted, _ := strings.Cut(rest, "=")
		value, err := strconv.Unquote(quoted)
		config.Labels[key] = os.Expand(value, func(name string) string { return args[name] })
		return err
	}
	return fmt.Errorf("cannot carry out %q", line)
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}
