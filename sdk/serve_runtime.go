package sdk

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
)

// Configurable is for processors that can take new options without being opened again, and so
// keep their state. When a processor has it, it is called between two frames; an error closes
// the processor and opens a new one.
type Configurable interface {
	Configure(options Values) error
}

// Request is one frame for a capsule. Nodes are measured in the pixels of the stream
// (Frame.Caps) and belong to the runtime from now on; Memory must stay until the result is there.
type Request struct {
	Stream core.StreamID
	Frame  core.Frame
	Layout core.Layout // the zero value: no pixels
	Memory []byte
	Nodes  []*core.Node
}

// Result is what a capsule made of a Request.
type Result struct {
	Returns []core.Return // one; for a capsule that takes single nodes one for each node
	Queued  time.Duration // from the request to the start of the first run
	Compute time.Duration // from there to the end of the last run
	Err     error         // a *core.Fault: the whole request failed
}

// Counters count since the runtime was made.
type Counters struct {
	Requests uint64
	Refused  uint64 // the stream's queue was full
	Failed   uint64 // runs that gave an error
	Panics   uint64 // of these, by a panic
}

// Runtime runs a capsule inside this process: Serve puts it on the wire, sdktest calls it
// directly. All methods may be called from several goroutines.
type Runtime struct {
	capsule Capsule
	decl    core.Declaration
	log     hclog.Logger

	loading sync.Mutex
	loaded  bool
	loadErr error

	mu       sync.Mutex
	defaults map[string]any
	streams  map[core.StreamID]*lanes
	closed   bool

	requests, refused, failed, panics atomic.Uint64
}

// NewRuntime checks the capsule's declaration and makes a runtime for it; nothing of the
// capsule's code runs yet. The caller closes it.
func NewRuntime(c Capsule, log hclog.Logger) (*Runtime, error) {
	d := c.Declaration()
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if c.Open == nil {
		return nil, core.Faultf(core.Invalid, "capsule "+c.Name, "", "it has no Open function")
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Runtime{capsule: c, decl: d, log: log, streams: map[core.StreamID]*lanes{}}, nil
}

// Declaration gives the capsule's declaration, options not yet put in.
func (r *Runtime) Declaration() core.Declaration { return r.decl }

// Counters gives the counts so far.
func (r *Runtime) Counters() Counters {
	return Counters{Requests: r.requests.Load(), Refused: r.refused.Load(), Failed: r.failed.Load(), Panics: r.panics.Load()}
}

// Load runs the capsule's Load function unless it has run before; its error stays.
func (r *Runtime) Load(ctx context.Context) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	if r.loaded {
		return r.loadErr
	}
	r.loaded = true
	if r.capsule.Load != nil {
		err := guard("Load", func() error { return r.capsule.Load(ctx, r.log) })
		r.loadErr = r.blame("load", err)
	}
	return r.loadErr
}

// Configure sets the options of streams that are opened without values of their own from now
// on. Missing ones have their defaults.
func (r *Runtime) Configure(given map[string]any) error {
	if _, err := r.decl.Complete(given); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.defaults = given
	return nil
}

// OpenStream opens a stream and its first processor; nil values are those of Configure. For a
// stream that is open it changes the options, from the next frame on.
func (r *Runtime) OpenStream(ctx context.Context, id core.StreamID, given map[string]any) error {
	if err := r.Load(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	if given == nil {
		given = r.defaults
	}
	old, closed := r.streams[id], r.closed
	r.mu.Unlock()
	if closed {
		return r.closedFault()
	}
	values, err := r.decl.Complete(given)
	if err != nil {
		return err
	}
	if old != nil {
		old.configure(values)
		return nil
	}
	return r.openStream(id, values)
}

func (r *Runtime) openStream(id core.StreamID, values Values) error {
	l, err := openLanes(r, id, values)
	if err != nil {
		return err
	}
	r.mu.Lock()
	if !r.closed && r.streams[id] == nil {
		r.streams[id] = l
		r.mu.Unlock()
		return nil
	}
	closed := r.closed
	r.mu.Unlock()
	l.close()
	if closed {
		return r.closedFault()
	}
	return core.Faultf(core.Exists, "capsule "+r.decl.Name, string(id), "the stream is being opened twice at once")
}

// CloseStream ends a stream: what runs is waited for, what is queued fails, its processors are
// closed. An unknown stream is no error.
func (r *Runtime) CloseStream(id core.StreamID) {
	r.mu.Lock()
	l := r.streams[id]
	delete(r.streams, id)
	r.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// Close ends every stream and refuses new ones. It is safe to call twice.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.closed = true
	streams := r.streams
	r.streams = map[core.StreamID]*lanes{}
	r.mu.Unlock()
	for _, l := range streams {
		l.close()
	}
}

// Submit queues a request and does not wait; done is called once, from any goroutine, also for
// a request that is refused. Frames of one stream start in the order of Submit.
func (r *Runtime) Submit(ctx context.Context, req Request, done func(Result)) {
	r.submit(ctx, req, false, done)
}

// submit is Submit that may run the request before it returns, if here is true and runs have
// been short so far.
func (r *Runtime) submit(ctx context.Context, req Request, here bool, done func(Result)) {
	r.requests.Add(1)
	r.mu.Lock()
	l := r.streams[req.Stream]
	r.mu.Unlock()
	if l == nil {
		done(Result{Err: core.Faultf(core.NotFound, "capsule "+r.decl.Name, string(req.Stream), "the stream is not open")})
		return
	}
	l.submit(ctx, req, here, done)
}

// Process is Submit that waits for the result. It waits for the capsule's code even when ctx
// ends, because the code still reads the frame.
func (r *Runtime) Process(ctx context.Context, req Request) Result {
	out := make(chan Result, 1)
	r.submit(ctx, req, true, func(res Result) { out <- res })
	return <-out
}

func (r *Runtime) concurrency() int {
	switch {
	case r.capsule.Stateful:
		return 1
	case r.capsule.Concurrency > 0:
		return r.capsule.Concurrency
	default:
		return runtime.GOMAXPROCS(0)
	}
}

func (r *Runtime) closedFault() error {
	return core.Faultf(core.Closed, "capsule "+r.decl.Name, "", "it is closed")
}

// blame makes an error of the author's code a fault of the capsule.
func (r *Runtime) blame(op string, err error) error {
	if err == nil {
		return nil
	}
	return &core.Fault{Op: "capsule " + r.decl.Name, Kind: core.CapsuleFailed, On: op, Err: err}
}

// panicked is the error of author's code that panicked.
type panicked struct {
	in    string
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic in %s: %v", p.in, p.value) }

// guard runs author's code and turns a panic into an error.
func guard(in string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{in: in, value: v, stack: debug.Stack()}
		}
	}()
	return f()
}
