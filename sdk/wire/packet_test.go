package wire

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"google.golang.org/protobuf/proto"
)

func answers() map[string]Answer {
	wide := Answer{Call: 1 << 60, Queued: time.Nanosecond, Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{
		{Class: strings.Repeat("long ", 40), Encoding: make(core.Encoding, 300), Children: []*core.Node{fullNode(), {Class: "in it"}}},
		{Coords: core.Polygon{{X: -1, Y: math.MaxFloat64}, {}, {X: 1e-300, Y: 2}}},
	}, Returned: []core.NodeID{1, 1 << 40, 0}}}}
	wide.Returns[0].Added[0].Children[0].ID = 0
	for i := range wide.Returns[0].Added[0].Encoding {
		wide.Returns[0].Added[0].Encoding[i] = float32(i) / 7
	}
	return map[string]Answer{
		"full":   fullAnswer(),
		"wide":   wide,
		"empty":  {Call: 1},
		"failed": {Call: 2, Err: core.Faultf(core.Exhausted, "op", "on", "why\xff"), Queued: 5},
		"run":    {Call: 8, Returns: []core.Return{{Node: 3, Err: core.Faultf(core.CapsuleFailed, "op", "on", "why")}, {Kind: core.ReturnNull, Node: 4}}},
	}
}

func calls() map[string]Call {
	inline := fullCall()
	inline.Handle, inline.Arena, inline.Nodes = HandleType_HANDLE_INLINE, 0, nil
	inline.Layout = core.Layout{Format: core.RGB, Width: 2, Height: 2, Planes: []core.Plane{{Stride: 6}}, Matrix: core.BT601}
	inline.Frame.Caps.Format, inline.Frame.Caps.Matrix, inline.Frame.Caps.FullRange = core.RGB, core.BT601, false
	inline.Pixels = []byte("abcdefghijkl")
	many := fullCall()
	for range 200 {
		many.Nodes = append(many.Nodes, fullNode())
	}
	return map[string]Call{
		"full": fullCall(), "inline": inline, "many": many,
		"none": {ID: 1, Frame: core.Frame{PTS: -1, Caps: core.Caps{Width: 4, Height: 3, Matrix: core.BT601}}},
	}
}

// The bytes are those that generated code writes, and what is read back is what was written.
func TestCallPacket(t *testing.T) {
	t.Parallel()
	for name, c := range calls() {
		got, err := AppendCall(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		want, err := proto.Marshal(&ToCapsule{Kind: &ToCapsule_Frame{Frame: EncodeCall(c)}})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", name, err, got, want)
		}
		back, err := ParseToCapsule(want)
		if err != nil || !reflect.DeepEqual(back, ToCapsulePacket{Call: c}) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, back.Call, c)
		}
	}
}

func TestAnswerPacket(t *testing.T) {
	t.Parallel()
	for name, a := range answers() {
		got, err := AppendAnswer(nil, a)
		if err != nil {
			t.Fatal(err)
		}
		want, err := proto.Marshal(&FromCapsule{Kind: &FromCapsule_Answer{Answer: EncodeAnswer(a)}})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", name, err, got, want)
		}
		slow, err := DecodeAnswer(again(t, EncodeAnswer(a)))
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseFromCapsule(want)
		if err != nil || !reflect.DeepEqual(back, FromCapsulePacket{Call: a.Call, Answer: slow}) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, back.Answer, slow)
		}
	}
}

func TestSmallPackets(t *testing.T) {
	t.Parallel()
	packet := func(m *ToCapsule) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	offer, err := ParseToCapsule(packet(&ToCapsule{Kind: &ToCapsule_Offer{Offer: &ArenaOffer{Arena: 7, Size: 1 << 33}}}))
	if err != nil || !reflect.DeepEqual(offer, ToCapsulePacket{Offer: 7, Size: 1 << 33}) {
		t.Errorf("%v %+v", err, offer)
	}
	gone, err := ParseToCapsule(packet(&ToCapsule{Kind: &ToCapsule_Gone{Gone: &ArenaGone{Arena: 7}}}))
	if err != nil || !reflect.DeepEqual(gone, ToCapsulePacket{Gone: 7}) {
		t.Errorf("%v %+v", err, gone)
	}
	ready, err := ParseFromCapsule(AppendReady(nil, 300))
	if err != nil || !reflect.DeepEqual(ready, FromCapsulePacket{Call: 300, Ready: true}) {
		t.Errorf("%v %+v", err, ready)
	}
}

