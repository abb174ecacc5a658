package httpapi

import "testing"

// TestAWriteSaysWhatItsWriterMayNotHaveMeant writes names of what is not there in every way that REST has.
func TestAWriteSaysWhatItsWriterMayNotHaveMeant(t *testing.T) {
	const (
		fields   = `"name":"Backend","select":{"ids":["SEC-01"],"tags":["securty"]}}`
		pack     = "{" + fields
		id       = `{"pointer":"/select/ids/0","detail":"there is no rule/SEC-01 yet: did you mean rule/SEC-001?"}`
		tag      = `{"pointer":"/select/tags/0","detail":"no document has the tag \"securty\" yet"}`
		proposal = "/api/v1/proposals/" + batchUUID
		proposed = `{"title":"A pack","ops":[{"verb":"put","kind":"pack","id":"mine","document":{"pack_id":"mine",` +
			fields + `}]}`
		underOp = `{"pointer":"/ops/0/document/select/ids/0","detail":` +
			`"there is no rule/SEC-01 yet: did you mean rule/SEC-001?"}`
		underTag  = `{"pointer":"/ops/0/document/select/tags/0","detail":"no document has the tag \"securty\" yet"}`
		languages = `{"category":"security","title":"T","description":"D",` +
			`"scope":{"activation":"always","languages":["golang"]}}`
	)
	ofBatch := `{"notes":[{"kind":"pack","id":"mine",` + id[1:] + `,{"kind":"pack","id":"mine",` + tag[1:] + `]}`
	batch := func(with string) ask {
		return post(batchesPath, `{`+with+`"ops":[{"verb":"put","kind":"pack","id":"mine","document":`+
			`{"pack_id":"mine",`+fields+`}]}`)
	}
	made := []string{"put pack/mine 1 the-admin"}
	runScenarios(t, []scenario{
		{
			name: "one document", ask: put("/api/v1/packs/mine", pack), status: 201, changes: made,
			heads: map[string]string{notesHeader: "[" + id + "," + tag + "]"},
		},
		{
			name: "one that is only tried", ask: put("/api/v1/packs/mine?dry_run=true", pack), status: 201,
			heads: map[string]string{notesHeader: "[" + id + "," + tag + "]"},
		},
		{
			name: "a patch of another field", before: []ask{put("/api/v1/packs/mine", pack)},
			ask: patch("/api/v1/packs/mine", `{"name":"The backend"}`), status: 200,
			heads: map[string]string{notesHeader: ""}, changes: []string{"put pack/mine 2 the-admin"},
		},
		{
			name: "a patch of the field", before: []ask{put("/api/v1/packs/mine", pack)},
			ask: patch("/api/v1/packs/mine", `{"select":{"ids":[]}}`), status: 200,
			heads: map[string]string{notesHeader: "[" + tag + "]"}, changes: []string{"put pack/mine 2 the-admin"},
		},
		{
			name: "a batch", ask: batch(""), status: 200, want: ofBatch, changes: made,
		},
		{
			name: "a batch of which each op is for itself", ask: batch(`"mode":"best_effort",`), status: 200,
			want: ofBatch, changes: made,
		},
		{
			name: "a batch with what it names",
			ask: post(batchesPath, `{"ops":[{"verb":"put","kind":"pack","document":{"pack_id":"mine","name":"B",`+
				`"select":{"ids":["rule/NEW-1"]}}},{"verb":"put","kind":"rule","document":{"rule_id":"NEW-1",`+aRule[1:]+`}]}`),
			status: 200, want: `{"notes":null}`,
			changes: []string{"put pack/mine 1 the-admin", "put rule/NEW-1 1 the-admin"},
		},
		{
			name: "a language that no file has", ask: put("/api/v1/rules/GO-9", languages), status: 201,
			heads:   map[string]string{notesHeader: `[{"pointer":"/scope/languages/0",*did you mean go?"}]`},
			changes: []string{"put rule/GO-9 1 the-admin"},
		},
		{
			name: "what no header can hold as it is", ask: put("/api/v1/packs/mine", `{"select":{"tags":["größe"]}}`),
			status: 201, changes: made,
			heads: map[string]string{
				notesHeader: `[{"pointer":"/select/tags/0","detail":"no document has the tag \"gr\u00f6\u00dfe\" yet"}]`,
			},
		},
		{
			name: "a proposal", ask: put(proposal, proposed), status: 201,
			heads:   map[string]string{notesHeader: "[" + underOp + "," + underTag + "]"},
			changes: []string{"put proposal/" + batchUUID + " 1 the-admin"},
		},
		{
			name: "the preview of a proposal", before: []ask{put(proposal, proposed)}, ask: get(proposal + "/changes"),
			status: 200, want: `{"notes":[{"kind":"proposal","id":"` + batchUUID + `",` + underOp[1:] +
				`,{"kind":"proposal","id":"` + batchUUID + `",` + underTag[1:] + `]}`,
		},
	})
}
