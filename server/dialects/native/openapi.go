package native

import (
	"embed"
	"net/http"
	"path"
	"reflect"
	"slices"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/openapi"
)

// tags are the groups of routes, in the order of the document.
var tags = []openapi.Tag{
	{Name: "session", Description: "Who asks."},
	{Name: "streams", Description: "Cameras, webcams and files, and their analysis."},
	{Name: "premises", Description: "Places with streams."},
	{Name: "zones", Description: "Polygons and lines in which objects are counted."},
	{Name: "alarms", Description: "Conditions on what is in a zone."},
	{Name: "alerts", Description: "Times that an alarm was on."},
	{Name: "results", Description: "What is seen, as it comes."},
	{Name: "capsules", Description: "Who finds it, and how they are set."},
	{Name: "identities", Description: "Who is known by name, and by which vectors."},
	{Name: "files", Description: "Clips, pictures and packages that were uploaded, and frames of alerts."},
	{Name: "events", Description: "Where is told what happens, and what could not be."},
	{Name: "users", Description: "Who may do what, and who did."},
	{Name: "tokens", Description: "Keys for programs."},
	{Name: "server", Description: "The server and this document."},
	{Name: "operations", Description: "For those who operate the server."},
}

// endless says in the document what the events of an operation carry.
func endless(o operation) operation {
	o.answer = reflect.TypeFor[result]()
	return o
}

// document is made once, when it is first asked for.
var document struct {
	sync.Once
	text []byte
	err  error
}

// Document gives the OpenAPI document of the API, as JSON. Nobody changes it.
func Document() ([]byte, error) {
	document.Do(func() {
		doc, err := openapi.Build(info(), operations())
		if err == nil {
			document.text, err = doc.JSON()
		}
		if document.err = err; err != nil {
			document.err = core.Faultf(core.Internal, "openapi", "", "%w", err)
		}
	})
	return document.text, document.err
}

func info() openapi.Info {
	return openapi.Info{
		Title: "Capstan", Version: "1", Base: Base, Tags: tags,
		Description: "Capstan's own API: streams, zones, alarms, alerts, identities, capsules, users, and results as they come.\n\n" +
			"Lists are pages: `next` is the `cursor` of the next one. PATCH takes a JSON merge patch: what is given changes, null takes it back, the rest stays. " +
			"Who sends `If-Match` with the `ETag` that it has seen gets 412 when somebody else has changed the thing meanwhile. " +
			"Answers from 400 on are problems (RFC 9457) with the kind of fault, what to do, and who can mend it.",
		Security: map[string]any{
			"basic":   map[string]any{"type": "http", "scheme": "basic", "description": "Name and password of a user."},
			"bearer":  map[string]any{"type": "http", "scheme": "bearer", "description": "An API token: cap_…"},
			"session": map[string]any{"type": "apiKey", "in": "cookie", "name": sessionCookie, "description": "Of POST /session."},
		},
		Failure: reflect.TypeFor[problem](), FailureType: problemType,
	}
}

func operations() []openapi.Operation {
	var ops []openapi.Operation
	for _, r := range (&api{}).routes() {
		op := openapi.Operation{
			Method: r.method, Path: r.path, ID: r.id, Tag: r.tag, Summary: r.summary, Description: r.text, Open: r.role == "",
			Params: r.params, Body: r.body, BodyTypes: r.bodyTypes, Patch: r.patch, Status: r.status, Answer: r.answer, AnswerTypes: r.answerTypes,
			Errors: r.allErrors(),
		}
		if r.role != "" {
			role := "Takes the role " + string(r.role) + "."
			if op.Description != "" {
				role = op.Description + " " + role
			}
			op.Description = role
		}
		ops = append(ops, op)
	}
	return append(ops, besides()...)
}

// What answers beside the API, at the server's root (package observe).

type alive struct {
	Status string `json:"status" description:"alive"`
}

type readiness struct {
	Ready    bool              `json:"ready"`
	Reasons  map[string]string `json:"reasons,omitempty" description:"What keeps the server from answering, by name."`
	Degraded map[string]string `json:"degraded,omitempty" description:"What the server goes on without, by name: capsules that do not run."`
}

type refusal struct {
	Error string `json:"error"`
}

