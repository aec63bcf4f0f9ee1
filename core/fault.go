package core

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what went wrong. The numbers cross process lines and disks: they never change
// meaning, and new ones are added at the end of their block.
type Kind int

// The kinds of fault, grouped by whose fault they are.
const (
	Unknown Kind = 0 // not classified; treated as ours

	// The caller's.
	Invalid   Kind = 100 // a value that is not allowed
	NotFound  Kind = 101 // the named thing does not exist
	Exists    Kind = 102 // the name is taken
	Denied    Kind = 103 // the caller may not do this
	Cancelled Kind = 104 // the caller gave up

	// The source's (camera, file, network).
	SourceOpen    Kind = 200 // the source cannot be opened
	SourceBroken  Kind = 201 // it opened and then failed
	SourceFormat  Kind = 202 // it has no video, or none that we can decode
	SourceStalled Kind = 203 // it is open and gives no frames

	// The capsule's.
	CapsuleStart    Kind = 300 // it cannot be launched or does not shake hands
	CapsuleVersion  Kind = 301 // it speaks another protocol version
	CapsuleExited   Kind = 302 // its process is gone
	CapsuleDeadline Kind = 303 // it did not answer in time
	CapsuleGarbage  Kind = 304 // its answer is not an answer
	CapsuleContract Kind = 305 // its answer breaks its own declaration
	CapsuleFailed   Kind = 306 // it answered with an error
	CapsuleLimit    Kind = 307 // it took more of the machine than its manifest says it needs

	// Ours.
	Internal    Kind = 400 // a fault of Capstan itself
	Unsupported Kind = 401 // this machine or build cannot do it
	Exhausted   Kind = 402 // out of slots, memory, descriptors
	Closed      Kind = 403 // used after Close
)

var kindNames = map[Kind]string{
	Unknown: "unknown", Invalid: "invalid", NotFound: "not found", Exists: "exists", Denied: "denied", Cancelled: "cancelled",
	SourceOpen: "source open", SourceBroken: "source broken", SourceFormat: "source format", SourceStalled: "source stalled",
	CapsuleStart: "capsule start", CapsuleVersion: "capsule version", CapsuleExited: "capsule exited", CapsuleDeadline: "capsule deadline",
	CapsuleGarbage: "capsule garbage", CapsuleContract: "capsule contract", CapsuleFailed: "capsule failed", CapsuleLimit: "capsule limit",
	Internal: "internal", Unsupported: "unsupported", Exhausted: "exhausted", Closed: "closed",
}

// String names the kind in words.
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Blame says who has to mend a fault of this kind: "caller", "source", "capsule" or "capstan".
func (k Kind) Blame() string {
	switch {
	case k >= 100 && k < 200:
		return "caller"
	case k >= 200 && k < 300:
		return "source"
	case k >= 300 && k < 400:
		return "capsule"
	default:
		return "capstan"
	}
}

// Fault is the error of Capstan. Op is the operation, On the thing it was done to, Err the
// cause and Hint what the reader can do about it; all but Kind may be empty.
type Fault struct {
	Op   string
	Kind Kind
	On   string
	Err  error
	Hint string
}

// Error joins the parts that are there: "op: on: cause: hint".
func (f *Fault) Error() string {
	parts := make([]string, 0, 4)
	for _, s := range []string{f.Op, f.On} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if f.Err != nil {
		parts = append(parts, f.Err.Error())
	} else {
		parts = append(parts, f.Kind.String())
	}
	s := strings.Join(parts, ": ")
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	return s
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Is matches another Fault of the same kind, so that errors.Is(err, &Fault{Kind: k}) asks for a kind.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Kind == f.Kind && t.Op == "" && t.On == "" && t.Err == nil
}

// KindOf gives the kind of the outermost Fault in err's chain, Unknown if there is none.
func KindOf(err error) Kind {
	var f *Fault
	if errors.As(err, &f) {
		return f.Kind
	}
	return Unknown
}

// Faultf builds a Fault whose cause is formatted as fmt.Errorf does, %w included.
func Faultf(kind Kind, op, on, format string, args ...any) *Fault {
	return &Fault{Op: op, Kind: kind, On: on, Err: fmt.Errorf(format, args...)}
}
