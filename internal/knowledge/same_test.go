package knowledge_test

import (
	"testing"
	"time"

	"tenet/internal/knowledge"
)

func TestSameContentLooksAtAllButTheStamps(t *testing.T) {
	made := func(change func(*knowledge.Rule)) knowledge.Document {
		r := &knowledge.Rule{RuleID: "R", Category: "general", Title: "A title", IsActive: true}
		r.Tags = []string{"a", "b"}
		r.Normalize()
		change(r)
		return r
	}
	base := made(func(*knowledge.Rule) {})
	stamped := made(func(r *knowledge.Rule) {
		r.Version, r.UpdatedBy, r.UpdatedAt = 7, "somebody", knowledge.At(time.Unix(9, 0))
	})
	if !knowledge.SameContent(base, stamped) {
		t.Error("documents that differ in their stamps are said to be of other content")
	}
	if base.Stamps().Version != 0 {
		t.Error("the comparison has changed a document")
	}
	for name, other := range map[string]knowledge.Document{
		"title":    made(func(r *knowledge.Rule) { r.Title = "Another" }),
		"tags":     made(func(r *knowledge.Rule) { r.Tags = []string{"a"} }),
		"in use":   made(func(r *knowledge.Rule) { r.IsActive = false }),
		"category": made(func(r *knowledge.Rule) { r.Category = "other" }),
		"kind":     &knowledge.Practice{PracticeID: "R", Title: "A title"},
		"nothing":  nil,
	} {
		if knowledge.SameContent(base, other) {
			t.Errorf("documents that differ in %s are said to be of the same content", name)
		}
	}
}
