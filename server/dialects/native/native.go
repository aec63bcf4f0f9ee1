// Package native is Capstan's own HTTP API, below /capstan/v1: everything that the server does,
// in the terms of core, with results as they come.
//
// One table (routes.go) has every route with its role and the Go types that it reads and writes:
// handlers, the OpenAPI document, its page and the test of roles follow from it.
package native

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// Base is what all paths begin with.
const Base = "/capstan/v1"

// Service is what the API needs of the server.
type Service interface {
	service.API

	Bearer(ctx context.Context, secret string) (service.Caller, error)
	SignOut(ctx context.Context, token string) error
	Tokens(ctx context.Context, c service.Caller) ([]core.Token, error)
	CreateToken(ctx context.Context, c service.Caller, k core.Token) (core.Token, string, error)
	RevokeToken(ctx context.Context, c service.Caller, id core.TokenID) error

	Watch(ctx context.Context, c service.Caller, n core.StreamNumber, since uint64) (*service.Watch, error)
	Shot(ctx context.Context, c service.Caller, n core.StreamNumber) ([]byte, error)
	Audit(ctx context.Context, c service.Caller, before int64, most int) ([]core.AuditEntry, error)
	Blobs(ctx context.Context, c service.Caller, after core.BlobID, most int) ([]core.Blob, error)

	Destinations(ctx context.Context, c service.Caller) ([]service.Destination, error)
	Destination(ctx context.Context, c service.Caller, id int64) (service.Destination, error)
	SaveDestination(ctx context.Context, c service.Caller, d service.Destination) (service.Destination, error)
	DeleteDestination(ctx context.Context, c service.Caller, id int64) error
	TestDestination(ctx context.Context, c service.Caller, id int64) error
	DeadLetters(ctx context.Context, c service.Caller, destination int64, p store.Page) ([]service.DeadLetter, int, error)
	Replay(ctx context.Context, c service.Caller, id int64) error
	ReplayAll(ctx context.Context, c service.Caller, destination int64) (int, error)
	DiscardDeadLetter(ctx context.Context, c service.Caller, id int64) error
}

// Options are the settings of the API; zero ones have defaults.
type Options struct {
	Version    string        // of the server
	MaxJSON    int64         // bytes of a JSON body; default 4 MiB
	MaxPicture int64         // bytes of a picture for process_image; default 32 MiB
	MaxUpload  int64         // bytes of an uploaded file; default 64 GiB
	KeepAlive  time.Duration // between two signs of life of live results; default 10 s
	ReadLimit  time.Duration // for a body; of an upload, between two parts of it; default 60 s
	Recheck    time.Duration // how often a reader of live results has to be let in anew; default 1 min
	WriteLimit time.Duration // after which a reader of live results that takes nothing is let go; default 30 s

	// Others are documents of the other APIs of the server, by name, for the page.
	Others map[string]func() ([]byte, error)
}

func (o Options) withDefaults() Options {
	fill(&o.Version, "devel")
	fill(&o.MaxJSON, 4<<20)
	fill(&o.MaxPicture, 32<<20)
	fill(&o.MaxUpload, 64<<30)
	fill(&o.KeepAlive, 10*time.Second)
	fill(&o.ReadLimit, time.Minute)
	fill(&o.WriteLimit, 30*time.Second)
	fill(&o.Recheck, time.Minute)
	return o
}

func fill[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Handler answers all below Base. It is safe for use by several goroutines.
type Handler struct {
	engine  *gin.Engine
	sockets *sync.WaitGroup
}

// api has the handlers.
type api struct {
	svc     Service
	opt     Options
	log     hclog.Logger
	fail    *httpx.Failer
	begun   time.Time
	known   passwords
	encoded encoder
	cross   *http.CrossOriginProtection
	sockets sync.WaitGroup // open WebSockets, for which http.Server.Shutdown does not wait
	change  sync.Mutex     // held from the check of If-Match to the end of the change
}

// New gives the API over svc. When the server ends, the service has to close first: that ends live
// results; Wait is for those that are WebSockets.
func New(svc Service, log hclog.Logger, opt Options) *Handler {
	a := &api{svc: svc, opt: opt.withDefaults(), log: log, fail: httpx.NewFailer(log, reply), begun: time.Now(), cross: http.NewCrossOriginProtection()}
	a.known.init()
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash, e.RedirectFixedPath = false, false
	e.Use(httpx.Log(log), httpx.Recover(log, a.refuse), secure, a.ready)
	e.NoRoute(func(c *gin.Context) {
		if c.Request.Method == http.MethodGet && strings.TrimSuffix(c.Request.URL.Path, "/") == Base {
			c.Redirect(http.StatusFound, Base+"/docs")
			return
		}
		a.refuse(c, core.Faultf(core.NotFound, "", "path", "there is nothing at %.200q", c.Request.URL.Path))
	})
	e.NoMethod(func(c *gin.Context) {
		a.refuse(c, &statusError{http.StatusMethodNotAllowed, core.Faultf(core.Invalid, "", "method", "%.20q is not a method of %.200q", c.Request.Method, c.Request.URL.Path)})
	})
	for _, r := range a.routes() {
		e.Handle(r.method, Base+ginPath(r.path), a.handle(r))
		if r.method == http.MethodGet && !slices.Contains(r.answerTypes, "text/event-stream") {
			e.Handle(http.MethodHead, Base+ginPath(r.path), a.handle(r)) // net/http leaves the body out
		}
	}
	return &Handler{engine: e, sockets: &a.sockets}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.engine.ServeHTTP(w, r) }

// Wait waits until every WebSocket is closed, or ctx ends. The service has to be closed before.
func (h *Handler) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.sockets.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// refuse answers with a problem. Failures are not kept by anybody on the way.
func (a *api) refuse(c *gin.Context, err error) {
	c.Header("Cache-Control", "no-store")
	a.fail.Fail(c, err)
}

// secure sets what keeps browsers from misusing answers.
func secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// ready holds everybody off while the server starts and stops.
func (a *api) ready(c *gin.Context) {
	if !a.svc.Ready() {
		c.Header("Retry-After", "1")
		a.refuse(c, core.Faultf(core.Closed, "", "server", "the server is starting or stopping; ask again in a moment"))
	}
}

// ginPath writes {stream} as :stream.
func ginPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}
