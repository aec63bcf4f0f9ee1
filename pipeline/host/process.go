package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// process is one run of a capsule's program.
//
// It ends once: fail notes the first cause and kills the group; when the system says that the
// process is gone, gone is closed, and every call that waits returns.
type process struct {
	name     string
	log      hclog.Logger
	cfg      *Config
	counters *counters
	runner   *processRunner
	client   *plugin.Client
	rpc      wire.CapsuleClient
	conn     *shm.Conn // nil: frames go by gRPC
	far      *os.File  // the capsule's end, until it has its own
	started  time.Time

	lastCall atomic.Uint64
	good     atomic.Uint64 // answers that were none the worse

	reading chan struct{} // holds one token; who has it reads packets, for all calls
	packet  []byte        // the reader's

	mu    sync.Mutex
	calls map[uint64]*waiter // under way
	alarm *time.Timer        // set for a call's deadline or before; nil until there was one
	rings time.Time          // when the alarm does; zero: it is not set
	cause error              // why it was ended, nil: it ended by itself
	late  uint64             // the call that was late

	sending sync.Mutex // held while arenas are announced; taken before arenaMu
	arenaMu sync.Mutex
	offered map[uint64]func() // arenas that the capsule knows; the func takes the hook back
	ended   []uint64          // of these, those whose end it has not been told

	alive   context.Context // ends with gone
	die     context.CancelFunc
	gone    chan struct{} // the process is gone, nothing reads frames any more
	cleaned chan struct{} // everything of it is gone
}

// startProcess starts the program up to the point where its service can be called.
func (c *Capsule) startProcess(ctx context.Context) (*process, error) {
	if err := c.secure(ctx); err != nil {
		return nil, err
	}
	p := &process{
		name: c.name, log: c.log, cfg: &c.host.cfg, counters: &c.counters, calls: map[uint64]*waiter{},
		reading: make(chan struct{}, 1), packet: make([]byte, shm.PacketLimit), offered: map[uint64]func(){}, gone: make(chan struct{}), cleaned: make(chan struct{}), started: time.Now(),
	}
	p.alive, p.die = context.WithCancel(context.Background())
	cmd, err := c.command(ctx, p.environment(c.spec.Env))
	if err != nil {
		p.die()
		return nil, err
	}
	beneath, err := c.host.temp.path()
	if err != nil {
		p.die()
		return nil, core.Faultf(core.CapsuleStart, "launch capsule", p.name, "it has no temporary folder: %w", err)
	}
	if !p.cfg.Copy {
		if p.conn, p.far, err = shm.Pair(); err != nil {
			return nil, err
		}
		cmd.ExtraFiles = []*os.File{p.far}
		cmd.Env = append(cmd.Env, wire.FramesEnv+"=3")
	}
	out := newOutput(c.log)
	p.runner = newRunner(c.host.launcher, p.name, cmd, out)
	printed := &writer{o: out}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: wire.Handshake, Plugins: plugin.PluginSet{wire.PluginName: &wire.Plugin{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, GRPCDialOptions: wire.DialOptions(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: beneath},
		Logger:           quiet{c.log}, SkipHostEnv: true, StartTimeout: 2 * p.cfg.StartTimeout, SyncStdout: printed, SyncStderr: printed,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, scratch string) (runner.Runner, error) {
			cmd.Env = append(cmd.Env, spec.Env...)
			c.confine(p, cmd, scratch)
			return p.runner, nil
		},
	})
	return p, p.connect(ctx)
}

// environment is the host's and the capsule's, without what only one process may have.
func (p *process) environment(more []string) []string {
	env := slices.DeleteFunc(slices.Concat(p.cfg.Env, more), func(s string) bool { return strings.HasPrefix(s, wire.FramesEnv+"=") })
	level := p.log.GetLevel()
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	return append(env, wire.LifeEnv+"=1", wire.LogEnv+"="+level.String())
}

// connect shakes hands. On failure the process is gone when it returns.
func (p *process) connect(ctx context.Context) error {
	var late atomic.Bool
	timer := time.AfterFunc(p.cfg.StartTimeout, func() { late.Store(true); p.runner.kill() })
	defer timer.Stop()
	stop := context.AfterFunc(ctx, p.runner.kill)
	defer stop()
	err := p.dispense()
	if p.far != nil {
		p.far.Close()
	}
	if p.runner.started() {
		go p.watch()
	}
	if err == nil && (late.Load() || ctx.Err() != nil) {
		err = errors.New("it was ended while shaking hands")
	}
	if err == nil {
		p.reading <- struct{}{}
		return nil
	}
	p.discard()
	if ctx.Err() != nil {
		return core.Faultf(core.Cancelled, "launch capsule", p.name, "%w", context.Cause(ctx))
	}
	return p.runner.startFault(err, late.Load(), p.cfg.StartTimeout)
}

