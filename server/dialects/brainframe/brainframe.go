// Package brainframe is the BrainFrame dialect: the vendor's HTTP API, to the letter, so that its
// Python client (brainframe-api 0.30) and its desktop client work unchanged.
package brainframe

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// Version is what clients are told by default. The desktop client compares the first two numbers
// with its own.
const Version = "0.30.5"

// Options are the settings of the dialect; zero ones have defaults.
type Options struct {
	Version    string        // told to clients; default Version
	MaxJSON    int64         // bytes of a JSON body; default 4 MiB
	MaxPicture int64         // bytes of a picture for process_image; default 32 MiB
	MaxUpload  int64         // bytes of an upload to the storage; default 64 GiB
	MaxStreams int64         // told as a term of the licence; default: as many as fit into 31 bits
	KeepAlive  time.Duration // of the status stream, below 10 s; default 3 s
	ReadLimit  time.Duration // for a body; of an upload, between two parts of it; default 60 s
	WriteLimit time.Duration // after which a reader of the status stream that takes nothing is let go; default 30 s
}

func (o Options) withDefaults() Options {
	fill(&o.Version, Version)
	fill(&o.MaxJSON, 4<<20)
	fill(&o.MaxPicture, 32<<20)
	fill(&o.MaxUpload, 64<<30)
	fill(&o.MaxStreams, math.MaxInt32)
	fill(&o.KeepAlive, 3*time.Second)
	fill(&o.ReadLimit, time.Minute)
	fill(&o.WriteLimit, 30*time.Second)
	return o
}

func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// api has the handlers.
type api struct {
	svc     service.API
	log     hclog.Logger
	opt     Options
	fail    *httpx.Failer
	packets packets
}

// New gives the dialect over svc. The handler must see paths as they come: http.ServeMux redirects
// double slashes, which the client does not survive. When the server ends, the service has to
// close first: that breaks the status streams off, for which http.Server.Shutdown would wait.
func New(svc service.API, log hclog.Logger, opt Options) http.Handler {
	a := &api{svc: svc, log: log, opt: opt.withDefaults(), fail: httpx.NewFailer(log, reply)}
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.RemoveExtraSlash, e.HandleMethodNotAllowed = true, true
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.Use(httpx.Log(log), httpx.Recover(log, a.fail.Fail), a.ready)
	e.NoRoute(func(c *gin.Context) {
		a.fail.Fail(c, &apiError{"UnknownError", http.StatusNotFound, "there is nothing at " + c.Request.URL.Path})
	})
	e.NoMethod(func(c *gin.Context) {
		a.fail.Fail(c, &apiError{"UnknownError", http.StatusMethodNotAllowed, c.Request.Method + " is not a method of " + c.Request.URL.Path})
	})
	r := routes{a, e.Group("/api", a.authenticate)}
	r.streams()
	r.zones()
	r.capsules()
	r.identities()
	r.storage()
	r.administration()
	return e
}

// ready holds everybody off while the server starts.
func (a *api) ready(c *gin.Context) {
	if !a.svc.Ready() {
		a.fail.Fail(c, notReady("the server is starting; ask again in a moment"))
	}
}

// request is one call, by somebody who may call.
type request struct {
	*gin.Context
	who   service.Caller
	limit int64         // of a JSON body, in bytes
	time  time.Duration // for a body
}

// json reads the body.
func (r *request) json() (httpx.Value, error) {
	r.limitTime()
	v, err := httpx.ReadJSON(r.Request, r.limit)
	return v, r.bodyRead(err)
}

// limitTime ends what is read of the body when it takes too long.
func (r *request) limitTime() {
	_ = http.NewResponseController(r.Writer).SetReadDeadline(time.Now().Add(r.time)) // recorders of tests have none
}

// bodyRead takes the limit back once the body was read: net/http takes a later deadline for a
// client that has gone. After a failure it stays, because net/http then reads the rest.
func (r *request) bodyRead(err error) error {
	if err == nil {
		_ = http.NewResponseController(r.Writer).SetReadDeadline(time.Time{})
	}
	return err
}

// body reads the body by one of the parse functions.
func body[T any](r *request, parse func(httpx.Value) (T, error)) (T, error) {
	v, err := r.json()
	if err != nil {
		var zero T
		return zero, err
	}
	return parse(v)
}

func (r *request) query() (httpx.Query, error) { return httpx.ReadQuery(r.Request) }

// pathID reads the ID of a noun in the path. A number that can be no ID is one that does not
// exist.
func pathID[T ~int64](r *request, on string) (T, error) {
	s := r.Param("id")
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && n > 0 {
		return T(n), nil
	}
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, &httpx.FormatError{Field: "path", Reason: strconv.Quote(s) + " is not the ID of a " + on}
	}
	return 0, core.Faultf(core.NotFound, "", on, "there is no %s %s", on, s)
}

// name reads a capsule's name in the path.
func (r *request) name() (string, error) {
	s := r.Param("name")
	if err := httpx.CheckText(s); err != nil {
		return "", &httpx.FormatError{Field: "path", Reason: err.Error()}
	}
	return s, nil
}

// nothing is the answer with an empty body.
type nothing struct{}

// raw is an answer that the handler has written by itself.
type raw struct{}

// routes registers handlers.
type routes struct {
	*api
	group *gin.RouterGroup
}

// handle registers a handler that gives the answer as a value.
func (r routes) handle(method, path string, h func(*request) (any, error)) {
	r.group.Handle(method, path, func(c *gin.Context) {
		who, _ := c.MustGet(callerKey).(service.Caller)
		answer, err := h(&request{c, who, r.opt.MaxJSON, r.opt.ReadLimit})
		if err != nil {
			r.fail.Fail(c, err)
			return
		}
		switch answer := answer.(type) {
		case raw:
		case nothing:
			httpx.WriteBytes(c, http.StatusOK, "application/json", nil)
		default:
			httpx.WriteJSON(c, http.StatusOK, answer)
		}
	})
}

// get answers HEAD too: net/http leaves the body out.
func (r routes) get(path string, h func(*request) (any, error)) {
	r.handle(http.MethodGet, path, h)
	r.handle(http.MethodHead, path, h)
}
func (r routes) post(path string, h func(*request) (any, error)) { r.handle(http.MethodPost, path, h) }
func (r routes) put(path string, h func(*request) (any, error))  { r.handle(http.MethodPut, path, h) }
func (r routes) patch(path string, h func(*request) (any, error)) {
	r.handle(http.MethodPatch, path, h)
}
func (r routes) delete(path string, h func(*request) (any, error)) {
	r.handle(http.MethodDelete, path, h)
}
