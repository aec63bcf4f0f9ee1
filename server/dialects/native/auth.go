package native

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// sessionCookie is that of the BrainFrame dialect too: who has signed in has for both.
const sessionCookie = "session_id"

// How a caller has shown who it is.
const (
	viaNobody   = "nobody" // authorization is off
	viaPassword = "password"
	viaSession  = "session"
	viaToken    = "token"
)

// authenticate finds out who asks: by token, by name and password, by session, else nobody, who
// may ask only where authorization is off. There everybody may, whatever they send.
func (a *api) authenticate(c *gin.Context) (service.Caller, string, error) {
	who, via, err := a.caller(c)
	if err != nil {
		if anybody, e := a.svc.Anonymous(); e == nil {
			who, via, err = anybody, viaNobody, nil
		}
	}
	if err == nil && via != viaToken {
		// Browsers send cookies and passwords along to whoever's page asks for it, but no tokens.
		if e := a.cross.Check(c.Request); e != nil {
			f := core.Faultf(core.Denied, "", "origin", "a page of another origin may not do this: %w", e)
			f.Hint = "use an API token"
			err = f
		}
	}
	return who, via, err
}

func (a *api) caller(c *gin.Context) (service.Caller, string, error) {
	ctx := c.Request.Context()
	header := c.GetHeader("Authorization")
	if scheme, secret, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
		who, err := a.svc.Bearer(ctx, strings.TrimSpace(secret))
		return who, viaToken, err
	}
	if header != "" {
		name, password, ok := c.Request.BasicAuth()
		if !ok {
			return service.Caller{}, "", core.Faultf(core.Denied, "", "credentials", "the Authorization header is neither HTTP Basic nor Bearer")
		}
		who, err := a.known.in(service.From(ctx, c.Request.RemoteAddr), a.svc, httpx.Credential(name), httpx.Credential(password))
		return who, viaPassword, err
	}
	if cookie, err := c.Request.Cookie(sessionCookie); err == nil {
		who, err := a.svc.Resume(ctx, cookie.Value)
		return who, viaSession, err
	}
	who, err := a.svc.Anonymous()
	return who, viaNobody, err
}

// setSession keeps the session in the browser, or (empty) takes it away.
func setSession(c *gin.Context, token string) {
	cookie := &http.Cookie{
		Name: sessionCookie, Value: token, Path: "/", HttpOnly: true, Secure: c.Request.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
	if token == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.Writer, cookie)
}

// maxPasswords bounds how many are known.
const maxPasswords = 1000

// passwords know the sessions of those who send their password with every request, as scripts do:
// to check one takes a tenth of a second, and each would leave a session behind.
type passwords struct {
	key [32]byte

	mu       sync.Mutex
	sessions map[[32]byte]string // by a hash of name and password
}

func (p *passwords) init() {
	_, _ = rand.Read(p.key[:]) // never fails
	p.sessions = map[[32]byte]string{}
}

func (p *passwords) hash(name, password string) (out [32]byte) {
	h := hmac.New(sha256.New, p.key[:])
	h.Write([]byte(name + "\x00" + password))
	copy(out[:], h.Sum(nil))
	return out
}

// in gives the caller of a name and password. A session that is over, as when the password has
// changed, is forgotten.
func (p *passwords) in(ctx context.Context, svc Service, name, password string) (service.Caller, error) {
	key := p.hash(name, password)
	p.mu.Lock()
	token, ok := p.sessions[key]
	p.mu.Unlock()
	if ok {
		who, err := svc.Resume(ctx, token)
		if core.KindOf(err) != core.Denied {
			return who, err
		}
	}
	who, token, err := svc.Authenticate(ctx, name, password)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, key)
	if err == nil {
		if len(p.sessions) >= maxPasswords {
			clear(p.sessions)
		}
		p.sessions[key] = token
	}
	return who, err
}
