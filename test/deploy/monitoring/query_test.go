package monitoring

import (
	"cmp"
	"context"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// query is a query of an alert or of the dashboard.
type query struct {
	key    string // the alert, or row and panel, with the ref ID if it is not the panel's first
	expr   string
	legend string
}

// queries returns all queries, with every namespace and pod selected.
func queries(t *testing.T) (all []query) {
	t.Helper()
	for _, rule := range applied(t).rules() {
		all = append(all, query{key: rule.Alert, expr: rule.Expr.String()})
	}
	for _, p := range panels(t) {
		for i, q := range p.queries {
			key := p.row + ": " + p.Title
			if i > 0 {
				key += " " + *q.RefId
			}
			legend := ""
			if q.LegendFormat != nil {
				legend = *q.LegendFormat
			}
			all = append(all, query{key, substitute(t, q.Expr), legend})
		}
	}
	return all
}

// substitute replaces variables with values, as Grafana does: the allValue for "All", and
// four times the scrape interval for $__rate_interval.
func substitute(t *testing.T, expr string) string {
	t.Helper()
	expr = strings.NewReplacer("$namespace", ".+", "$pod", ".+", "$__rate_interval", "4s").Replace(expr)
	if strings.Contains(expr, "$") {
		t.Fatalf("unknown variable: %s", expr)
	}
	return expr
}

// result is the result of a query: the last value of each series, by the values of the
// labels that distinguish them.
type result map[string]float64

// checkQuery checks the result of a query over the whole history.
func checkQuery(ctx context.Context, t *testing.T, prom prometheusv1.API, q query, history prometheusv1.Range) {
	want, ok := expectations()[q.key]
	if !ok {
		t.Fatalf("this query has no expectation: %s", q.expr)
	}
	value, warnings, infos, err := prom.QueryRange(ctx, q.expr, history)
	if err != nil {
		t.Fatalf("%s: %v", q.expr, err)
	}
	if len(warnings)+len(infos) > 0 {
		t.Errorf("%s: %v %v", q.expr, warnings, infos)
	}
	got := result{}
	for _, series := range value.(model.Matrix) {
		last, ok := lastNumber(series)
		if !ok {
			continue
		}
		var values []string
		for _, label := range want.by {
			values = append(values, string(series.Metric[model.LabelName(label)]))
		}
		got[strings.Join(values, " ")] = last
		checkLegend(t, q.legend, series.Metric)
	}
	want.check(t, got)
	t.Logf("%v", got)
}

// lastNumber returns the last finite value of a series, if there is one.
func lastNumber(series *model.SampleStream) (float64, bool) {
	for _, sample := range slices.Backward(series.Values) {
		if v := float64(sample.Value); !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, true
		}
	}
	return 0, false
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// checkLegend checks that a series has the labels that the legend shows.
func checkLegend(t *testing.T, legend string, metric model.Metric) {
	for _, m := range legendLabel.FindAllStringSubmatch(legend, -1) {
		if _, ok := metric[model.LabelName(m[1])]; !ok {
			t.Errorf("the legend shows %s, which %s does not have", m[1], cmp.Or(metric.String(), "{}"))
		}
	}
}

// checkExpectations checks that the keys of queries are unique, and that every
// expectation belongs to a query.
func checkExpectations(t *testing.T) {
	keys := map[string]bool{}
	for _, q := range queries(t) {
		if keys[q.key] {
			t.Errorf("two queries have the key %s", q.key)
		}
		keys[q.key] = true
	}
	for key := range expectations() {
		if !keys[key] {
			t.Errorf("there is an expectation for %s, but no such query", key)
		}
	}
}

var variableQuery = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// checkVariables checks that the dashboard's variables list the scraped namespaces and
// pods.
func checkVariables(ctx context.Context, t *testing.T, prom prometheusv1.API, pods []*pod) {
	want := map[string]map[string]bool{"namespace": {}, "pod": {}}
	for _, p := range pods {
		want["namespace"][p.namespace] = true
		want["pod"][p.name] = true
	}
	for name, definition := range variables(t) {
		m := variableQuery.FindStringSubmatch(definition)
		if m == nil {
			t.Fatalf("%s: want label_values(…), got %s", name, definition)
		}
		values, _, _, err := prom.LabelValues(ctx, m[2], []string{substitute(t, m[1])}, time.Time{}, time.Time{})
		if err != nil {
			t.Fatalf("%s: %v", definition, err)
		}
		got := map[string]bool{}
		for _, v := range values {
			got[string(v)] = true
		}
		wantSame(t, "$"+name, want[name], got)
	}
}
