package sdk

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
)

// arenaWait is how long a frame that came by gRPC waits for its arena, which comes by the
// doorbell and was sent before.
const arenaWait = 2 * time.Second

// server puts a runtime on the wire.
type server struct {
	wire.UnimplementedCapsuleServer
	rt     *Runtime
	log    hclog.Logger
	conn   *shm.Conn // nil: frames come by gRPC only
	arenas arenas
	large  answers
	output sync.Once
	stdout *os.File
	stderr *os.File

	mu      sync.Mutex
	streams map[uint32]core.StreamID
}

func newServer(rt *Runtime, log hclog.Logger) *server {
	return &server{rt: rt, log: log, streams: map[uint32]core.StreamID{}, stdout: os.Stdout, stderr: os.Stderr}
}

// Describe gives the declaration. By this first call the handshake is over, and what the
// author's code prints goes straight out again: go-plugin would bring it by gRPC, which loses
// the last words of a process.
func (s *server) Describe(context.Context, *wire.DescribeRequest) (*wire.DescribeReply, error) {
	s.output.Do(func() { os.Stdout, os.Stderr = s.stdout, s.stderr })
	return &wire.DescribeReply{Declaration: wire.EncodeDeclaration(s.rt.Declaration())}, nil
}

// Configure sets the options of the process and loads what the author's Load loads.
func (s *server) Configure(ctx context.Context, m *wire.ConfigureRequest) (*wire.ConfigureReply, error) {
	values, err := wire.DecodeValues(m.GetOptionsJson())
	if err == nil {
		err = s.rt.Configure(values)
	}
	if err == nil {
		err = s.rt.Load(ctx)
	}
	if err != nil {
		return nil, wire.StatusError(err)
	}
	return &wire.ConfigureReply{}, nil
}

// OpenStream opens a stream, or changes the options of one that is open.
func (s *server) OpenStream(ctx context.Context, m *wire.OpenStreamRequest) (*wire.OpenStreamReply, error) {
	var values map[string]any
	if m.GetOptionsJson() != "" {
		var err error
		if values, err = wire.DecodeValues(m.GetOptionsJson()); err != nil {
			return nil, wire.StatusError(err)
		}
	}
	id := core.StreamID(m.GetId())
	s.takeOver(m.GetStream(), id)
	if err := s.rt.OpenStream(ctx, id, values); err != nil {
		return nil, wire.StatusError(err)
	}
	s.mu.Lock()
	s.streams[m.GetStream()] = id
	s.mu.Unlock()
	return &wire.OpenStreamReply{}, nil
}

// takeOver closes a stream of the same name that the engine has forgotten to close.
func (s *server) takeOver(number uint32, id core.StreamID) {
	s.mu.Lock()
	stale := false
	for n, other := range s.streams {
		if other == id && n != number {
			stale = true
			delete(s.streams, n)
		}
	}
	s.mu.Unlock()
	if stale {
		s.rt.CloseStream(id)
	}
}

// CloseStream ends a stream.
func (s *server) CloseStream(_ context.Context, m *wire.CloseStreamRequest) (*wire.CloseStreamReply, error) {
	s.mu.Lock()
	id, ok := s.streams[m.GetStream()]
	delete(s.streams, m.GetStream())
	s.mu.Unlock()
	if ok {
		s.rt.CloseStream(id)
	}
	return &wire.CloseStreamReply{}, nil
}

// Process is a frame by gRPC; it goes the same way as one that came by the doorbell.
func (s *server) Process(ctx context.Context, m *wire.FrameRequest) (*wire.FrameAnswer, error) {
	call, err := wire.DecodeCall(m)
	if err != nil {
		return wire.EncodeAnswer(wire.Answer{Call: m.GetCall(), Err: err}), nil
	}
	out := make(chan wire.Answer, 1)
	s.handle(ctx, call, arenaWait, func(a wire.Answer) { out <- a })
	reply := wire.EncodeAnswer(<-out)
	if _, err := proto.Marshal(reply); err != nil {
		reply = wire.EncodeAnswer(wire.Answer{Call: m.GetCall(), Err: s.rt.blame("answer", err)})
	}
	return reply, nil
}

