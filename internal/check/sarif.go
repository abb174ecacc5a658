package check

import (
	"encoding/json"
	"net/url"
	"strings"
)

// The part of SARIF 2.1.0 that a run needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations,omitempty"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		InformationURI  string      `json:"informationUri,omitempty"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		Name             string       `json:"name,omitempty"`
		ShortDescription sarifMessage `json:"shortDescription"`
		Help             sarifMessage `json:"help"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID              string             `json:"ruleId"`
		RuleIndex           int                `json:"ruleIndex"`
		Level               string             `json:"level"`
		Message             sarifMessage       `json:"message"`
		Locations           []sarifLocation    `json:"locations"`
		PartialFingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions        []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// SARIF returns the findings as SARIF 2.1.0, for code hosts and editors. Exempted findings are included, and
// suppressed; files that were not looked at are notifications of the run.
func (r *Result) SARIF(version string) ([]byte, error) {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "tenet", SemanticVersion: semantic(version), Rules: []sarifRule{}}
	index := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		at, ok := index[f.Rule]
		if !ok {
			at = len(run.Tool.Driver.Rules)
			index[f.Rule] = at
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
				ID: f.Rule, ShortDescription: sarifMessage{sentence(f.Title)},
				Help: sarifMessage{sentence("tenet get rule/" + f.Rule + " shows the rule")},
			})
		}
		out := sarifResult{
			RuleID: f.Rule, RuleIndex: at, Level: f.level(),
			Message:             sarifMessage{sentence(strings.TrimSpace(f.Message + " " + f.Fix))},
			PartialFingerprints: map[string]string{"tenet/v1": f.Fingerprint},
		}
		where := physical(f.Path)
		if f.Line > 0 {
			where.Region = &sarifRegion{f.Line, f.Column}
		}
		out.Locations = []sarifLocation{{where}}
		if f.Exempt != nil {
			out.Suppressions = []sarifSuppression{{"external", "accepted", f.Exempt.Reason + " (until " +
				f.Exempt.Until.Format("2006-01-02") + ")"}}
		}
		run.Results = append(run.Results, out)
	}
	if len(r.Skipped) > 0 {
		run.Invocations = []sarifInvocation{{true, r.notifications()}}
	}
	return json.MarshalIndent(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}, "",
		"  ")
}

// notifications say which files were not looked at: without them the results read as if all were.
func (r *Result) notifications() []sarifNotification {
	var list []sarifNotification
	for _, skip := range r.Skipped {
		list = append(list, sarifNotification{
			"warning",
			sarifMessage{sentence(skip.Path + " was not looked at: " + skip.Why)},
			[]sarifLocation{{physical(skip.Path)}},
		})
	}
	return list
}

func physical(path string) sarifPhysical {
	return sarifPhysical{ArtifactLocation: sarifArtifact{(&url.URL{Path: path}).String()}}
}

// level returns the SARIF level of a finding.
func (f *Finding) level() string {
	switch f.Enforcement {
	case "mandatory":
		return "error"
	case "optional":
		return "note"
	}
	return "warning"
}

// sentence ends a text with a full stop, as SARIF requires of messages.
func sentence(s string) string {
	if s = strings.TrimSpace(s); !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func semantic(version string) string {
	v := strings.TrimPrefix(version, "v")
	if strings.Count(v, ".") != 2 {
		return ""
	}
	return v
}
