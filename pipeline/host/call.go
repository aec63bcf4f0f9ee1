package host

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// mostPatience bounds how many times its deadline a call may take beside others.
const mostPatience = 6

// patience is how long a call may take beside which there were so many, itself included: they
// share the CPUs, and a capsule that has many streams is slow for each without being stuck.
func patience(limit time.Duration, open int) time.Duration {
	share := float64(open) / float64(runtime.GOMAXPROCS(0))
	return time.Duration(float64(limit) * min(max(1, share), mostPatience))
}

// waiter is a call that is under way.
type waiter struct {
	id     uint64
	came   chan wire.FromCapsulePacket // holds one
	sent   time.Time
	limit  time.Duration // with no others beside it
	beside int           // the most calls under way while it was, itself included; the process's mu guards it
	byRPC  bool          // no packet answers it
}

func (w *waiter) patience() time.Duration { return patience(w.limit, w.beside) }
func (w *waiter) deadline() time.Time     { return w.sent.Add(w.patience()) }

// process gives one frame to the capsule and waits for its answer, until limit (with patience)
// and the end of the process that follows it. When it returns, the frame's memory is nobody's.
func (p *process) process(stream uint32, c pipeline.Call, limit time.Duration) (pipeline.Answer, error) {
	p.counters.calls.Add(1)
	call := wire.Call{ID: p.lastCall.Add(1), Stream: stream, Frame: c.Frame, Nodes: c.Nodes}
	if c.View.Arena != nil {
		call.Handle, call.Layout = wire.HandleType_HANDLE_ARENA, c.View.Layout
		call.Arena = c.View.Arena.ID()
		if err := call.Layout.Check(int64(len(c.View.Arena.Bytes()))); err != nil {
			return pipeline.Answer{}, err
		}
	}
	w := &waiter{id: call.ID, came: make(chan wire.FromCapsulePacket, 1), sent: time.Now(), limit: limit}
	a, err := p.ask(call, c, w)
	if err != nil {
		return pipeline.Answer{}, err
	}
	took := time.Since(w.sent)
	if a.Err != nil {
		return pipeline.Answer{}, p.failed(a.Err)
	}
	p.good.Add(1)
	for i, r := range a.Returns {
		if r.Err != nil {
			a.Returns[i].Err = p.hinted(r.Err)
		}
	}
	return pipeline.Answer{
		Returns: a.Returns, Queued: a.Queued, Compute: a.Compute, Handoff: max(0, took-a.Queued-a.Compute),
	}, nil
}

// failed is the fault of a call that the capsule itself refused: its queue is full, or it failed.
func (p *process) failed(err error) error {
	kind := core.CapsuleFailed
	if core.KindOf(err) == core.Exhausted {
		kind = core.Exhausted
	}
	return core.Faultf(kind, "capsule "+p.name, "", "%w", p.hinted(err))
}

// ask sends a call the fast way where it can, else by gRPC, and gives the answer.
func (p *process) ask(call wire.Call, c pipeline.Call, w *waiter) (wire.Answer, error) {
	if p.conn == nil {
		if c.View.Arena != nil {
			call = p.inline(call, c.View.Arena.Bytes())
		}
		w.byRPC = true
		return p.askByRPC(call, w)
	}
	packet, err := wire.AppendCall(make([]byte, 0, 512), call)
	if err != nil {
		return wire.Answer{}, core.Faultf(core.Invalid, "capsule "+p.name, "", "the call has no message: %w", err)
	}
	w.byRPC = len(packet) > p.conn.MaxPacket()
	deadline := p.expect(w)
	if c.View.Arena != nil {
		if err := p.announce(c.View.Arena, deadline); err != nil {
			return wire.Answer{}, p.unsent(w, err)
		}
	}
	if w.byRPC {
		p.counters.oversizeCalls.Add(1)
		return p.askByRPC(call, w)
	}
	if err := p.conn.Send(deadline, packet); err != nil {
		return wire.Answer{}, p.unsent(w, err)
	}
	p.counters.sent.Add(uint64(len(packet)))
	return p.await(w)
}

// expect notes a call and has the alarm ring by its deadline, which it gives as it is now. An
// alarm that is set earlier stays: it finds the next deadline when it rings. So a stream of calls
// sets it once a limit, not once a frame, which would wake a sleeping thread each time.
func (p *process) expect(w *waiter) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[w.id] = w
	for _, other := range p.calls {
		other.beside = max(other.beside, len(p.calls))
	}
	at := w.deadline()
	if p.rings.IsZero() || at.Before(p.rings) {
		p.armLocked(at)
	}
	return at
}

