// Package console is the door for a person with a browser: what this is, whether it is well, and the documents to
// search and to read. Its pages need no script.
package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"tenet/internal/access"
	"tenet/internal/knowledge"
	"tenet/internal/store"
)

// Options is what a console is made of.
type Options struct {
	// Store answers, and decides what the caller of the context may see.
	Store store.Store
	// Authenticate returns who holds a token.
	Authenticate func(token string) (*access.Caller, error)
	// Level tells how fresh the answers are.
	Level func() knowledge.Level
	// Ready returns why tenet can't answer, nothing when it can.
	Ready func(ctx context.Context) []string
	// Version is that of the program.
	Version string
}

// A Door answers a browser. Make one with [New].
type Door struct {
	o      Options
	pages  *template.Template
	policy string // of what a page may load and do
	origin *http.CrossOriginProtection
}

var (
	//go:embed pages.html
	pagesText string
	//go:embed style.css
	styleText string
)

// New returns a console.
func New(o Options) *Door {
	sum := sha256.Sum256([]byte(styleText))
	return &Door{
		o: o,
		pages: template.Must(template.New("pages").Funcs(template.FuncMap{
			"style": func() template.CSS { return template.CSS(styleText) }, //nolint:gosec // our own
			"mode":  modeText, "sentence": sentence,
			"words": func(name string) string { return strings.ReplaceAll(name, "_", " ") },
		}).Parse(pagesText)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		origin: http.NewCrossOriginProtection(),
	}
}

// Paths of the console.
const (
	homePath    = "/"
	searchPath  = "/search"
	readPath    = "/read/"
	signInPath  = "/sign-in"
	signOutPath = "/sign-out"
)

// Routes are the methods and paths that a console answers, as a [http.ServeMux] takes them.
func Routes() []string {
	return []string{
		"GET " + homePath + "{$}", "GET " + searchPath, "GET " + readPath + "{kind}", "GET " + readPath + "{kind}/{id}",
		"POST " + signInPath, "POST " + signOutPath,
	}
}

// cookieName names the cookie with the token of who signed in. Only the console reads it: no other door takes a cookie
// for a token, so that a page of another site can do nothing in its reader's name.
const cookieName = "tenet_session"

// Token returns the token that a request signed in with, "" for none.
func (d *Door) Token(r *http.Request) string {
	if c, err := r.Cookie(cookieName); err == nil {
		return c.Value
	}
	return ""
}

// A view is what a page shows.
type view struct {
	Title  string
	Caller *access.Caller // nil for a stranger
	Query  string
	Kind   string // that is searched
	Here   string // where to come back to after signing in
	Level  knowledge.Level
	Marks  []string // the confidential categories that it shows
	Body   any
}

// Serve answers a request of one of the [Routes]; the context says who is calling. An error is shown by [Door.Refusal].
func (d *Door) Serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		return d.post(w, r)
	}
	v := &view{Caller: access.CallerFrom(r.Context()), Here: r.URL.RequestURI(), Level: d.o.Level()}
	page, err := d.read(r, v)
	if err != nil {
		return err
	}
	v.Marks = store.MarksOf(r.Context()).Categories()
	b, err := d.render(page, v)
	if err != nil {
		return err
	}
	d.Head(w.Header())
	_, err = w.Write(b) //nolint:gosec // the template has escaped it
	return err
}

// read fills in a view, and returns the name of its page.
func (d *Door) read(r *http.Request, v *view) (page string, err error) {
	if r.URL.Path == homePath {
		v.Title = "Tenet"
		v.Body, err = d.home(r.Context(), v)
		return "home", err
	}
	if v.Caller == nil {
		return "", store.ErrUnauthenticated
	}
	if r.URL.Path == searchPath {
		v.Body, err = d.search(r, v)
		return "search", err
	}
	kind, err := knowledge.ParseKind(r.PathValue("kind"))
	if err != nil {
		return "", &store.NotFoundError{Key: knowledge.Key{Kind: knowledge.Kind(r.PathValue("kind"))}}
	}
	if id := r.PathValue("id"); id != "" {
		v.Body, err = d.document(r.Context(), v, knowledge.Key{Kind: kind, ID: id})
		return "document", err
	}
	v.Body, err = d.list(r, v, kind)
	return "list", err
}

// Head sets the headers of every page.
func (d *Door) Head(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", d.policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

func (d *Door) render(page string, v *view) ([]byte, error) {
	var b bytes.Buffer
	if err := d.pages.ExecuteTemplate(&b, page, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// A refusal is what went wrong, for a page.
type refusal struct {
	Status        int
	Title, Detail string
	SignIn        bool
}

// Refusal returns the page that tells what went wrong with a request.
func (d *Door) Refusal(r *http.Request, status int, title, detail string) []byte {
	v := &view{
		Title: title, Caller: access.CallerFrom(r.Context()), Level: d.o.Level(),
		Body: refusal{Status: status, Title: title, Detail: detail, SignIn: status == http.StatusUnauthorized},
	}
	if r.Method == http.MethodGet {
		v.Here = r.URL.RequestURI()
	}
	if path := r.URL.Path; v.Body.(refusal).SignIn && (r.Method == http.MethodPost ||
		strings.HasPrefix(path, "/api/")) { // made here
		v.Here = homePath // what answers to a header alone is no place to come back to
	}
	b, err := d.render("refusal", v)
	if err != nil {
		return []byte(template.HTMLEscapeString(title))
	}
	return b
}

// post signs in or out.
func (d *Door) post(w http.ResponseWriter, r *http.Request) error {
	if err := d.origin.Check(r); err != nil {
		return &store.ForbiddenError{Reason: "the form was sent by a page of another site: sign in here"}
	}
	cookie := &http.Cookie{ //nolint:gosec // Secure wherever the browser has come over TLS; a tenet on this machine speaks without
		Name: cookieName, Path: homePath, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
	here := homePath
	if r.URL.Path == signOutPath {
		cookie.MaxAge = -1
	} else {
		form, err := url.ParseQuery(formOf(r))
		if err != nil {
			return knowledge.BadQuery("token", "the form can't be read")
		}
		cookie.Value = strings.TrimSpace(form.Get("token"))
		if _, err := d.o.Authenticate(cookie.Value); err != nil {
			return err
		}
		if next := form.Get("next"); ownPath(next) {
			here = next
		}
	}
	http.SetCookie(w, cookie)
	w.Header().Set("Location", here)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// maxForm bounds the form of who signs in.
const maxForm = 16 << 10

// formOf returns the form that a request carries, "" where it is too long or broken off.
func formOf(r *http.Request) string {
	var b bytes.Buffer
	if n, err := b.ReadFrom(http.MaxBytesReader(nil, r.Body, maxForm)); err != nil || n == 0 {
		return ""
	}
	return b.String()
}

// ownPath reports whether a text is a path of this tenet and no way to another site.
func ownPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") &&
		!strings.ContainsAny(s, "\\\r\n\t")
}

func modeText(m knowledge.Mode) string {
	switch m {
	case knowledge.ModeNormal:
		return "Everything is well."
	case knowledge.ModeDegraded:
		return "The primary database is away: reads are answered from this machine's own copy, and writes wait for it."
	case knowledge.ModeRecovering:
		return "The primary database is back, and what waited is being brought to it."
	case knowledge.ModeCold:
		return "The primary database is away, and there is no copy of it yet: the starter set is shown."
	case knowledge.ModeDiverged:
		return "The primary database is another than before: a person has to decide what to follow."
	}
	return ""
}