// Fetch gives an answer that was announced by AnswerReady.
func (s *server) Fetch(_ context.Context, m *wire.FetchRequest) (*wire.FrameAnswer, error) {
	a, ok := s.large.take(m.GetCall())
	if !ok {
		return nil, wire.StatusError(core.Faultf(core.NotFound, "fetch", "", "there is no answer to call %d", m.GetCall()))
	}
	return a, nil
}

// handle runs one request and gives its answer to done, once. Where runs have been short so
// far, that is before it returns.
func (s *server) handle(ctx context.Context, call wire.Call, wait time.Duration, done func(wire.Answer)) {
	fail := func(err error) { done(wire.Answer{Call: call.ID, Err: err}) }
	s.mu.Lock()
	stream, ok := s.streams[call.Stream]
	s.mu.Unlock()
	if !ok {
		fail(core.Faultf(core.NotFound, "process", "", "stream %d is not open", call.Stream))
		return
	}
	call.Frame.Stream = stream
	req := Request{Stream: stream, Frame: call.Frame, Layout: call.Layout, Memory: call.Pixels, Nodes: call.Nodes}
	release := func() {}
	if call.Handle == wire.HandleType_HANDLE_ARENA {
		var err error
		if req.Memory, release, err = s.arenas.use(ctx, call.Arena, wait); err != nil {
			fail(err)
			return
		}
	}
	s.rt.submit(ctx, req, true, func(r Result) {
		release()
		done(wire.Answer{Call: call.ID, Returns: r.Returns, Err: r.Err, Queued: r.Queued, Compute: r.Compute})
	})
}

// readFrames serves the doorbell until the engine is gone.
func (s *server) readFrames() {
	buf := make([]byte, shm.PacketLimit)
	for {
		n, files, err := s.conn.Recv(time.Time{}, buf)
		var fault *core.Fault
		switch {
		case err == nil:
		case errors.As(err, &fault):
			s.log.Error("a packet was lost", "error", err)
			continue
		default:
			return
		}
		s.packet(buf[:n], files)
		for _, f := range files {
			f.Close()
		}
	}
}

func (s *server) packet(b []byte, files []*os.File) {
	p, err := wire.ParseToCapsule(b)
	switch {
	case err != nil && p.Call.ID != 0:
		s.answer(wire.Answer{Call: p.Call.ID, Err: err})
	case err != nil:
		s.log.Error("a packet is no message", "error", err, "bytes", len(b))
	case p.Call.ID != 0:
		s.handle(context.Background(), p.Call, 0, s.answer)
	case p.Gone != 0:
		s.arenas.gone(p.Gone)
	default:
		if err := s.offered(p.Offer, p.Size, files); err != nil {
			s.log.Error("an arena cannot be used", "arena", p.Offer, "error", err)
		}
	}
}

func (s *server) offered(arena, size uint64, files []*os.File) error {
	if len(files) != 1 || size > shm.MaxArena {
		return core.Faultf(core.Invalid, "arena", "", "%d files for %d bytes", len(files), size)
	}
	m, err := shm.Map(files[0], int64(size))
	if err != nil {
		return err
	}
	s.arenas.add(arena, m)
	return nil
}

// answer sends an answer by the doorbell, or says there that it waits to be fetched.
func (s *server) answer(a wire.Answer) {
	p, err := wire.AppendAnswer(make([]byte, 0, 512), a)
	if err == nil && len(p) > wire.MessageLimit {
		err = core.Faultf(core.CapsuleFailed, "", "", "it has %d bytes, at most %d can be sent", len(p), wire.MessageLimit)
	}
	if err != nil { // a text that is not UTF-8, for example
		a = wire.Answer{Call: a.Call, Err: s.rt.blame("answer", err), Queued: a.Queued, Compute: a.Compute}
		p, _ = wire.AppendAnswer(p[:0], a) // the texts of faults are UTF-8
	}
	if len(p) > s.conn.MaxPacket() {
		if lost := s.large.put(wire.EncodeAnswer(a), len(p)); lost > 0 {
			s.log.Warn("answers that were not fetched are dropped", "dropped", lost)
		}
		p = wire.AppendReady(p[:0], a.Call)
	}
	if err := s.conn.Send(time.Time{}, p); err != nil {
		s.log.Debug("an answer could not be sent", "error", err) // the engine is gone; readFrames sees it too
	}
}