func (p *process) dispense() error {
	if err := checkProgram(p.runner.cmd.Path); err != nil {
		return err
	}
	client, err := p.client.Client()
	if err != nil {
		return err
	}
	raw, err := client.Dispense(wire.PluginName)
	if err != nil {
		return err
	}
	rpc, ok := raw.(wire.CapsuleClient)
	if !ok {
		return fmt.Errorf("go-plugin gave a %T", raw)
	}
	p.rpc = rpc
	return nil
}

func checkProgram(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("it is a folder: %w", os.ErrPermission)
	case st.Mode()&0o111 == 0 && machine() != "windows/amd64":
		return os.ErrPermission
	}
	return nil
}

// discard ends a process that never came into use, and waits.
func (p *process) discard() {
	if p.runner.started() {
		p.runner.kill()
		<-p.cleaned
		return
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.die()
	p.client.Kill()
}

// watch waits for the end of the process and lets everybody know.
func (p *process) watch() {
	defer close(p.cleaned)
	<-p.runner.exited
	if p.conn != nil {
		p.conn.Close()
	}
	<-p.runner.quiet // its last words
	close(p.gone)
	p.die()
	p.disarm()
	p.arenaMu.Lock()
	hooks := p.offered
	p.offered = nil
	p.arenaMu.Unlock()
	for _, forget := range hooks {
		forget()
	}
	p.counters.suppressed.Add(p.runner.out.count())
	p.client.Kill() // the process is gone; this ends go-plugin's goroutines
}

// fail ends the process for a reason; the first one counts. It does not wait.
func (p *process) fail(cause error, late uint64) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause, p.late = cause, late
	}
	p.mu.Unlock()
	p.runner.kill()
}

// stop asks the process to end, ends it after a while, and waits until it is gone.
func (p *process) stop() {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = core.Faultf(core.Closed, "capsule "+p.name, "", "it is closed")
	}
	p.mu.Unlock()
	p.runner.life.Close()
	if p.conn != nil {
		p.conn.Close()
	}
	timer := time.AfterFunc(p.cfg.StopTimeout, p.runner.kill)
	defer timer.Stop()
	<-p.cleaned
}

// fault says how the process ended, to the call of this number. It must be gone.
func (p *process) fault(call uint64) error {
	p.mu.Lock()
	cause, late := p.cause, p.late
	p.mu.Unlock()
	switch core.KindOf(cause) {
	case core.Closed, core.CapsuleGarbage, core.CapsuleLimit:
		return cause
	case core.CapsuleDeadline:
		if call == late {
			return cause
		}
		return core.Faultf(core.CapsuleExited, "capsule "+p.name, "", "it was ended because another frame was late: %w", cause)
	}
	words := p.runner.out.lastWords()
	if words != "" {
		words = "; its last words: " + words
	}
	return p.hinted(core.Faultf(core.CapsuleExited, "capsule "+p.name, "", "it %s%s", p.runner.ending(), words))
}

// end says why the process is gone.
func (p *process) end() error {
	p.mu.Lock()
	cause := p.cause
	p.mu.Unlock()
	if cause != nil {
		return cause
	}
	return p.fault(0)
}

func (p *process) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// garbage ends the process because of what it said.
func (p *process) garbage(format string, args ...any) {
	p.fail(core.Faultf(core.CapsuleGarbage, "capsule "+p.name, "", format, args...), 0)
}

// readFor routes packets to the calls that wait for them, until that of w has come or the
// doorbell has ended. The caller has the token.
func (p *process) readFor(w *waiter) {
	for len(w.came) == 0 {
		n, files, err := p.conn.Recv(time.Time{}, p.packet)
		for _, f := range files {
			f.Close() // a capsule has none to give
		}
		switch {
		case err == nil:
			p.counters.received.Add(uint64(n))
			p.route(p.packet[:n])
		case core.KindOf(err) == core.Invalid:
			p.garbage("it sent a packet that cannot be: %w", err)
			return
		default:
			p.runner.kill() // it has closed its end: it is gone, or no use any more
			return
		}
	}
}

func (p *process) route(packet []byte) {
	m, err := wire.ParseFromCapsule(packet)
	if err != nil {
		p.garbage("it sent a packet of %d bytes that is no answer: %w", len(packet), err)
		return
	}
	p.mu.Lock()
	w, ok := p.calls[m.Call]
	if ok = ok && !w.byRPC; ok {
		delete(p.calls, m.Call)
	}
	p.mu.Unlock()
	if !ok {
		p.garbage("it answered call %d, which is not open", m.Call)
		return
	}
	w.came <- m
}

