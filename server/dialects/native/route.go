package native

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
	"github.com/capstan-video/capstan/server/service"
)

// route is one method of one path.
type route struct {
	method, path string
	role         core.Role // the least that may; empty: anybody, signed in or not
	tag, id      string
	summary      string
	text         string // what else there is to know
	status       int    // of success; 0: 200, 204 without an answer
	errors       []int  // besides those that follow from the rest
	bodyTypes    []string
	answerTypes  []string
	operation
}

// operation is a handler with the types that it reads and writes; nil: none.
type operation struct {
	params, body, answer reflect.Type
	patch                bool
	call                 func(*request) (any, error)
}

// none stands for no parameters, no body, or no answer.
type none struct{}

// raw is an answer that the handler has written by itself.
type raw struct{}

// read is an operation without a body.
func read[P, A any](f func(*request, P) (A, error)) operation {
	return operation{params: typeOf[P](), answer: typeOf[A](), call: func(r *request) (any, error) {
		p, err := bind[P](r)
		if err != nil {
			return nil, err
		}
		return f(r, p)
	}}
}

// write is an operation with a JSON body.
func write[P, B, A any](f func(*request, P, B) (A, error)) operation {
	return operation{params: typeOf[P](), body: typeOf[B](), answer: typeOf[A](), call: func(r *request) (any, error) {
		p, err := bind[P](r)
		if err != nil {
			return nil, err
		}
		v, err := r.json()
		if err != nil {
			return nil, err
		}
		b, err := decode[B](v)
		if err != nil {
			return nil, err
		}
		return f(r, p, b)
	}}
}

// change is an operation with a JSON merge patch of B as its body.
func change[P, B, A any](f func(*request, P, patch[B]) (A, error)) operation {
	return operation{params: typeOf[P](), body: typeOf[B](), answer: typeOf[A](), patch: true, call: func(r *request) (any, error) {
		p, err := bind[P](r)
		if err != nil {
			return nil, err
		}
		v, err := r.json()
		if err != nil {
			return nil, err
		}
		members, ok := v.(map[string]any)
		if !ok {
			return nil, &httpx.FormatError{Reason: "a merge patch is an object"}
		}
		return f(r, p, patch[B]{members})
	}}
}

func typeOf[T any]() reflect.Type {
	switch t := reflect.TypeFor[T](); t {
	case reflect.TypeFor[none](), reflect.TypeFor[raw]():
		return nil
	default:
		return t
	}
}

// patch is what is to be changed of a B.
type patch[B any] struct{ members map[string]any }

// has says whether a member is to be changed.
func (p patch[B]) has(name string) bool {
	_, ok := p.members[name]
	return ok
}

// of gives what now is when it is changed.
func (p patch[B]) of(now B) (B, error) {
	var zero B
	text, err := json.Marshal(now)
	if err != nil {
		return zero, err
	}
	v, err := parse(text)
	if err != nil {
		return zero, err
	}
	return decode[B](merge(v, p.members))
}

// merge is RFC 7396.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out, ok := target.(map[string]any)
	if !ok {
		out = map[string]any{}
	}
	for name, v := range changes {
		if v == nil {
			delete(out, name)
		} else {
			out[name] = merge(out[name], v)
		}
	}
	return out
}

// request is one call, by somebody who may call.
type request struct {
	*gin.Context
	*api
	who service.Caller
	via string
}

// signIn is what who is not known can do.
const signIn = "send a name and a password (HTTP Basic: curl -u NAME), or an API token (Authorization: Bearer TOKEN), which POST " + Base + "/tokens makes"

// hinted adds signIn to a fault that says nothing of what to do.
func hinted(err error) error {
	var f *core.Fault
	if !errors.As(err, &f) || f.Hint != "" {
		return err
	}
	c := *f
	c.Hint = signIn
	return &c
}

// handle gives gin's handler of a route.
func (a *api) handle(route route) gin.HandlerFunc {
	return func(c *gin.Context) {
		r := &request{Context: c, api: a}
		if route.role != "" {
			who, via, err := a.authenticate(c)
			if err != nil {
				if p := problemOf(err); p.Status == http.StatusUnauthorized {
					err = hinted(err)
					c.Header("WWW-Authenticate", `Basic realm="Capstan", charset="UTF-8", Bearer realm="Capstan"`)
				}
				a.refuse(c, err)
				return
			}
			if !who.Role.May(route.role) {
				f := core.Faultf(core.Denied, "", "role", "this takes the role %s; %q has %q", route.role, who.Name, who.Role)
				f.Hint = "ask an administrator"
				a.refuse(c, f)
				return
			}
			r.who, r.via = who, via
		}
		r.answer(route)
	}
}

func (r *request) answer(route route) {
	answer, err := route.call(r)
	if err != nil {
		if p := problemOf(err); p.Status == http.StatusServiceUnavailable {
			r.Header("Retry-After", "5")
		}
		r.refuse(r.Context, err)
		return
	}
	switch answer.(type) {
	case raw:
	case none:
		r.Status(http.StatusNoContent)
		r.Writer.WriteHeaderNow()
	default:
		r.writeJSON(max(route.status, http.StatusOK), answer)
	}
}

// writeJSON answers with a value. One that is a thing by itself has its tag as ETag.
func (r *request) writeJSON(status int, v any) {
	b, err := httpx.Marshal(v)
	if err != nil {
		panic(err)
	}
	if t, ok := v.(tagged); ok {
		tag := etag(t)
		r.Header("ETag", tag)
		if (r.Request.Method == http.MethodGet || r.Request.Method == http.MethodHead) && matches(r.GetHeader("If-None-Match"), tag) {
			r.Status(http.StatusNotModified)
			r.Writer.WriteHeaderNow()
			return
		}
	}
	httpx.WriteBytes(r.Context, status, "application/json", b)
}

// tagged are answers that can be changed: who changes one may say by If-Match which it has seen.
type tagged interface{ tagged() }

func etag(v tagged) string {
	b, err := httpx.Marshal(v)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// unchanged holds If-Match against what there is now. The lock of changes is held.
func (r *request) unchanged(now tagged) error {
	want := r.GetHeader("If-Match")
	if want == "" || matches(want, etag(now)) {
		return nil
	}
	f := core.Faultf(core.Invalid, "", "precondition", "it was changed meanwhile")
	f.Hint = "read it again, and change what is there now"
	return &statusError{http.StatusPreconditionFailed, f}
}

// json reads the body as one JSON value, numbers as json.Number.
func (r *request) json() (any, error) {
	r.limitTime()
	b, err := httpx.ReadAll(r.Request, r.opt.MaxJSON)
	if r.bodyRead(err) != nil {
		return nil, err
	}
	return parse(b)
}

// limitTime ends what is read of the body when it takes too long.
func (r *request) limitTime() {
	_ = http.NewResponseController(r.Writer).SetReadDeadline(time.Now().Add(r.opt.ReadLimit)) // recorders of tests have none
}

// bodyRead takes the limit back once the body was read: net/http takes a later deadline for a
// client that has gone. After a failure it stays, because net/http then reads the rest.
func (r *request) bodyRead(err error) error {
	if err == nil {
		_ = http.NewResponseController(r.Writer).SetReadDeadline(time.Time{})
	}
	return err
}
