package sdk

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"google.golang.org/protobuf/proto"
)

// doorbell gives a server that reads packets, and the engine's end.
func doorbell(t testing.TB, c Capsule) (*server, *shm.Conn) {
	t.Helper()
	rt, err := NewRuntime(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	near, far, err := shm.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	s := newServer(rt, rt.log)
	raw, err := far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { s.conn, err = shm.Open(dup(t, int(fd))) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenStream(context.Background(), &wire.OpenStreamRequest{Stream: 1, Id: "s"}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { s.readFrames(); close(ended) }()
	t.Cleanup(func() {
		near.Close()
		<-ended
		rt.Close()
		s.conn.Close()
	})
	return s, near
}

func pack(t testing.TB, m *wire.ToCapsule) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func frameIn(call, arena uint64, offset int64) *wire.ToCapsule {
	return &wire.ToCapsule{Kind: &wire.ToCapsule_Frame{Frame: wire.EncodeCall(wire.Call{
		ID: call, Stream: 1, Handle: wire.HandleType_HANDLE_ARENA, Arena: arena, Frame: core.Frame{Caps: core.Caps{Width: 8, Height: 8}},
		Layout: core.Layout{Format: GRAY8, Width: 8, Height: 8, Planes: []core.Plane{{Offset: offset, Stride: 8}}},
	})}}
}

func answerTo(t testing.TB, engine *shm.Conn, call uint64) wire.Answer {
	t.Helper()
	buf := make([]byte, shm.PacketLimit)
	n, _, err := engine.Recv(time.Now().Add(10*time.Second), buf)
	if err != nil {
		t.Fatal(err)
	}
	var m wire.FromCapsule
	if err := proto.Unmarshal(buf[:n], &m); err != nil {
		t.Fatal(err)
	}
	a, err := wire.DecodeAnswer(m.GetAnswer())
	if err != nil || a.Call != call {
		t.Fatalf("answer %+v to call %d: %v", a, call, err)
	}
	return a
}

func firstByte(context.Context, Stream) (Processor, error) {
	return ProcessorFunc(func(_ context.Context, f *Frame) error {
		pix, _ := f.Plane(0)
		f.Add("byte", nil).SetExtra("value", pix[0])
		return nil
	}), nil
}

// The life of arenas as a capsule sees it: offered, used, gone while a frame is worked on.
func TestArenasInACapsule(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		return ProcessorFunc(func(_ context.Context, f *Frame) error {
			pix, _ := f.Plane(0)
			if pix[0] == 9 {
				close(started)
				<-release
			}
			f.Add("byte", nil).SetExtra("value", pix[0])
			return nil
		}), nil
	})
	c.Formats, c.Stateful = []PixelFormat{GRAY8}, true
	s, engine := doorbell(t, c)
	a, err := shm.Create(8192)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.Bytes()[0], a.Bytes()[4096] = 5, 9
	send := func(m *wire.ToCapsule, files ...*os.File) {
		t.Helper()
		if err := engine.Send(time.Time{}, pack(t, m), files...); err != nil {
			t.Fatal(err)
		}
	}
	offer := func(size uint64) *wire.ToCapsule {
		return &wire.ToCapsule{Kind: &wire.ToCapsule_Offer{Offer: &wire.ArenaOffer{Arena: 3, Size: size}}}
	}
	send(frameIn(1, 3, 0))
	if r := answerTo(t, engine, 1); core.KindOf(r.Err) != core.NotFound {
		t.Errorf("before the offer: %+v", r)
	}
	send(offer(1<<20), a.File()) // a lie
	send(offer(8192))            // without the file
	send(frameIn(2, 3, 0))
	if r := answerTo(t, engine, 2); core.KindOf(r.Err) != core.NotFound {
		t.Errorf("after a false offer: %+v", r)
	}
	send(offer(8192), a.File())
	send(offer(8192), a.File()) // once more
	send(frameIn(3, 3, 0))
	if r := answerTo(t, engine, 3); r.Err != nil || string(r.Returns[0].Added[0].ExtraData["value"]) != "5" {
		t.Errorf("a good frame: %+v", r)
	}
	send(frameIn(4, 3, 8192-63))
	if r := answerTo(t, engine, 4); r.Err != nil || core.KindOf(r.Returns[0].Err) != core.CapsuleFailed {
		t.Errorf("beyond the arena: %+v", r)
	}
	send(frameIn(5, 3, 4096))
	<-started
	send(&wire.ToCapsule{Kind: &wire.ToCapsule_Gone{Gone: &wire.ArenaGone{Arena: 3}}})
	send(frameIn(6, 3, 0))
	if r := answerTo(t, engine, 6); core.KindOf(r.Err) != core.NotFound {
		t.Errorf("in an arena that is gone: %+v", r)
	}
	close(release)
	if r := answerTo(t, engine, 5); r.Err != nil || string(r.Returns[0].Added[0].ExtraData["value"]) != "9" {
		t.Errorf("the frame that was worked on: %+v", r)
	}
	s.arenas.mu.Lock()
	defer s.arenas.mu.Unlock()
	if len(s.arenas.known) != 0 {
		t.Errorf("%d arenas are still mapped", len(s.arenas.known))
	}
}

// FuzzPacket: no packet of an engine takes the capsule down.
func FuzzPacket(f *testing.F) {
	f.Add(pack(f, frameIn(1, 3, 0)))
	f.Add(pack(f, &wire.ToCapsule{Kind: &wire.ToCapsule_Gone{Gone: &wire.ArenaGone{Arena: 3}}}))
	f.Add(pack(f, &wire.ToCapsule{Kind: &wire.ToCapsule_Frame{Frame: &wire.FrameRequest{Call: 1, Stream: 1, Nodes: []*wire.Node{{Id: 1}}}}}))
	c := capsuleOf(firstByte)
	c.Formats = []PixelFormat{GRAY8}
	s, engine := doorbell(f, c)
	go func() { // nobody waits for the answers
		buf := make([]byte, shm.PacketLimit)
		for {
			if _, _, err := engine.Recv(time.Time{}, buf); err != nil {
				return
			}
		}
	}()
	f.Fuzz(func(t *testing.T, p []byte) { s.packet(p, nil) })
}
func dup(t testing.TB, fd int) int {
	t.Helper()
	n, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
