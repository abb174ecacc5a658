package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"tenet/internal/knowledge"
)

// GeneralCategory is the category of the documents that the factories make.
const GeneralCategory = "general"

// Tester is the actor of the batches that [Batch] makes.
const Tester = "tester"

// made finishes a document: changes of the caller, then the defaults that a door would fill in.
func made[D knowledge.Document](d D, changes []func(D)) D {
	for _, change := range changes {
		change(d)
	}
	d.Normalize()
	return d
}

// ID returns a new id that begins with prefix.
func ID(prefix string) string { return prefix + "-" + knowledge.NewBatchID().String() }

// Rule returns a valid rule with a new id, changed as the caller wants.
func Rule(changes ...func(*knowledge.Rule)) *knowledge.Rule {
	return made(&knowledge.Rule{
		RuleID:      ID("rule"),
		Category:    GeneralCategory,
		Title:       "Close what you open",
		Description: "Every file that is opened is closed on each way out of the function.",
		Severity:    knowledge.SeverityError,
		Enforcement: "mandatory",
		Examples: []knowledge.Example{{
			Title: "Deferred", Language: "go", Code: "defer f.Close()",
			Note: "right after the check",
		}},
		AntiPatterns:          []knowledge.Example{{Note: "closing at the end only"}},
		ViolationsConsequence: "The process runs out of descriptors.",
		Priority:              10,
		Status:                knowledge.StatusActive,
		IsActive:              true,
		Common:                common(),
	}, changes)
}

// Practice returns a valid practice with a new id, changed as the caller wants.
func Practice(changes ...func(*knowledge.Practice)) *knowledge.Practice {
	score, adoption := 0.75, 0.5
	return made(&knowledge.Practice{
		PracticeID:          ID("practice"),
		Category:            GeneralCategory,
		Title:               "Keep pull requests small",
		Description:         "A reviewer reads two hundred lines well, and two thousand not at all.",
		Benefits:            []string{"faster reviews", "smaller reverts"},
		ImplementationGuide: "Split by behaviour, not by file.",
		AntiPatterns:        []knowledge.Example{{Note: "one branch a month"}},
		References:          []knowledge.Reference{{Title: "A guide", URL: "https://example.com/small"}},
		Examples:            []knowledge.Example{{Code: "git rebase -i", Language: "sh"}},
		EffectivenessScore:  &score,
		AdoptionRate:        &adoption,
		IsActive:            true,
		Common:              common(),
	}, changes)
}

// Template returns a valid template with a new id, changed as the caller wants.
func Template(changes ...func(*knowledge.Template)) *knowledge.Template {
	return made(&knowledge.Template{
		TemplateID:      ID("template"),
		Name:            "Incident report",
		Description:     "What happened, and what we learnt.",
		Category:        GeneralCategory,
		TemplateContent: "# {{title}}\n\nSeverity: {{severity}}\n",
		Variables: []knowledge.Variable{
			{Name: "title", Title: "Incident's title", Required: true},
			{Name: "severity", Type: knowledge.TypeSelect, Options: []string{"low", "high"}, Default: "low"},
		},
		IsActive: true,
		Common:   common(),
	}, changes)
}

// Category returns a valid category with a new id, changed as the caller wants.
func Category(changes ...func(*knowledge.Category)) *knowledge.Category {
	return made(&knowledge.Category{
		ID: ID("category"), Description: "What belongs nowhere else.", IsActive: true,
	}, changes)
}

// Violation returns a valid violation of a rule with a new id, changed as the caller wants.
func Violation(ruleID string, changes ...func(*knowledge.Violation)) *knowledge.Violation {
	return made(&knowledge.Violation{
		ViolationID: knowledge.NewBatchID().String(),
		RuleID:      ruleID,
		Source:      "golangci-lint",
		Repository:  "payments-api",
		Path:        "internal/auth/login.go",
		Line:        42,
		Message:     "the file is not closed",
		Severity:    knowledge.SeverityError,
		IsActive:    true,
	}, changes)
}

// Principal returns a valid principal with a new id and a token that nobody knows, changed as the caller wants.
func Principal(changes ...func(*knowledge.Principal)) *knowledge.Principal {
	id := ID("principal")
	hash := sha256.Sum256([]byte(id))
	return made(&knowledge.Principal{
		PrincipalID: id, Name: "Build server", Role: knowledge.RoleContributor, TokenHash: hex.EncodeToString(hash[:]),
		TokenPrefix: "tenet_AbCdEf",
	}, changes)
}

// Pack returns a valid pack with a new id, changed as the caller wants.
func Pack(changes ...func(*knowledge.Pack)) *knowledge.Pack {
	return made(&knowledge.Pack{
		PackID: ID("pack"), Description: "What holds in every service.", IsActive: true,
		Select: knowledge.Selection{
			Kinds: []string{"rule"}, Categories: []string{GeneralCategory},
			Tags: []string{"io"}, Except: []string{"rule/no-such"},
		},
		Extends: []string{}, Raise: []knowledge.Raise{{ID: "rule/no-such-either", Enforcement: "mandatory"}},
	}, changes)
}

// Repository returns a valid repository with a new id, changed as the caller wants.
func Repository(changes ...func(*knowledge.Repository)) *knowledge.Repository {
	return made(&knowledge.Repository{
		RepositoryID: ID("repository"), URL: "https://git.example.com/acme/pay", Targets: []string{"claude"},
		Owner: "payments", IsActive: true,
		Exemptions: []knowledge.Exemption{{
			Rule: "SEC-001", Paths: []string{"legacy/**"}, Reason: "it is replaced this quarter", By: "security",
			Until: knowledge.At(time.Date(2027, 3, 31, 12, 30, 0, 123456000, time.UTC)),
		}},
	}, changes)
}

// Label returns a valid label with a new id, changed as the caller wants.
func Label(changes ...func(*knowledge.Label)) *knowledge.Label {
	return made(&knowledge.Label{LabelID: ID("label"), Description: "What is released.", Seq: 1, IsActive: true},
		changes)
}

// Proposal returns a valid proposal with a new id that changes a rule, changed as the caller wants.
func Proposal(ruleID string, changes ...func(*knowledge.Proposal)) *knowledge.Proposal {
	return made(&knowledge.Proposal{
		ProposalID: knowledge.NewBatchID().String(), Title: "Ask for less", Why: "Nobody follows it.", IsActive: true,
		Ops: []knowledge.ProposedOp{{
			Verb: knowledge.VerbPatch, Kind: string(knowledge.KindRule), ID: ruleID, IfVersion: 1,
			Patch: map[string]any{"priority": 5, "extra": map[string]any{
				"ratio": 1.50,
				"big":   json.Number("12345678901234567890"),
			}},
		}},
	}, changes)
}

// Batch returns a batch of [Tester] with a new id.
func Batch(ops ...knowledge.Op) knowledge.Batch {
	return knowledge.Batch{ID: knowledge.NewBatchID(), Actor: Tester, Ops: ops}
}

func common() knowledge.Common {
	return knowledge.Common{
		Tags: []string{"io", "resources"},
		Scope: knowledge.Scope{
			Activation: "glob", Globs: []string{"**/*.go"}, Languages: []string{"go"},
			Targets: []string{"cursor"},
		},
		Extra: map[string]any{"owner": "platform"},
	}
}
