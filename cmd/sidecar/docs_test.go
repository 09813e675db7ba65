package main

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"irsa-sidecar/internal/config"
	"irsa-sidecar/internal/server"
	"irsa-sidecar/internal/sts"
	"irsa-sidecar/test/golden"
)

const troubleshooting = "../../docs/troubleshooting.md"

// The tables of reason codes in the document are generated from the code.
func TestReasonsDocument(t *testing.T) {
	golden.Section(t, troubleshooting, "reason codes", reasonsTable(config.WebIdentity))
	golden.Section(t, troubleshooting, "reason codes with EKS Pod Identity", reasonsTable(config.PodIdentity))
}

// So is the table of what a message of STS proves.
func TestCausesDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("| code | the message has | it proves | fix |\n|---|---|---|---|\n")
	for _, c := range sts.Causes() {
		says := "any text"
		if c.Says != "" {
			says = "`" + strings.ReplaceAll(c.Says, "|", "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s. |\n", c.Code, says, c.Proves, strings.ToUpper(c.Fix[:1])+c.Fix[1:])
	}
	golden.Section(t, troubleshooting, "causes", b.String())
}

func reasonsTable(source string) string {
	var b strings.Builder
	b.WriteString("| code | cause | fix |\n|---|---|---|\n")
	all := reasons(source)
	slices.SortStableFunc(all, func(a, b sts.Reason) int { return strings.Compare(strings.ToLower(a.Code), strings.ToLower(b.Code)) })
	for _, reason := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s. |\n", reason.Code, reason.Cause, strings.ToUpper(reason.Fix[:1])+reason.Fix[1:])
	}
	return b.String()
}

// The metric has every code as a label value from the start.
func TestReasonsAreTheLabels(t *testing.T) {
	for _, source := range []string{config.WebIdentity, config.PodIdentity} {
		reg := prometheus.NewRegistry()
		newRefresher(&config.Config{Source: source}, slog.New(slog.DiscardHandler), reg)
		got := labels(t, reg, "irsa_sidecar_refreshes_total")
		want := append(reasonCodes(source), "success")
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("with %s the metric has the results\n%q\nand the reasons are\n%q", source, got, want)
		}
	}
}

// Every reason for a refusal is in the document, and the document has no other.
func TestRefusalsAreDocumented(t *testing.T) {
	reg := prometheus.NewRegistry()
	server.NewMetrics(reg)
	raw, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`reason="(\w+)"`).FindAllStringSubmatch(string(raw), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(documented)
	if got := labels(t, reg, "irsa_sidecar_requests_refused_total"); !slices.Equal(got, slices.Compact(documented)) {
		t.Errorf("the metric has the reasons %q, and the document %q", got, documented)
	}
}

// labels returns the values of the only label of a metric, sorted.
func labels(t *testing.T, reg *prometheus.Registry, metric string) (values []string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, m := range family.GetMetric() {
			values = append(values, m.GetLabel()[0].GetValue())
		}
	}
	slices.Sort(values)
	return values
}
