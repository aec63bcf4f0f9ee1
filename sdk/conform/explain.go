package conform

import (
	"context"
	"errors"
	"strings"

	"github.com/capstan-video/capstan/core"
)

// explain says for a person what an error of a capsule is, and what to do.
func explain(err error) (what, mend string) {
	what = strings.ReplaceAll(err.Error(), "\n", "; ")
	switch kind := core.KindOf(err); {
	case strings.Contains(what, "panic in "):
		mend = "The log has the stack of the panic (--log-level debug); give such a frame back as it is, or return an error."
	case kind == core.CapsuleExited && strings.Contains(what, "signal 11"), strings.Contains(what, "SIGSEGV"), strings.Contains(what, "SIGBUS"):
		mend = "It touched memory that it may not: pixels are mapped read-only, and end where the layout says."
	case kind == core.CapsuleExited && strings.Contains(what, "status 2"):
		mend = "Its process must not end on any frame. A Go program ends so when it panics in a goroutine of its own, or touches memory that it may not: pixels are mapped read-only, and end where the layout says. --log-level info shows its last words."
	case kind == core.CapsuleExited:
		mend = "Its process must not end on any frame; its last words say where to look."
	case kind == core.CapsuleDeadline, errors.Is(err, context.DeadlineExceeded):
		mend = "It has to answer within its deadline on any frame: bound its work, or raise deadline in its manifest."
	case kind == core.CapsuleGarbage:
		mend = "It speaks the protocol wrongly; docs/reference/wire.md has it."
	case kind == core.CapsuleStart, kind == core.CapsuleVersion, kind == core.CapsuleLimit:
		mend = "" // the fault has a hint of its own
	default:
		mend = "It has to answer frames like this one: with nothing, if there is nothing to say."
	}
	return what, mend
}
