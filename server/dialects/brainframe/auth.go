package brainframe

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

const (
	sessionCookie = "session_id"
	callerKey     = "caller"
)

// authenticate finds out who asks: by name and password, else by the session, else nobody, who
// may ask only where authorization is off. There everybody may, whatever they send. While that
// cannot be found out, as without the database, clients have to wait: of any other error the
// receiver of statuses dies.
func (a *api) authenticate(c *gin.Context) {
	who, err := a.caller(c)
	if err != nil {
		if anybody, e := a.svc.Anonymous(); e == nil {
			who, err = anybody, nil
		}
	}
	switch kind := core.KindOf(err); {
	case err == nil:
		c.Set(callerKey, who)
	case kind == core.Internal:
		a.log.Error("nobody can be known", "method", c.Request.Method, "path", c.Request.URL.Path, "error", err)
		a.fail.Fail(c, notReady("the server cannot find out who asks: its log tells more; ask again in a moment"))
	default:
		c.Header("WWW-Authenticate", `Basic realm="Capstan"`)
		a.fail.Fail(c, err)
	}
}

func (a *api) caller(c *gin.Context) (service.Caller, error) {
	ctx := c.Request.Context()
	if who, ok, err := a.bearer(c); ok {
		return who, denied(err, "UnauthorizedError")
	}
	if c.GetHeader("Authorization") != "" {
		name, password, ok := c.Request.BasicAuth()
		if !ok {
			return service.Caller{}, refuse("UnauthorizedError", "the Authorization header is not one of HTTP Basic")
		}
		who, token, err := a.svc.Authenticate(service.From(ctx, c.Request.RemoteAddr), httpx.Credential(name), httpx.Credential(password))
		if err == nil && token != "" {
			setSession(c, token)
		}
		return who, denied(err, "UnauthorizedError")
	}
	if cookie, err := c.Request.Cookie(sessionCookie); err == nil {
		who, err := a.svc.Resume(ctx, cookie.Value)
		return who, denied(err, "InvalidSessionError")
	}
	who, err := a.svc.Anonymous()
	return who, denied(err, "UnauthorizedError")
}

// bearer gives the caller of an API token, where the request has one and the service knows any. The
// vendor's clients send none.
func (a *api) bearer(c *gin.Context) (service.Caller, bool, error) {
	tokens, ok := a.svc.(interface {
		Bearer(ctx context.Context, secret string) (service.Caller, error)
	})
	scheme, secret, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return service.Caller{}, false, nil
	}
	who, err := tokens.Bearer(c.Request.Context(), strings.TrimSpace(secret))
	return who, true, err
}

// denied names a refusal by how the caller tried.
func denied(err error, title string) error {
	if core.KindOf(err) == core.Denied {
		return refuse(title, err.Error())
	}
	return err
}

func setSession(c *gin.Context, token string) {
	http.SetCookie(c.Writer, &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/", HttpOnly: true, Secure: c.Request.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}
