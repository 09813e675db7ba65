package monitoring

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func TestDashboardHasGrafanasSchema(t *testing.T) {
	// Only registered panel types are checked.
	plugins := cog.NewRuntime()
	plugins.RegisterPanelcfgVariant(bargauge.VariantConfig())
	plugins.RegisterPanelcfgVariant(stat.VariantConfig())
	plugins.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	plugins.RegisterPanelcfgVariant(table.VariantConfig())
	plugins.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known := map[string]bool{"row": true, "bargauge": true, "stat": true, "state-timeline": true, "table": true, "timeseries": true}

	//lint:ignore SA1019 Grafana 9 does not support a newer schema
	var d dashboard.Dashboard
	if err := unempty(d.UnmarshalJSONStrict([]byte(applied(t).dashboard))); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range panels(t) {
		if !known[p.Type] {
			t.Errorf("%s: no schema is registered for panels of the type %q", p.Title, p.Type)
		}
	}
}

// unempty turns an empty list of errors into nil. Strict decoding returns such a list
// when it succeeds.
func unempty(err error) error {
	if errs, ok := errors.AsType[cog.BuildErrors](err); ok && len(errs) == 0 {
		return nil
	}
	return err
}

// panel has the fields of a panel that the tests need.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ UID string }
	Targets     []json.RawMessage
	FieldConfig struct{ Defaults struct{ Unit string } }
	Panels      []panel // in a collapsed row

	row     string // the first word of the row's title
	queries []prometheus.Dataquery
}

// panels returns all panels, including rows and the panels in collapsed rows.
func panels(t *testing.T) (all []panel) {
	t.Helper()
	var d struct{ Panels []panel }
	if err := json.Unmarshal([]byte(applied(t).dashboard), &d); err != nil {
		t.Fatal(err)
	}
	row := ""
	for _, p := range d.Panels {
		if p.Type == "row" {
			row, _, _ = strings.Cut(p.Title, ":")
		}
		for _, p := range append([]panel{p}, p.Panels...) {
			p.row = row
			for _, target := range p.Targets {
				var q prometheus.Dataquery
				if err := unempty(q.UnmarshalJSONStrict(target)); err != nil {
					t.Fatalf("%s: %v", p.Title, err)
				}
				p.queries = append(p.queries, q)
			}
			all = append(all, p)
		}
	}
	return all
}

func TestDashboardLayout(t *testing.T) {
	ids := map[int]string{}
	taken := map[[2]int]string{}
	for _, p := range panels(t) {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%s and %s have the same id, %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		at := p.GridPos
		if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("%s exceeds the 24 columns of the grid: %+v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%s overlaps %s at %d,%d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" {
			checkPanel(t, p)
		}
	}
}

func checkPanel(t *testing.T, p panel) {
	if !strings.HasSuffix(p.Description, ".") {
		t.Errorf("%s: want a description that ends with a full stop, got %q", p.Title, p.Description)
	}
	if p.Datasource.UID != "${datasource}" {
		t.Errorf("%s: want the data source ${datasource}, got %q", p.Title, p.Datasource.UID)
	}
	if p.FieldConfig.Defaults.Unit == "" && p.Type != "state-timeline" {
		t.Errorf("%s: want a unit", p.Title)
	}
	if len(p.queries) == 0 {
		t.Errorf("%s: want a query", p.Title)
	}
}

// selector matches a metric in a query, with its label matchers.
var selector = regexp.MustCompile(`\b(irsa_sidecar_\w+|process_\w+|up\b)(\{[^}]*\})?`)

func TestDashboardQueriesUseTheVariables(t *testing.T) {
	for _, p := range panels(t) {
		want := `{namespace=~"$namespace"`
		if p.row == "Workload" {
			want += `, pod=~"$pod"`
		}
		for _, q := range p.queries {
			for _, found := range selector.FindAllString(q.Expr, -1) {
				if _, matchers, _ := strings.Cut(found, "{"); !strings.HasPrefix("{"+matchers, want) {
					t.Errorf("%s: %s: want matchers that begin with %s", p.Title, found, want)
				}
			}
		}
	}
}

// variables returns the queries of the dashboard's variables, by name.
func variables(t *testing.T) map[string]string {
	t.Helper()
	var d struct {
		Templating struct {
			List []struct {
				Name, Type, Definition string
				Query                  any
			}
		}
	}
	if err := json.Unmarshal([]byte(applied(t).dashboard), &d); err != nil {
		t.Fatal(err)
	}
	definitions := map[string]string{}
	for _, v := range d.Templating.List {
		switch v.Type {
		case "datasource":
		case "query":
			// Grafana runs the query and displays the definition.
			if query, ok := v.Query.(map[string]any); !ok || query["query"] != v.Definition {
				t.Errorf("$%s: want the definition %s as its query, got %v", v.Name, v.Definition, v.Query)
			}
			definitions[v.Name] = v.Definition
		default:
			t.Errorf("$%s: the tests do not support variables of type %s", v.Name, v.Type)
		}
	}
	return definitions
}