func (p *process) armLocked(at time.Time) {
	p.rings = at
	if p.alarm == nil {
		p.alarm = time.AfterFunc(time.Until(at), p.ring)
		return
	}
	p.alarm.Reset(time.Until(at))
}

// ring ends the process when a call is late, and else waits for the next deadline.
func (p *process) ring() {
	p.mu.Lock()
	var next *waiter
	for _, w := range p.calls {
		if next == nil || w.deadline().Before(next.deadline()) {
			next = w
		}
	}
	p.rings = time.Time{}
	late := next != nil && !time.Now().Before(next.deadline())
	if next != nil && !late {
		p.armLocked(next.deadline())
	}
	p.mu.Unlock()
	if late {
		p.tooLate(next)
	}
}

// disarm is for a process that is gone.
func (p *process) disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alarm != nil {
		p.alarm.Stop()
	}
}

func (p *process) forget(id uint64) {
	p.mu.Lock()
	delete(p.calls, id)
	p.mu.Unlock()
}

// inline copies the picture, without padding, into the call.
func (p *process) inline(call wire.Call, mem []byte) wire.Call {
	from := call.Layout
	to, size := core.Packed(from.Format, from.Width, from.Height)
	to.Matrix, to.FullRange = from.Matrix, from.FullRange
	pixels := make([]byte, size)
	for i, plane := range to.Planes {
		row, rows := to.Format.PlaneSize(i, to.Width, to.Height)
		for y := range int64(rows) {
			at := from.Planes[i].Offset + y*int64(from.Planes[i].Stride)
			copy(pixels[plane.Offset+y*int64(plane.Stride):][:row], mem[at:])
		}
	}
	p.counters.copied.Add(uint64(size))
	call.Handle, call.Arena, call.Layout, call.Pixels = wire.HandleType_HANDLE_INLINE, 0, to, pixels
	return call
}

// await waits for the packet that answers a call. Whoever waits first reads for all: with one
// call under way, as is usual, its goroutine is the only one that has to wake up.
func (p *process) await(w *waiter) (wire.Answer, error) {
	select {
	case e := <-w.came:
		return p.answerOf(w, e)
	case <-p.reading:
		p.readFor(w)
		p.reading <- struct{}{}
	case <-p.gone:
	}
	select {
	case e := <-w.came:
		return p.answerOf(w, e)
	default:
	}
	<-p.gone // the alarm ended it, or it ended by itself
	p.forget(w.id)
	select {
	case e := <-w.came: // it came with the last breath
		if !e.Ready {
			return e.Answer, nil
		}
	default:
	}
	return wire.Answer{}, p.fault(w.id)
}

func (p *process) answerOf(w *waiter, e wire.FromCapsulePacket) (wire.Answer, error) {
	if !e.Ready {
		return e.Answer, nil
	}
	p.counters.oversizeAnswers.Add(1)
	w.byRPC = true // it is nobody else's: its packet has come
	return p.byRPC(w, func(ctx context.Context) (*wire.FrameAnswer, error) {
		return p.rpc.Fetch(ctx, &wire.FetchRequest{Call: w.id})
	})
}

func (p *process) askByRPC(call wire.Call, w *waiter) (wire.Answer, error) {
	m := wire.EncodeCall(call)
	p.counters.sent.Add(uint64(proto.Size(m)))
	return p.byRPC(w, func(ctx context.Context) (*wire.FrameAnswer, error) {
		a, err := p.rpc.Process(ctx, m)
		p.counters.received.Add(uint64(proto.Size(a)))
		return a, err
	})
}

// rpcAnswer checks an answer that came by gRPC; one that is none is the end of the process.
func (p *process) rpcAnswer(id uint64, m *wire.FrameAnswer) (wire.Answer, error) {
	a, err := wire.DecodeAnswer(m)
	if err == nil && a.Call != id {
		err = core.Faultf(core.Invalid, "answer", "", "it is to call %d, not to %d", a.Call, id)
	}
	if err == nil {
		return a, nil
	}
	p.garbage("its answer is none: %w", err)
	<-p.gone
	return wire.Answer{}, p.fault(id)
}

