package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tenet/internal/guidance"
	"tenet/internal/interchange"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Skills are documents of packs that the model may activate: it reads their descriptions, and the texts of those that
// fit. The methods are those of SEP-2640 (https://modelcontextprotocol.io/seps/2640-skills-extension, read in 2026-11),
// in both eras.
const (
	skillsExtension = "io.modelcontextprotocol/skills"
	skillScheme     = "skill://"
	skillFile       = "/SKILL.md"
)

// Bounds of skills.
const (
	skillPage = 50   // per page
	maxSkills = 1000 // in total; search and get_guidance find the rest
)

// A skill is a document with its URI.
type skill struct {
	uri string
	key knowledge.Key
}

// skillEntry is a skill in a list.
type skillEntry struct {
	URI         string            `json:"uri"`
	Frontmatter map[string]string `json:"frontmatter"`
	Resources   []skillResource   `json:"resources"`
}

type skillResource struct {
	URI    string `json:"uri"`
	Digest string `json:"digest"`
	Size   int    `json:"size"`
}

type listSkillsParams struct {
	mcp.ParamsBase
	Cursor string `json:"cursor,omitempty"`
}

type getSkillParams struct {
	mcp.ParamsBase
	URI string `json:"uri"`
}

// cacheable has the caching fields that the newer protocol requires of cacheable answers: this one must not be cached.
type cacheable struct {
	ResultType string `json:"resultType"`
	TTLMs      int    `json:"ttlMs"`
	CacheScope string `json:"cacheScope"`
}

func uncached() cacheable { return cacheable{"complete", 0, "private"} }

type listSkillsResult struct {
	mcp.ResultBase
	cacheable
	Skills     []*skillEntry `json:"skills"`
	NextCursor string        `json:"nextCursor,omitempty"`
}

type getSkillResult struct {
	mcp.ResultBase
	cacheable
	Skill *skillEntry `json:"skill"`
}

// A shelf serves a door's skills.
type shelf struct{ *Door }

// addSkills registers the methods, and the resource template of the files.
func (d *Door) addSkills() {
	if d.o.Skills == nil {
		return
	}
	k := shelf{d}
	d.server.AddResourceTemplate(&mcp.ResourceTemplate{
		Name: "skill", Title: "Skills", Description: "Rules and practices of a pack that a model takes up where " +
			"they fit, each as a skill.",
		MIMEType: markdown, URITemplate: skillScheme + "{pack}/{name}" + skillFile,
	}, k.readSkill)
	err := errors.Join(
		mcp.AddReceivingCustomMethod(d.server,
			"skills/list", func(ctx context.Context, _ *mcp.ServerSession, p *listSkillsParams) (*listSkillsResult, error) {
				return k.listSkills(ctx, p)
			}),
		mcp.AddReceivingCustomMethod(d.server,
			"skills/get", func(ctx context.Context, _ *mcp.ServerSession, p *getSkillParams) (*getSkillResult, error) {
				return k.getSkill(ctx, p)
			}),
	)
	if err != nil {
		panic(err) // only a new version of the SDK can have methods with these names
	}
}