type profilePath struct {
	Profile string `path:"profile" description:"As of Go's net/http/pprof: heap, goroutine, profile, trace…"`
	Seconds int64  `query:"seconds" minimum:"1" description:"How long profile and trace look."`
}

// besides tells of what operators ask.
func besides() []openapi.Operation {
	bytes := []string{"application/octet-stream"}
	return []openapi.Operation{
		{Method: get, Path: "/healthz", Root: true, Open: true, ID: "getHealth", Tag: "operations", Summary: "Whether the process is alive", Answer: reflect.TypeFor[alive]()},
		{Method: get, Path: "/readyz", Root: true, Open: true, ID: "getReadiness", Tag: "operations", Summary: "Whether the server answers, and what is not well",
			Answer: reflect.TypeFor[readiness](), Errors: []int{http.StatusServiceUnavailable}, Failure: reflect.TypeFor[readiness]()},
		{Method: get, Path: "/metrics", Root: true, ID: "getMetrics", Tag: "operations", Summary: "Metrics for Prometheus", AnswerTypes: []string{"text/plain"},
			Errors: []int{401, 404, 503}, Failure: reflect.TypeFor[refusal](), Description: "Takes the role viewer; the configuration may let anybody in, or nobody."},
		{Method: get, Path: "/debug/pprof/{profile}", Root: true, ID: "getProfile", Tag: "operations", Summary: "Profiles of the server", AnswerTypes: bytes, Params: reflect.TypeFor[profilePath](),
			Errors: []int{401, 403, 404, 503}, Failure: reflect.TypeFor[refusal](), Description: "Takes the role admin, and pprof in the configuration."},
	}
}

// allErrors adds those that follow from what a route is.
func (r route) allErrors() []int {
	all := slices.Clone(r.errors)
	add := func(status int, when bool) {
		if when && !slices.Contains(all, status) {
			all = append(all, status)
		}
	}
	add(http.StatusBadRequest, r.params != nil || r.body != nil)
	add(http.StatusUnauthorized, r.role != "")
	add(http.StatusForbidden, r.role != "")
	add(http.StatusServiceUnavailable, true) // it starts or stops
	add(http.StatusNotFound, path.Base(r.path) != r.path[1:])
	add(http.StatusPreconditionFailed, r.method == patchM && r.patch || r.method == del)
	add(http.StatusRequestEntityTooLarge, r.body != nil)
	slices.Sort(all)
	return all
}

func (a *api) openAPI(r *request, _ none) (raw, error) {
	b, err := Document()
	if err != nil {
		return raw{}, err
	}
	httpx.WriteBytes(r.Context, http.StatusOK, "application/json", b)
	return raw{}, nil
}

type otherPath struct {
	API string `path:"api" description:"brainframe: the API of BrainFrame clients."`
}

func (a *api) otherAPI(r *request, p otherPath) (raw, error) {
	document := a.opt.Others[p.API]
	if document == nil {
		return raw{}, core.Faultf(core.NotFound, "", "api", "there is no API %.100q", p.API)
	}
	b, err := document()
	if err != nil {
		return raw{}, err
	}
	httpx.WriteBytes(r.Context, http.StatusOK, "application/json", b)
	return raw{}, nil
}

// docs has the files of the page that shows the document.
//
//go:embed docs
var docs embed.FS

// policy lets the page load its own files and ask this server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (a *api) docsPage(r *request, _ none) (raw, error) { return a.docsFile(r, docsPath{"index.html"}) }

type docsPath struct {
	File string `path:"file" description:"docs.js or docs.css."`
}

func (a *api) docsFile(r *request, p docsPath) (raw, error) {
	types := map[string]string{"index.html": "text/html; charset=utf-8", "docs.js": "text/javascript; charset=utf-8", "docs.css": "text/css; charset=utf-8"}
	if types[p.File] == "" {
		return raw{}, core.Faultf(core.NotFound, "", "file", "the page has no file %.100q", p.File)
	}
	b, err := docs.ReadFile("docs/" + p.File)
	if err != nil {
		return raw{}, core.Faultf(core.Internal, "", "file", "%w", err)
	}
	r.Header("Content-Security-Policy", policy)
	httpx.WriteBytes(r.Context, http.StatusOK, types[p.File], b)
	return raw{}, nil
}