// byRPC is one gRPC call for a frame, which the alarm bounds as any other. An error of the
// connection means that the process may still read the frame: it is ended first.
func (p *process) byRPC(w *waiter, call func(context.Context) (*wire.FrameAnswer, error)) (wire.Answer, error) {
	p.expect(w)
	defer p.forget(w.id)
	a, err := call(p.alive)
	if err == nil {
		return p.rpcAnswer(w.id, a)
	}
	if fault, ok := wire.FromStatus(err); ok && status.Code(err) != codes.Internal { // internal: perhaps of the connection
		return wire.Answer{}, p.failed(fault)
	}
	if status.Code(err) == codes.ResourceExhausted { // larger than MessageLimit: it was not sent, or its answer not read
		return wire.Answer{}, core.Faultf(core.CapsuleFailed, "capsule "+p.name, "", "the frame or its answer is too big: %w", err)
	}
	p.runner.kill()
	<-p.gone
	return wire.Answer{}, p.fault(w.id)
}

// unsent ends the process to which a packet could not be sent, and says why.
func (p *process) unsent(w *waiter, err error) error {
	p.forget(w.id)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.tooLate(w)
	} else {
		p.runner.kill() // its end is closed, or it is gone
	}
	<-p.gone
	return p.fault(w.id)
}

func (p *process) tooLate(w *waiter) {
	p.mu.Lock()
	took := w.patience()
	p.mu.Unlock()
	f := core.Faultf(core.CapsuleDeadline, "capsule "+p.name, "", "it did not answer within %s and was ended", took)
	f.Hint = "raise deadline in its capsule.yaml if it may take that long"
	p.fail(f, w.id)
}

// describe asks the program what it is and holds it against the manifest.
func (p *process) describe(ctx context.Context, said core.Declaration) (core.Declaration, error) {
	var found core.Declaration
	err := p.control(ctx, "describe", p.cfg.StartTimeout, func(ctx context.Context) error {
		m, err := p.rpc.Describe(ctx, &wire.DescribeRequest{})
		if err != nil {
			return err
		}
		found, err = wire.DecodeDeclaration(m.GetDeclaration())
		return wire.StatusError(err)
	})
	if err != nil {
		return found, p.startFailed("describe", err)
	}
	if said.Name == "" {
		return found, nil
	}
	if diff := difference(said, found); diff != "" {
		f := core.Faultf(core.CapsuleStart, "capsule "+said.Name, "", "%s is not what its capsule.yaml says: %s", p.runner.program(), diff)
		f.Hint = "make the manifest anew: " + p.runner.byHand() + " manifest > capsule.yaml"
		return found, f
	}
	return said, nil
}

// startFailed makes an error before the first frame one of starting.
func (p *process) startFailed(what string, err error) error {
	switch core.KindOf(err) {
	case core.Cancelled, core.Closed, core.CapsuleStart, core.CapsuleVersion:
		return err
	}
	return core.Faultf(core.CapsuleStart, "capsule "+p.name, what, "%w", err)
}

// difference names the first field in which two declarations differ, "" when they agree.
// Description and entry are for people and the host: they may differ.
func difference(said, found core.Declaration) string {
	fields := []struct {
		name        string
		said, found any
		same        bool
	}{
		{"name", said.Name, found.Name, said.Name == found.Name},
		{"version", said.Version, found.Version, said.Version == found.Version},
		{"api", said.API, found.API, said.API == found.API},
		{"input", said.Input, found.Input, said.Input.Equal(found.Input)},
		{"output", said.Output, found.Output, said.Output.Equal(found.Output)},
		{"formats", said.Formats, found.Formats, slices.Equal(said.Formats, found.Formats)},
		{"picture", said.Picture, found.Picture, said.Picture == found.Picture},
		{"stateful", said.Stateful, found.Stateful, said.Stateful == found.Stateful},
		{"metric", said.Metric, found.Metric, said.Metric == found.Metric},
		{"options", optionNames(said), optionNames(found), slices.Equal(optionNames(said), optionNames(found))},
	}
	for _, f := range fields {
		if !f.same {
			return core.Faultf(core.Invalid, f.name, "", "%v in the program, %v in the manifest", f.found, f.said).Error()
		}
	}
	return ""
}

func optionNames(d core.Declaration) []string {
	names := make([]string, 0, len(d.Options))
	for _, o := range d.Options {
		names = append(names, o.Name+" "+string(o.Type))
	}
	slices.Sort(names)
	return names
}