// skills returns every skill that the caller may read, in the order of URIs. If several packs contain a document, it is
// a skill of the first: hosts do not expect two skills with one name.
func (d shelf) skills(ctx context.Context) ([]skill, error) {
	left, err := d.o.Skills(ctx)
	if err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(l guidance.Left) bool { return mayRead(ctx, l.Key.Kind) != nil })
	packs := map[string]*knowledge.Pack{}
	var ids []string
	err = store.All(ctx, d.o.Store, knowledge.Query{
		Kind:  knowledge.KindPack,
		Order: knowledge.OrderID,
	}, func(r *knowledge.Record) error {
		doc, err := r.Document()
		if p, ok := doc.(*knowledge.Pack); ok && r.Active {
			packs[p.PackID], ids = p, append(ids, p.PackID)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	find := func(id string) (*knowledge.Pack, error) { return packs[id], nil }
	var list []skill
	taken := map[string]bool{} // names already used
	for _, id := range ids {
		held, err := knowledge.Compose([]string{id}, find)
		if err != nil {
			continue // it extends a missing pack: it contains nothing until that is fixed
		}
		for i := range left {
			l := &left[i]
			name := interchange.SkillName(l.Key)
			if taken[name] || held.HoldingOf(l.Key, l.Category, l.Tags) == nil {
				continue
			}
			taken[name] = true
			list = append(list, skill{skillScheme + id + "/" + name + skillFile, l.Key})
		}
	}
	list = list[:min(len(list), maxSkills)]
	slices.SortFunc(list, func(a, b skill) int { return strings.Compare(a.uri, b.uri) })
	return list, nil
}

// listSkills returns a page. Its cursor is the last URI, so that writes do not shift pages.
func (d shelf) listSkills(ctx context.Context, p *listSkillsParams) (*listSkillsResult, error) {
	list, err := d.skills(ctx)
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	r := &listSkillsResult{cacheable: uncached(), Skills: []*skillEntry{}}
	r.Meta = d.meta(ctx)
	from := 0
	if p != nil && p.Cursor != "" {
		if !strings.HasPrefix(p.Cursor, skillScheme) {
			return nil, refuse("cursor: want the one of the page before")
		}
		at, found := slices.BinarySearchFunc(list, p.Cursor,
			func(s skill, uri string) int { return strings.Compare(s.uri, uri) })
		if from = at; found {
			from++
		}
	}
	for i := from; i < len(list); i++ {
		if len(r.Skills) == skillPage {
			r.NextCursor = list[i-1].uri
			break
		}
		e, _, err := d.entry(ctx, list[i])
		if errors.Is(err, store.ErrNotFound) {
			continue // it was removed a moment ago
		}
		if err != nil {
			return nil, d.explain(ctx, err)
		}
		if e != nil {
			r.Skills = append(r.Skills, e)
		}
	}
	return r, nil
}

func (d shelf) getSkill(ctx context.Context, p *getSkillParams) (*getSkillResult, error) {
	if p == nil || p.URI == "" {
		return nil, refuse("uri: want the address of a skill, as skills/list shows it")
	}
	e, _, err := d.skillAt(ctx, p.URI)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, refuse("there is no skill %q", p.URI)
	}
	r := &getSkillResult{cacheable: uncached(), Skill: e}
	r.Meta = d.meta(ctx)
	return r, nil
}

func (d shelf) readSkill(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	e, text, err := d.skillAt(ctx, req.Params.URI)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, mcp.ResourceNotFoundError(req.Params.URI)
	}
	return &mcp.ReadResourceResult{Meta: d.meta(ctx), Contents: []*mcp.ResourceContents{{
		URI: e.URI, MIMEType: markdown,
		Text: text,
	}}}, nil
}

// skillAt returns the skill of a URI and its file; nil for none.
func (d shelf) skillAt(ctx context.Context, uri string) (*skillEntry, string, error) {
	list, err := d.skills(ctx)
	if err != nil {
		return nil, "", d.explain(ctx, err)
	}
	at, found := slices.BinarySearchFunc(list, uri,
		func(s skill, uri string) int { return strings.Compare(s.uri, uri) })
	if !found {
		return nil, "", nil
	}
	e, text, err := d.entry(ctx, list[at])
	if errors.Is(err, store.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", d.explain(ctx, err)
	}
	return e, text, nil
}

// entry reads a skill. It is nil if the document can't be a skill, because its name is too long.
func (d shelf) entry(ctx context.Context, s skill) (*skillEntry, string, error) {
	rec, doc, err := d.document(ctx, s.key.String())
	if err != nil {
		return nil, "", err
	}
	t := &interchange.Text{Key: s.key, Description: knowledge.Summary(doc), Body: guidance.Text(doc)}
	f, err := interchange.Skill(t, fmt.Sprintf("<!-- %s, version %d, kept in tenet. -->", rec.Key, rec.Version))
	if _, cannot := errors.AsType[*interchange.NarrowError](err); cannot {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(f.Data)
	return &skillEntry{
		URI:         s.uri,
		Frontmatter: map[string]string{"name": path.Base(path.Dir(f.Path)), "description": t.Description},
		Resources:   []skillResource{{s.uri, "sha256:" + hex.EncodeToString(sum[:]), len(f.Data)}},
	}, string(f.Data), nil
}
