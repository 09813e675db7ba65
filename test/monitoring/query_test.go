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

// query is one of the alerts or of the dashboard.
type query struct {
	key    string // the alert, or the row and the panel, and the letter of a further query
	expr   string
	legend string
}

// queries returns all of them, with every namespace and pod selected.
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

// substitute puts values in the place of variables, as Grafana does: of "All" the
// allValue, and for $__rate_interval four times the interval of scrapes.
func substitute(t *testing.T, expr string) string {
	t.Helper()
	expr = strings.NewReplacer("$namespace", ".+", "$pod", ".+", "$__rate_interval", "4s").Replace(expr)
	if strings.Contains(expr, "$") {
		t.Fatalf("a variable that no test knows: %s", expr)
	}
	return expr
}

// result is what a query has returned: the last value of each series, by the
// values of the labels that tell them apart.
type result map[string]float64

// checkQuery checks what a query has returned at any time against expectations.
func checkQuery(ctx context.Context, t *testing.T, prom prometheusv1.API, q query, history prometheusv1.Range) {
	want, ok := expectations()[q.key]
	if !ok {
		t.Fatalf("no expectation is declared for this query: %s", q.expr)
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

// lastNumber returns the last value of a series that is a number, if it has any.
func lastNumber(series *model.SampleStream) (float64, bool) {
	for _, sample := range slices.Backward(series.Values) {
		if v := float64(sample.Value); !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, true
		}
	}
	return 0, false
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// checkLegend checks that the labels that a legend shows are there.
func checkLegend(t *testing.T, legend string, metric model.Metric) {
	for _, m := range legendLabel.FindAllStringSubmatch(legend, -1) {
		if _, ok := metric[model.LabelName(m[1])]; !ok {
			t.Errorf("the legend shows %s, which %s has not", m[1], cmp.Or(metric.String(), "{}"))
		}
	}
}

func everyExpectationIsOfAQuery(t *testing.T) {
	keys := map[string]bool{}
	for _, q := range queries(t) {
		if keys[q.key] {
			t.Errorf("two queries are called %s", q.key)
		}
		keys[q.key] = true
	}
	for key := range expectations() {
		if !keys[key] {
			t.Errorf("there is no query %s", key)
		}
	}
}

var variableQuery = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// checkVariables checks that the dashboard's variables offer what was scraped.
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
