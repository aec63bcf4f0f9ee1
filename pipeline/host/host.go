// Package host runs capsules as processes: it launches them, hands them frames, watches them,
// ends those that hang and starts those that die again.
package host

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/host/confine"
	"github.com/hashicorp/go-hclog"
)

// Config is how a host treats its capsules. The zero value is good.
type Config struct {
	Log  hclog.Logger // nil: none
	Copy bool         // pixels travel inside messages, as they must where there is no shared memory

	// Unsafe lets capsules do what this process may do, whatever their manifests say.
	Unsafe bool

	// Env is what every capsule starts with; nil: the environment of this process.
	Env []string

	StartTimeout time.Duration // from start to handshake; 0: 10 s
	LoadTimeout  time.Duration // for loading models and for opening a stream; 0: 60 s
	Deadline     time.Duration // for one frame, where the capsule declares none; 0: 10 s
	StopTimeout  time.Duration // between asking a capsule to end and ending it; 0: 2 s
	Restart      Restart

	scratch int64 // bytes that a capsule may write; 0: scratchSize
}

// Restart says when a capsule that died is started again. Zero fields have the defaults.
type Restart struct {
	First  time.Duration // pause before the first restart, doubled for each that follows; 50 ms
	Most   time.Duration // the longest pause; 30 s
	Stable time.Duration // a process that lived this long makes the pauses short again; 1 min
	Good   uint64        // so does one that answered this often; 50
	// Breaker crashes within Window without one good answer between them are the last; 5 in
	// 1 min.
	Breaker int
	Window  time.Duration
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	c.Copy = c.Copy || runtime.GOOS != "linux"
	c.StartTimeout = or(c.StartTimeout, 10*time.Second)
	c.LoadTimeout = or(c.LoadTimeout, time.Minute)
	c.Deadline = or(c.Deadline, 10*time.Second)
	c.StopTimeout = or(c.StopTimeout, 2*time.Second)
	c.scratch = or(c.scratch, scratchSize)
	r := &c.Restart
	r.First, r.Most, r.Stable = or(r.First, 50*time.Millisecond), or(r.Most, 30*time.Second), or(r.Stable, time.Minute)
	r.Breaker, r.Window, r.Good = or(r.Breaker, 5), or(r.Window, time.Minute), or(r.Good, 50)
	return c
}

// Spec is one capsule to be launched.
type Spec struct {
	// Declaration is what its capsule.yaml says; the program is held against it. Without a
	// name, the program's own is taken.
	Declaration core.Declaration
	Path        string         // the program
	Args        []string       // for tests; a capsule needs none
	Dir         string         // its working directory; "": that of this process
	Options     map[string]any // what is missing has its default
	Env         []string       // added to Config.Env

	// SHA256 is the digest of the program, in hexadecimal digits; a program with another one is
	// not started. "": it is not checked.
	SHA256 string
	// Renew makes the program anew when it has another digest; nil: that is a fault.
	Renew func(ctx context.Context) error
}

// Host owns capsule processes. All methods may be called from several goroutines.
type Host struct {
	cfg      Config
	launcher *launcher
	guard    confine.Guard
	temp     temp

	mu       sync.Mutex
	closed   bool
	capsules map[*Capsule]bool
	starting sync.WaitGroup
}

// New makes a host; the caller closes it.
func New(cfg Config) *Host {
	cfg = cfg.withDefaults()
	if cfg.Unsafe {
		cfg.Log.Warn("isolation is off: capsules may do all that this user may, whatever their manifests say")
	}
	return &Host{cfg: cfg, launcher: newLauncher(), capsules: map[*Capsule]bool{}}
}

// Launch starts a capsule and returns when it is ready for streams: it has shaken hands, says
// of itself what its manifest says, and has its options and models. ctx bounds the launch
// alone. A capsule that cannot be started is a fault of kind CapsuleStart or CapsuleVersion;
// it is not tried again.
func (h *Host) Launch(ctx context.Context, spec Spec) (*Capsule, error) {
	var err error
	if spec.Path, err = filepath.Abs(spec.Path); err != nil { // Dir is not where a relative path begins
		return nil, core.Faultf(core.CapsuleStart, "launch capsule", spec.Path, "%w", err)
	}
	c := newCapsule(h, spec)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, core.Faultf(core.Closed, "launch capsule", c.name, "the host is closed")
	}
	h.starting.Add(1)
	h.capsules[c] = true
	h.mu.Unlock()
	defer h.starting.Done()
	if err := c.launch(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (h *Host) forget(c *Capsule) {
	h.mu.Lock()
	delete(h.capsules, c)
	h.mu.Unlock()
}

// Close ends every capsule and waits until their processes are gone. It is safe to call twice.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	var list []*Capsule
	for c := range h.capsules {
		list = append(list, c)
	}
	h.mu.Unlock()
	var closing sync.WaitGroup
	for _, c := range list {
		closing.Go(func() { c.Close() })
	}
	closing.Wait()
	h.starting.Wait()
	h.launcher.close()
	h.guard.Close()
	h.temp.close()
	return nil
}

func machine() string { return runtime.GOOS + "/" + runtime.GOARCH }
