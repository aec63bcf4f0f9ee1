// Package httpx is what all HTTP dialects share: bodies that are read strictly and within limits,
// a request log, panics that become answers, and one way to fail.
package httpx

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/hashicorp/go-hclog"
)

// Reply is an answer to a failed request: the status and the JSON body of a dialect.
type Reply struct {
	Status int
	Body   any
	Type   string // of the body; empty: application/json
}

// Failer turns errors into answers. It is safe for use by several goroutines.
type Failer struct {
	log   hclog.Logger
	reply func(error) Reply
}

// NewFailer gives a Failer that answers what reply makes of an error. What is answered with 500
// is logged in full, because the answer should not tell it.
func NewFailer(log hclog.Logger, reply func(error) Reply) *Failer { return &Failer{log, reply} }

// Fail answers the request and keeps later handlers from running. A cookie that was to be set is
// not: nobody has signed in. Once the answer has begun the connection is broken off instead.
func (f *Failer) Fail(c *gin.Context, err error) {
	r := f.reply(err)
	if r.Status == http.StatusInternalServerError {
		f.log.Error("request failed", "method", c.Request.Method, "path", c.Request.URL.Path, "error", err)
	} else {
		f.log.Debug("request refused", "method", c.Request.Method, "path", c.Request.URL.Path, "status", r.Status, "error", err)
	}
	if c.Writer.Written() {
		panic(http.ErrAbortHandler)
	}
	c.Writer.Header().Del("Set-Cookie")
	if r.Type == "" {
		r.Type = "application/json"
	}
	writeJSON(c, r.Status, r.Type, r.Body)
	c.Abort()
}

// Recover answers panics by fail, and lets http.ErrAbortHandler through: gin's own recovery
// swallows it, so that a stream that was to be broken off would end as if it were complete.
func Recover(log hclog.Logger, fail func(*gin.Context, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				log.Error("panic", "method", c.Request.Method, "path", c.Request.URL.Path, "panic", p, "stack", hclog.Stacktrace())
				fail(c, errPanic)
			}
		}()
		c.Next()
	}
}

var errPanic = errors.New("a panic: the log tells more")

// Log writes one line a request, at level debug, and names the route for WithRoute. Queries are left
// out: they may hold secrets.
func Log(log hclog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		tellRoute(c)
		if !log.IsDebug() {
			c.Next()
			return
		}
		begun := time.Now()
		defer func() {
			log.Debug("request", "method", c.Request.Method, "path", c.Request.URL.Path, "status", c.Writer.Status(),
				"bytes", max(0, c.Writer.Size()), "took", time.Since(begun).Round(time.Microsecond), "from", c.Request.RemoteAddr)
		}()
		c.Next()
	}
}
