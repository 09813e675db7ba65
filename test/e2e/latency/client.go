package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
)

// client talks to the API server directly: kubectl or its proxy would take longer than
// what is measured.
type client struct {
	http  *http.Client
	url   string
	token string
}

// connect reads the current context of the kubeconfig, which must have a client
// certificate or a token.
func connect(ctx context.Context) (*client, error) {
	out, err := exec.CommandContext(ctx, "kubectl", "config", "view", "--raw", "--minify", "--flatten", "-o", "json").Output()
	if err != nil {
		return nil, fmt.Errorf("kubectl config view: %w", err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
				Token       string
			}
		}
	}
	if err := json.Unmarshal(out, &config); err != nil {
		return nil, err
	}
	if len(config.Clusters) != 1 || len(config.Users) != 1 {
		return nil, errors.New("the kubeconfig has no current context")
	}
	cluster, user := config.Clusters[0].Cluster, config.Users[0].User
	settings := &tls.Config{RootCAs: x509.NewCertPool()}
	settings.RootCAs.AppendCertsFromPEM(cluster.CA)
	if user.Token == "" {
		certificate, err := tls.X509KeyPair(user.Certificate, user.Key)
		if err != nil {
			return nil, fmt.Errorf("the kubeconfig's user has neither a token nor a certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{certificate}
	}
	transport := &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true}
	return &client{&http.Client{Transport: transport}, cluster.Server, user.Token}, nil
}

// post creates an object from YAML and returns the API server's answer in body.
func (c *client) post(ctx context.Context, path, object string, body *string) error {
	return c.send(ctx, http.MethodPost, path, object, body)
}

func (c *client) send(ctx context.Context, method, path, object string, body *string) error {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(object))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/yaml")
	request.Header.Set("Accept", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, b)
	}
	if body != nil {
		*body = string(b)
	}
	return nil
}
