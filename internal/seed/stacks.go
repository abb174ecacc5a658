package seed

import (
	"slices"

	"tenet/internal/knowledge"
)

// A Stack is a part of the starter set for one technology. A new install begins without it, since a list of rules for
// languages that nobody here writes is a longer way to those that hold; `tenet seed NAME` adds it.
type Stack struct {
	Name       string
	About      string   // for whom it is
	Categories []string // whose documents, and which themselves, are part of it
	Packs      []string
}

// Stacks returns the stacks in the order in which they are shown.
func Stacks() []Stack {
	return []Stack{
		{"jvm", "Java and Kotlin", []string{"jvm"}, []string{"backend-jvm"}},
		{"csharp", "C# on .NET", []string{"csharp"}, []string{"backend-dotnet"}},
		{"web", "React and accessibility", []string{"accessibility", "react"}, []string{"web-frontend"}},
		{"platform", "containers, Kubernetes and Terraform", []string{"infrastructure"}, []string{"platform"}},
	}
}

// StackOf returns the name of the stack that a document of the starter set is part of; "" for none.
func StackOf(d knowledge.Document) string {
	key, category := d.Key(), d.CategoryID()
	if key.Kind == knowledge.KindCategory {
		category = key.ID
	}
	for _, s := range Stacks() {
		if slices.Contains(s.Categories, category) || key.Kind == knowledge.KindPack && slices.Contains(s.Packs,
			key.ID) {
			return s.Name
		}
	}
	return ""
}
