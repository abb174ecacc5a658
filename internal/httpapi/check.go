package httpapi

import (
	"fmt"
	"net/http"

	"tenet/internal/access"
	"tenet/internal/api"
	"tenet/internal/check"
	"tenet/internal/knowledge"
)

const checkPath = "/api/v1/check"

// checkRequest is the body of POST /check.
type checkRequest struct {
	Repository string      `json:"repository,omitempty" doc:"The id of the repository, whose packs, label and exemptions count" example:"acme.pay"`
	Packs      []string    `json:"packs,omitempty" doc:"Packs besides those of the repository; with neither, all rules" maxItems:"500"`
	Label      string      `json:"label,omitempty" doc:"The label at which rules are taken, not the repository's"`
	Files      []checkFile `json:"files,omitempty" doc:"What is checked; may be left out where gone names files" maxItems:"1000"`
	Report     bool        `json:"report,omitempty" doc:"Keep what was found as violations of the repository, and resolve those of these files that are mended; of a file with lines, none is resolved"`
	Gone       []string    `json:"gone,omitempty" doc:"Files that are no longer there, whose violations a report resolves" maxItems:"10000"`
}

type checkFile struct {
	Path    string  `json:"path" doc:"The file, from the repository's root" example:"cmd/pay/main.go"`
	Content string  `json:"content" doc:"Its text"`
	Before  *string `json:"before,omitempty" doc:"Its text before an edit: what it broke already does not count. With it for one file, files without it are new"`
	Was     string  `json:"was,omitempty" doc:"The name that a renamed file had, with its text in before: a report keeps its violations"`
	Lines   []int   `json:"lines,omitempty" doc:"The lines that count, from 1, in order; default: all" maxItems:"100000"`
}

// A checkDoor checks files.
type checkDoor struct{ h *Handler }

func (d checkDoor) routes() []*route {
	return []*route{{
		method: http.MethodPost, path: checkPath, id: "check-files", tag: "guidance",
		summary: "Check files", description: "Looks for what the checks of rules forbid or require, as tenet check " +
			"does: findings with their places, and a decision (deny " +
			"where a mandatory rule is broken and not exempt). To report needs the right to report violations.",
		handler: with(d.check), body: &payload{
			media: mediaJSON, body: typeOf[checkRequest](),
			samples: exampleChecks(),
		},
		answers: []answer{jsonAnswer[check.Result](http.StatusOK, "What was found", exampleChecked())},
		refusals: []int{
			http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		},
	}}
}

func (d checkDoor) check(c *call, _ *noParams) error {
	if err := access.MayRead(c.request.Caller, knowledge.KindRule, knowledge.KindPack,
		knowledge.KindRepository); err != nil {
		return err
	}
	if d.h.o.Check == nil {
		return api.Refuse(api.ErrNoPath, "this server checks no files")
	}
	raw, err := c.body()
	if err != nil {
		return err
	}
	if err := wellFormed(raw, knowledge.MaxDepth); err != nil {
		return err
	}
	q, report, err := checkQuestion(raw)
	if err != nil {
		return err
	}
	r, err := d.h.o.Check(c.limited(), q)
	if err != nil {
		return err
	}
	if report {
		about := check.About{Repository: q.Repository, Gone: q.IsGone()}
		for i := range q.Files {
			if q.Files[i].Lines == nil { // else what was not found again may stand in another line
				about.Checked = append(about.Checked, q.Files[i].Path)
			}
		}
		if _, err := check.Report(c.limited(), d.h.o.Store, c.request.Caller.ID, about, r); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, r)
}

// checkQuestion reads the body of a question.
func checkQuestion(raw []byte) (*check.Question, bool, error) {
	var f faultList
	q, report := &check.Question{}, false
	m := f.object("", raw, "repository", "packs", "label", "files", "report", "gone", "commit")
	f.member("/repository", m["repository"], &q.Repository, "text")
	f.member("/packs", m["packs"], &q.Packs, "a list of texts")
	f.member("/label", m["label"], &q.Label, "text")
	f.member("/report", m["report"], &report, "true or false")
	if report && q.Repository == "" {
		f.add("/repository", "missing: a report is about a repository")
	}
	f.member("/gone", m["gone"], &q.Gone, "a list of texts")
	if len(q.Gone) > 0 && !report {
		f.add("/gone", "only a report says of files that they are gone: want \"report\": true, or no gone")
	}
	var files []checkFile
	f.member("/files", m["files"], &files, "a list of objects with path and content")
	for i := range files {
		file := &files[i]
		q.Files = append(q.Files, check.File{Path: file.Path, Content: []byte(file.Content), Lines: file.Lines})
		if file.Before != nil {
			q.Before = append(q.Before, check.File{Path: file.Path, Was: file.Was, Content: []byte(*file.Before)})
		}
		for j := 1; j < len(file.Lines); j++ {
			if file.Lines[j] <= file.Lines[j-1] {
				f.add(fmt.Sprintf("/files/%d/lines/%d", i, j), "%d after %d: want lines in order", file.Lines[j],
					file.Lines[j-1])
				break
			}
		}
	}
	if len(f) == 0 {
		f.merge(q.Check())
	}
	renamed(q, files, &f)
	return q, report, f.err(false)
}

// renamed adds the old names of renamed files to those that are gone, unless another file has the name now.
func renamed(q *check.Question, files []checkFile, f *faultList) {
	there := map[string]bool{}
	for i := range files {
		if clean, err := knowledge.CleanPath(files[i].Path); err == nil {
			there[clean] = true
		}
	}
	for i := range files {
		was := files[i].Was
		if was == "" {
			continue
		}
		clean, err := knowledge.CleanPath(was)
		switch {
		case err != nil:
			f.add(fmt.Sprintf("/files/%d/was", i), "%s", err)
		case files[i].Before == nil:
			f.add(fmt.Sprintf("/files/%d/was", i), "its text there is missing: want before too")
		case !there[clean]:
			q.Gone = append(q.Gone, clean)
		}
	}
}

func exampleChecks() []sample {
	before := "package main\n"
	return []sample{
		{"file", "A whole file", checkRequest{
			Repository: "acme.pay", Files: []checkFile{{
				Path:    "cmd/pay/main.go",
				Content: "package main\n\n// TODO refunds\n",
			}},
		}},
		{"edit", "What an edit brings in", checkRequest{
			Packs: []string{"backend"}, Files: []checkFile{{
				Path:    "cmd/pay/main.go",
				Content: "package main\n\n// TODO refunds\n", Before: &before,
			}},
		}},
	}
}

func exampleChecked() any {
	return check.Result{
		Decision: check.Warn, Files: 1, Rules: 2, Skipped: []check.Skipped{},
		Findings: []check.Finding{{
			Rule: "TODO-1", Version: 2, Check: "note", Title: "Notes have an owner", Path: "cmd/pay/main.go", Line: 3,
			Column: 4, Severity: "WARNING",
			Enforcement: "recommended", Message: "A note without an owner.", Fix: "Write TODO(name).",
			Fingerprint: "3f786850e387550fdab836ed",
		}},
	}
}