func TestPacketTextsAreUTF8(t *testing.T) {
	t.Parallel()
	bad := &core.Node{Class: "\xff"}
	if _, err := AppendCall(nil, Call{ID: 1, Nodes: []*core.Node{bad}}); core.KindOf(err) != core.Invalid {
		t.Errorf("call: %v", err)
	}
	if _, err := AppendAnswer(nil, Answer{Call: 1, Returns: []core.Return{{Added: []*core.Node{bad}}}}); core.KindOf(err) != core.Invalid {
		t.Errorf("answer: %v", err)
	}
}

func TestPacketRefused(t *testing.T) {
	t.Parallel()
	answer, _ := AppendAnswer(nil, fullAnswer())
	call, _ := AppendCall(nil, fullCall())
	for name, b := range map[string][]byte{
		"empty": nil, "noise": []byte("not a message at all"), "unknown": {9<<3 | 2, 1, 0}, "two answers": append(bytes.Clone(answer), answer...),
	} {
		if _, err := ParseFromCapsule(b); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range answer {
		if _, err := ParseFromCapsule(answer[:n]); err == nil {
			t.Errorf("%d of %d bytes are an answer", n, len(answer))
		}
	}
	for n := range call {
		if _, err := ParseToCapsule(call[:n]); err == nil {
			t.Errorf("%d of %d bytes are a call", n, len(call))
		}
	}
}

// TestPacketRefusals: what generated code with its checks refuses is refused here too.
func TestPacketRefusals(t *testing.T) {
	t.Parallel()
	for name, spoil := range spoilings() {
		m := EncodeAnswer(fullAnswer())
		spoil(m)
		b, err := proto.Marshal(&FromCapsule{Kind: &FromCapsule_Answer{Answer: m}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseFromCapsule(b); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFromCapsule: what is read here, generated code reads as the same; and what generated code
// writes and accepts is read here.
func FuzzFromCapsule(f *testing.F) {
	for _, a := range answers() {
		b, _ := AppendAnswer(nil, a)
		f.Add(b)
	}
	f.Add(AppendReady(nil, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseFromCapsule(b)
		var m FromCapsule
		if failed := proto.Unmarshal(b, &m); failed != nil {
			if err == nil {
				t.Fatalf("generated code does not read it: %v", failed)
			}
			return
		}
		if k, ok := m.Kind.(*FromCapsule_Answer); ok {
			slow, failed := DecodeAnswer(k.Answer)
			same := failed == nil && reflect.DeepEqual(got.Answer, slow)
			if canonical, _ := proto.Marshal(&m); err == nil && !same || err != nil && failed == nil && bytes.Equal(canonical, b) {
				t.Fatalf("%v %+v\ngenerated code: %v %+v", err, got.Answer, failed, slow)
			}
		}
	})
}

// FuzzToCapsule is the same for the other way.
func FuzzToCapsule(f *testing.F) {
	for _, c := range calls() {
		b, _ := AppendCall(nil, c)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseToCapsule(b)
		var m ToCapsule
		if failed := proto.Unmarshal(b, &m); failed != nil {
			if err == nil {
				t.Fatalf("generated code does not read it: %v", failed)
			}
			return
		}
		if k, ok := m.Kind.(*ToCapsule_Frame); ok {
			slow, failed := DecodeCall(k.Frame)
			same := failed == nil && reflect.DeepEqual(got.Call, slow)
			if canonical, _ := proto.Marshal(&m); err == nil && !same || err != nil && failed == nil && bytes.Equal(canonical, b) {
				t.Fatalf("%v %+v\ngenerated code: %v %+v", err, got.Call, failed, slow)
			}
		}
	})
}

func BenchmarkPackets(b *testing.B) {
	c, a := fullCall(), fullAnswer()
	b.Run("by hand", func(b *testing.B) {
		for b.Loop() {
			p, _ := AppendCall(make([]byte, 0, 512), c)
			ParseToCapsule(p)
			p, _ = AppendAnswer(make([]byte, 0, 512), a)
			ParseFromCapsule(p)
		}
	})
	b.Run("generated", func(b *testing.B) {
		for b.Loop() {
			p, _ := proto.Marshal(&ToCapsule{Kind: &ToCapsule_Frame{Frame: EncodeCall(c)}})
			var to ToCapsule
			proto.Unmarshal(p, &to)
			DecodeCall(to.GetFrame())
			p, _ = proto.Marshal(&FromCapsule{Kind: &FromCapsule_Answer{Answer: EncodeAnswer(a)}})
			var from FromCapsule
			proto.Unmarshal(p, &from)
			DecodeAnswer(from.GetAnswer())
		}
	})
}