// announce tells the capsule of an arena before the first frame in it, and of the end of others.
func (p *process) announce(a *shm.Arena, deadline time.Time) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	if err := p.sayEnded(deadline); err != nil {
		return err
	}
	p.arenaMu.Lock()
	_, known := p.offered[a.ID()]
	p.arenaMu.Unlock()
	if known {
		return nil
	}
	offer := &wire.ArenaOffer{Arena: a.ID(), Size: uint64(len(a.Bytes()))}
	packet, err := proto.Marshal(&wire.ToCapsule{Kind: &wire.ToCapsule_Offer{Offer: offer}})
	if err != nil {
		return err
	}
	if err := p.conn.Send(deadline, packet, a.File()); err != nil {
		return err
	}
	forget := a.OnClose(func() { p.arenaEnds(a.ID()) })
	p.arenaMu.Lock()
	live := p.offered != nil
	if live {
		p.offered[a.ID()] = forget
	}
	p.arenaMu.Unlock()
	if !live { // the process ended meanwhile
		forget()
	}
	return nil
}

// goneTime is how long the end of an arena waits for a capsule that does not read; it is then
// told with the next frame.
const goneTime = 20 * time.Millisecond

func (p *process) arenaEnds(id uint64) {
	p.arenaMu.Lock()
	if p.offered == nil {
		p.arenaMu.Unlock()
		return
	}
	delete(p.offered, id)
	p.ended = append(p.ended, id)
	p.arenaMu.Unlock()
	if p.sending.TryLock() {
		defer p.sending.Unlock()
		_ = p.sayEnded(time.Now().Add(goneTime))
	}
}

// sayEnded needs sending held.
func (p *process) sayEnded(deadline time.Time) error {
	for {
		p.arenaMu.Lock()
		if len(p.ended) == 0 {
			p.arenaMu.Unlock()
			return nil
		}
		id := p.ended[0]
		p.arenaMu.Unlock()
		packet, err := proto.Marshal(&wire.ToCapsule{Kind: &wire.ToCapsule_Gone{Gone: &wire.ArenaGone{Arena: id}}})
		if err != nil {
			return err
		}
		if err := p.conn.Send(deadline, packet); err != nil {
			return err
		}
		p.arenaMu.Lock()
		p.ended = p.ended[1:]
		p.arenaMu.Unlock()
	}
}

// control runs one call of the service other than a frame, at most for limit. A call that does
// not end within limit is the end of the process; one that the caller gives up is not.
func (p *process) control(ctx context.Context, what string, limit time.Duration, call func(context.Context) error) error {
	callers, limited := ctx.Deadline()
	limited = limited && callers.Before(time.Now().Add(limit))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(p.alive, cancel)() // a process that dies ends the call
	err := call(ctx)
	if err == nil {
		return nil
	}
	if fault, ok := wire.FromStatus(err); ok {
		fault = p.hinted(fault)
		if name := "capsule " + p.name; !strings.HasPrefix(fault.Error(), name+": ") {
			return core.Faultf(core.CapsuleFailed, name, what, "%w", fault)
		}
		return &core.Fault{Kind: core.CapsuleFailed, Err: fault} // the capsule named itself
	}
	select {
	case <-p.gone:
		return p.fault(0)
	default:
	}
	late := errors.Is(ctx.Err(), context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded // gRPC may see it first
	switch {
	case late && !limited:
		fault := core.Faultf(core.CapsuleDeadline, "capsule "+p.name, what, "it did not answer within %s", limit)
		p.fail(fault, 0)
		<-p.gone
		return fault
	case late, ctx.Err() != nil:
		return core.Faultf(core.Cancelled, "capsule "+p.name, what, "%w", err)
	default: // the connection broke
		p.runner.kill()
		<-p.gone
		return p.fault(0)
	}
}

// quiet has go-plugin's own messages at trace level; the lines of the capsule, which it logs
// under a name, stay as they are.
type quiet struct{ hclog.Logger }

func (q quiet) Debug(msg string, args ...any) { q.Trace(msg, args...) }
func (q quiet) Info(msg string, args ...any)  { q.Trace(msg, args...) }
func (q quiet) Warn(msg string, args ...any)  { q.Trace(msg, args...) }
func (q quiet) Error(msg string, args ...any) { q.Trace(msg, args...) }

// Named gives the log of the capsule itself, which has its name already.
func (q quiet) Named(name string) hclog.Logger {
	if name == "stdio" {
		return q
	}
	return q.Logger
}
