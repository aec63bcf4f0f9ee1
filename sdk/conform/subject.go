package conform

import (
	"context"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Home is where capsules live during a run: inside this process, or in processes of their own.
type Home struct {
	Name string // for people: "in process"

	// Declaration is what the capsule's manifest says, options not put in.
	Declaration core.Declaration

	// Start starts the capsule. The run closes it.
	Start func(ctx context.Context, s Settings) (Subject, error)

	// Program asks the program what it is; nil: the declaration is the program's own.
	Program func(ctx context.Context) (core.Declaration, error)

	// Shared says that the capsule's memory can be written to here: it is not mapped read-only.
	Shared bool

	// Opens is how often the case reopen opens a stream.
	Opens int
}

// Settings are those that a capsule is started with.
type Settings struct {
	Options  map[string]any // over its defaults
	Deadline time.Duration  // for one frame; 0: its own
}

// Subject is a running capsule. Its methods may be called from several goroutines.
type Subject interface {
	// OpenStream opens a stream, or changes the options of one that is open. options are given
	// as they are: it is the capsule that has to refuse them.
	OpenStream(ctx context.Context, id core.StreamID, options map[string]any) error
	CloseStream(ctx context.Context, id core.StreamID) error
	// Process gives the frame to the capsule, its nodes being those that the capsule asks for; they
	// are its own to change. It ends: with returns or an error.
	Process(ctx context.Context, f *Frame) ([]core.Return, error)
	// Usage says what the capsule holds now.
	Usage() Usage
	// Close ends the capsule and waits until it is gone. It is safe to call twice.
	Close() error
}

// Process is a subject with a process of its own.
type Process interface {
	Subject
	// Halt has the process stand still, as one that hangs, until it is killed.
	Halt() error
	// Kill ends the process at once.
	Kill() error
	// Ready waits until it runs again.
	Ready(ctx context.Context) error
}

// Usage is what a capsule holds.
type Usage struct {
	Memory  int64 // bytes
	Files   int   // open descriptors
	Threads int   // of the system, or goroutines of a capsule inside this process
}
