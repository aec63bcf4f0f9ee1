package pipeline

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Call is one frame for one capsule.
type Call struct {
	Frame core.Frame
	View  shm.View     // no arena: the capsule gets no pixels
	Nodes []*core.Node // what the capsule asked for; only read while the call runs
}

// Answer is what a capsule gave for a Call.
type Answer struct {
	Returns []core.Return // one; for a SINGLE input one for each node
	Queued  time.Duration // inside the capsule's process, before its code ran
	Compute time.Duration // inside the capsule's code
	Handoff time.Duration // from send to answer, less Queued and Compute
}

// The states of a capsule.
const (
	CapsuleRunning    = "running"
	CapsuleRestarting = "restarting" // its process died; the next one is on its way or paused
	CapsuleBroken     = "broken"     // it died too often and will not be started again
	CapsuleClosed     = "closed"
)

// CapsuleStats counts since the capsule was launched, over all its processes.
type CapsuleStats struct {
	Restarts uint64
	State    string // one of the states above
	LastErr  string
	PID      int
}

// Capsule is a running capsule as the engine sees it. Every method may be called from several
// goroutines. pipeline/host has the real one.
type Capsule interface {
	// Declaration gives the declaration as the manifest has it: ${option} references are still
	// in it, because a stream may have values of its own.
	Declaration() core.Declaration
	// Values gives the complete settings for streams that have none of their own.
	Values() core.Values
	// Configure changes Values. Streams that are open keep theirs. values are complete.
	Configure(ctx context.Context, values core.Values) error
	// OpenStream must have returned before the stream's first Process. values are complete. On a
	// stream that is open it changes the values; when that fails the stream has its old ones.
	OpenStream(ctx context.Context, id core.StreamID, values core.Values) error
	CloseStream(ctx context.Context, id core.StreamID) error
	// Process always returns: with the answer, or a *core.Fault of kind CapsuleExited,
	// CapsuleDeadline, CapsuleGarbage, CapsuleLimit, CapsuleFailed or Closed. When it returns,
	// no process reads the call's View on its behalf any more.
	Process(ctx context.Context, c Call) (Answer, error)
	// Ready waits until the capsule is running, after a restart for example. It returns a
	// fault at once when the capsule will not come back.
	Ready(ctx context.Context) error
	Stats() CapsuleStats
}
