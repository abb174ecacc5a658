package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"tenet/internal/needs"
)

// TestWhatWatchesATenetAsksForMeasuresThatThereAre looks for every measure that the alerts, the dashboard and the
// manual name.
func TestWhatWatchesATenetAsksForMeasuresThatThereAre(t *testing.T) {
	list, err := measures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{} // by name, the labels
	for _, m := range list {
		known[m.Name] = strings.Split(m.Labels, ", ")
	}
	roles, err := os.ReadFile(filepath.Join("..", "..", "deploy", "postgres", "roles.sql"))
	if err != nil {
		t.Fatal(err)
	}
	// Those of a histogram are asked for by its parts.
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	named := regexp.MustCompile(`\btenet_[a-z_]+`)
	for _, name := range []string{"deploy/alerts.yaml", "deploy/dashboard.json", "docs/operations/watch.md"} {
		data, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllString(string(data), -1)
		if len(found) == 0 {
			t.Errorf("%s names no measure", name)
		}
		for _, measure := range found {
			if strings.Contains(string(roles), "'"+measure+"'") { // the name of a role
				continue
			}
			if known[measure] == nil && known[suffix.ReplaceAllString(measure, "")] == nil {
				t.Errorf("%s names %s, which no server has", name, measure)
			}
		}
	}
	for _, q := range queries(t) {
		for _, by := range regexp.MustCompile(`by \(([a-z, ]+)\)`).FindAllStringSubmatch(q, -1) {
			measure := suffix.ReplaceAllString(named.FindString(q), "")
			for label := range strings.SplitSeq(by[1], ", ") {
				if label != "le" && label != "instance" && label != "version" && !slices.Contains(known[measure],
					label) {
					t.Errorf("%s: %s has no label %s, but %s", q, measure, label, strings.Join(known[measure], ", "))
				}
			}
		}
	}
}

// An alertRule is one of deploy/alerts.yaml.
type alertRule struct {
	Alert, Expr string
	Annotations map[string]string
}

func alertRules(t *testing.T) (list []alertRule) {
	t.Helper()
	var alerts struct{ Groups []struct{ Rules []alertRule } }
	readDeployed(t, "alerts.yaml", &alerts)
	for _, g := range alerts.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// readDeployed reads a file of deploy, YAML or JSON.
func readDeployed(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	read := json.Unmarshal
	if strings.HasSuffix(name, ".yaml") {
		read = yaml.Unmarshal
	}
	if err := read(data, into); err != nil {
		t.Fatalf("deploy/%s: %v", name, err)
	}
}

// queries returns every question that the alerts and the dashboard ask.
func queries(t *testing.T) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	var out []string
	readDeployed(t, "dashboard.json", &dashboard)
	for _, r := range alertRules(t) {
		if r.Alert == "" || r.Expr == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" {
			t.Errorf("deploy/alerts.yaml: %+v lacks a part", r)
		}
		out = append(out, r.Expr)
	}
	for _, p := range dashboard.Panels {
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("deploy/dashboard.json: the panel %q asks nothing", p.Title)
		}
		for _, q := range p.Targets {
			out = append(out, q.Expr)
		}
	}
	if len(out) < 20 {
		t.Errorf("only %d questions were found", len(out))
	}
	return out
}

// TestEveryAlertFiresWhenItShouldAndThenOnly lets Prometheus's own tool hold each alert to series that are trouble, and
// to some that are not.
func TestEveryAlertFiresWhenItShouldAndThenOnly(t *testing.T) {
	files := []string{"alerts_test.yaml", "alerts_days_test.yaml"}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, name := range files {
		var cases struct {
			Tests []struct {
				Rules []struct {
					Alert string `yaml:"alertname"`
					Want  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readDeployed(t, name, &cases)
		for _, c := range cases.Tests {
			for _, r := range c.Rules {
				fires[r.Alert] = fires[r.Alert] || len(r.Want) > 0
				silent[r.Alert] = silent[r.Alert] || len(r.Want) == 0
			}
		}
	}
	for _, r := range alertRules(t) {
		if !fires[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: a case in which it fires: %t; one in which it does not: %t; want both", r.Alert,
				fires[r.Alert], silent[r.Alert])
		}
	}
	needs.Program(t, "promtool", "install Prometheus (Debian: apt-get install prometheus)")
	cmd := exec.CommandContext(t.Context(), "promtool", append([]string{"test", "rules"}, files...)...)
	cmd.Dir = filepath.Join("..", "..", "deploy")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}
