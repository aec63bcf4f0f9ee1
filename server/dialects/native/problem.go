package native

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/httpx"
)

// problem is the body of every answer from 400 on: RFC 9457.
type problem struct {
	Type   string `json:"type" description:"Names the kind of problem."`
	Title  string `json:"title" description:"The kind in words."`
	Status int    `json:"status" description:"The HTTP status."`
	Detail string `json:"detail" description:"What happened."`
	Kind   string `json:"kind" description:"The kind of fault, for programs."`
	On     string `json:"on" description:"The noun that it is about: stream, zone, option… May be empty."`
	Blame  string `json:"blame" enum:"caller,source,capsule,capstan" description:"Who can mend it."`
	Hint   string `json:"hint,omitempty" description:"What to do about it."`
}

// problemType is the media type of a problem.
const problemType = "application/problem+json"

// statusError gives a fault another status than that of its kind.
type statusError struct {
	status int
	fault  *core.Fault
}

func (e *statusError) Error() string { return e.fault.Error() }
func (e *statusError) Unwrap() error { return e.fault }

// kindStatus is the HTTP status of each kind of fault; statusOn has what differs by noun.
var kindStatus = map[core.Kind]int{
	core.Invalid: http.StatusBadRequest, core.NotFound: http.StatusNotFound, core.Exists: http.StatusConflict,
	core.Denied: http.StatusForbidden, core.Cancelled: 499, // nobody reads it
	core.SourceOpen: http.StatusBadGateway, core.SourceBroken: http.StatusBadGateway, core.SourceFormat: http.StatusBadGateway,
	core.SourceStalled: http.StatusGatewayTimeout,
	core.CapsuleStart:  http.StatusUnprocessableEntity, core.CapsuleVersion: http.StatusUnprocessableEntity,
	core.CapsuleExited: http.StatusBadGateway, core.CapsuleDeadline: http.StatusGatewayTimeout, core.CapsuleGarbage: http.StatusBadGateway,
	core.CapsuleContract: http.StatusBadGateway, core.CapsuleFailed: http.StatusBadGateway, core.CapsuleLimit: http.StatusBadGateway,
	core.Unsupported: http.StatusNotImplemented, core.Exhausted: http.StatusServiceUnavailable, core.Closed: http.StatusServiceUnavailable,
}

type kindOn struct {
	kind core.Kind
	on   string
}

var statusOn = map[kindOn]int{
	{core.Denied, "credentials"}:  http.StatusUnauthorized,
	{core.Denied, "session"}:      http.StatusUnauthorized,
	{core.Denied, "zone"}:         http.StatusConflict, // Screen stays as it is
	{core.Denied, "admin"}:        http.StatusConflict, // the last one stays
	{core.Denied, "destination"}:  http.StatusConflict, // the configuration's
	{core.Denied, "address"}:      http.StatusUnprocessableEntity,
	{core.NotFound, "detection"}:  http.StatusUnprocessableEntity,
	{core.NotFound, "detector"}:   http.StatusUnprocessableEntity,
	{core.NotFound, "encoder"}:    http.StatusUnprocessableEntity,
	{core.NotFound, "option"}:     http.StatusUnprocessableEntity,
	{core.Invalid, "detection"}:   http.StatusUnprocessableEntity,
	{core.Invalid, "image"}:       http.StatusUnprocessableEntity,
	{core.Invalid, "option"}:      http.StatusUnprocessableEntity,
	{core.Invalid, "capsule"}:     http.StatusUnprocessableEntity,
	{core.Exhausted, "vector"}:    http.StatusUnprocessableEntity,
	{core.Exhausted, "blob"}:      http.StatusInsufficientStorage,
	{core.Exhausted, "disk"}:      http.StatusInsufficientStorage,
	{core.Unsupported, "capsule"}: http.StatusUnprocessableEntity,
}

// hidden is told of faults of ours; the log has the rest.
const hidden = "an internal error: the server's log tells more"

// reply makes the answer to an error.
func reply(err error) httpx.Reply {
	p := problemOf(err)
	p.Type = Base + "/docs#" + strings.ReplaceAll(p.Kind, "_", "-")
	return httpx.Reply{Status: p.Status, Body: p, Type: problemType}
}

func problemOf(err error) problem {
	var (
		f      *core.Fault
		status *statusError
		syntax *httpx.SyntaxError
		format *httpx.FormatError
		large  *httpx.TooLargeError
	)
	switch {
	case errors.As(err, &status):
		p := ofFault(status.fault)
		p.Status = status.status
		return p
	case errors.As(err, &large):
		p := ofFault(core.Faultf(core.Invalid, "", "body", "%w", err))
		p.Status = http.StatusRequestEntityTooLarge
		return p
	case errors.As(err, &syntax), errors.As(err, &format):
		return ofFault(core.Faultf(core.Invalid, "", "request", "%w", err))
	case errors.As(err, &f):
		return ofFault(f)
	case errors.Is(err, context.Canceled):
		return ofFault(core.Faultf(core.Cancelled, "", "request", "the request was given up"))
	default:
		return ofFault(&core.Fault{Kind: core.Internal})
	}
}

// ofFault tells a fault. On may carry a number or name after its noun.
func ofFault(f *core.Fault) problem {
	p := problem{
		Title: f.Kind.String(), Kind: strings.ReplaceAll(f.Kind.String(), " ", "_"), On: f.On, Blame: f.Kind.Blame(), Hint: f.Hint,
		Status: http.StatusInternalServerError, Detail: hidden,
	}
	noun, _, _ := strings.Cut(f.On, " ")
	if s, ok := statusOn[kindOn{f.Kind, noun}]; ok {
		p.Status = s
	} else if s, ok := kindStatus[f.Kind]; ok {
		p.Status = s
	}
	if p.Status == http.StatusInternalServerError {
		p.On = ""
		return p
	}
	if p.Detail = f.Kind.String(); f.Err != nil {
		p.Detail = detail(f)
	}
	return p
}

// detail joins operation, noun and cause, without the hint, which has a place of its own.
func detail(f *core.Fault) string {
	plain := *f
	plain.Hint = ""
	return plain.Error()
}
