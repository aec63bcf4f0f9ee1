package wire

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
	"google.golang.org/protobuf/encoding/protowire"
)

// The two messages that every frame needs are written and read here without generated code.
// The bytes are the same; but beside a decoder, which fills the processor's caches, what counts
// is how much code and memory a packet touches.

// AppendCall appends the packet ToCapsule{frame} of a call to b. It fails where a text is not
// UTF-8.
func AppendCall(b []byte, c Call) ([]byte, error) {
	w := writer{b: b}
	at := w.open(1)
	w.call(c)
	w.close(at)
	return w.b, w.err
}

// AppendAnswer appends the packet FromCapsule{answer} of an answer to b. It fails where a text
// is not UTF-8.
func AppendAnswer(b []byte, a Answer) ([]byte, error) {
	w := writer{b: b}
	at := w.open(1)
	w.answer(a)
	w.close(at)
	return w.b, w.err
}

// AppendReady appends the packet FromCapsule{ready}: the answer to a call is to be fetched.
func AppendReady(b []byte, call uint64) []byte {
	w := writer{b: b}
	at := w.open(2)
	w.uint(1, call)
	w.close(at)
	return w.b
}

// writer writes fields in the order of their numbers and leaves out zeros, as protobuf does.
type writer struct {
	b   []byte
	err error
}

// open begins a message of yet unknown length; close completes it.
func (w *writer) open(field protowire.Number) int {
	w.b = append(protowire.AppendTag(w.b, field, protowire.BytesType), 0)
	return len(w.b)
}

func (w *writer) close(at int) {
	size := len(w.b) - at
	if size < 1<<7 {
		w.b[at-1] = byte(size)
		return
	}
	more := protowire.SizeVarint(uint64(size)) - 1
	w.b = append(w.b, make([]byte, more)...)
	copy(w.b[at+more:], w.b[at:at+size])
	protowire.AppendVarint(w.b[:at-1], uint64(size))
}

func (w *writer) uint(field protowire.Number, v uint64) {
	if v != 0 {
		w.b = protowire.AppendVarint(protowire.AppendTag(w.b, field, protowire.VarintType), v)
	}
}

func (w *writer) bool(field protowire.Number, v bool) { w.uint(field, protowire.EncodeBool(v)) }

func (w *writer) text(field protowire.Number, s string) {
	if s == "" {
		return
	}
	if !utf8.ValidString(s) && w.err == nil {
		w.err = invalid("%q is not UTF-8", s)
	}
	w.b = protowire.AppendString(protowire.AppendTag(w.b, field, protowire.BytesType), s)
}

func (w *writer) bytes(field protowire.Number, p []byte) {
	if len(p) > 0 {
		w.b = protowire.AppendBytes(protowire.AppendTag(w.b, field, protowire.BytesType), p)
	}
}

func (w *writer) call(c Call) {
	w.uint(1, c.ID)
	w.uint(2, uint64(c.Stream))
	w.uint(3, c.Frame.Seq)
	w.uint(4, uint64(c.Frame.PTS))
	if !c.Frame.Captured.IsZero() {
		w.uint(5, uint64(c.Frame.Captured.UnixNano()))
	}
	at := w.open(6)
	w.picture(c)
	w.close(at)
	for _, n := range c.Nodes {
		w.node(7, n)
	}
	w.bytes(8, c.Pixels)
}

func (w *writer) picture(c Call) {
	caps, l := c.Frame.Caps, c.Layout
	w.uint(1, uint64(c.Handle))
	w.uint(2, c.Arena)
	w.uint(3, uint64(encodeFormat(l.Format)))
	w.uint(4, uint64(uint32(l.Width)))
	w.uint(5, uint64(uint32(l.Height)))
	if len(l.Planes) > 0 {
		at := w.open(6)
		for _, p := range l.Planes {
			w.b = protowire.AppendVarint(w.b, uint64(p.Offset))
		}
		w.close(at)
		at = w.open(7)
		for _, p := range l.Planes {
			w.b = protowire.AppendVarint(w.b, uint64(p.Stride))
		}
		w.close(at)
	}
	w.uint(8, uint64(uint32(caps.Width)))
	w.uint(9, uint64(uint32(caps.Height)))
	w.bool(10, l.FullRange)
	w.bool(11, l.Matrix == core.BT709)
	w.uint(12, uint64(uint32(caps.RateN)))
	w.uint(13, uint64(uint32(caps.RateD)))
}

func (w *writer) node(field protowire.Number, n *core.Node) {
	at := w.open(field)
	w.uint(1, uint64(n.ID))
	w.text(2, n.Class)
	if len(n.Coords) > 0 {
		coords := w.open(3)
		for _, p := range n.Coords {
			w.b = protowire.AppendFixed64(w.b, math.Float64bits(p.X))
			w.b = protowire.AppendFixed64(w.b, math.Float64bits(p.Y))
		}
		w.close(coords)
	}
	for _, name := range sortedKeys(n.Attributes) {
		w.attribute(4, name, n.Attributes[name])
	}
	w.extra(5, n.ExtraData)
	w.encoding(6, n.Encoding)
	w.text(7, string(n.TrackID))
	for _, c := range n.Children {
		w.node(8, c)
	}
	w.text(9, n.Origin)
	w.close(at)
}

func (w *writer) attribute(field protowire.Number, name, value string) {
	at := w.open(field)
	w.text(1, name)
	w.text(2, value)
	w.close(at)
}

func (w *writer) extra(field protowire.Number, e core.ExtraData) {
	for _, k := range sortedKeys(e) {
		v := []byte(e[k])
		if v == nil {
			v = []byte("null")
		}
		at := w.open(field)
		w.text(1, k)
		w.bytes(2, v)
		w.close(at)
	}
}

func (w *writer) encoding(field protowire.Number, e core.Encoding) {
	if e == nil {
		return
	}
	at := w.open(field)
	if len(e) > 0 {
		w.b = slices.Grow(w.b, 4*len(e)+16)
		values := w.open(1)
		for _, v := range e {
			w.b = protowire.AppendFixed32(w.b, math.Float32bits(v))
		}
		w.close(values)
	}
	w.close(at)
}

func (w *writer) answer(a Answer) {
	w.uint(1, a.Call)
	if a.Err == nil {
		for _, r := range a.Returns {
			w.returned(r)
		}
	} else {
		w.fault(3, a.Err)
	}
	w.uint(4, uint64(a.Queued))
	w.uint(5, uint64(a.Compute))
}

func (w *writer) returned(r core.Return) {
	at := w.open(2)
	defer func() { w.close(at) }()
	if r.Err != nil {
		w.uint(2, uint64(r.Node))
		w.fault(6, r.Err)
		return
	}
	w.uint(1, uint64(r.Kind))
	w.uint(2, uint64(r.Node))
	if len(r.Returned) > 0 {
		ids := w.open(3)
		for _, id := range r.Returned {
			w.b = protowire.AppendVarint(w.b, uint64(id))
		}
		w.close(ids)
	}
	for _, p := range r.Patches {
		w.patch(4, p)
	}
	for _, n := range r.Added {
		w.node(5, n)
	}
}

func (w *writer) patch(field protowire.Number, p core.Patch) {
	at := w.open(field)
	w.uint(1, uint64(p.Node))
	for _, a := range p.Attributes {
		w.attribute(2, a.Name, a.Value)
	}
	w.extra(3, p.ExtraData)
	w.encoding(4, p.Encoding)
	w.text(5, string(p.TrackID))
	w.close(at)
}

func (w *writer) fault(field protowire.Number, err error) {
	f := EncodeFault(err)
	at := w.open(field)
	w.uint(1, uint64(f.Kind))
	w.text(2, f.Message)
	w.close(at)
}

// ToCapsulePacket is a packet from the engine: a call, the offer of an arena or its end.
type ToCapsulePacket struct {
	Call  Call   // its ID is 0 in the others
	Offer uint64 // the number of an arena
	Size  uint64 // of the offered arena, in bytes
	Gone  uint64 // the number of an arena
}

// ParseToCapsule reads a packet from the engine. Where the call is not well formed, the packet
// has its ID if that was found.
func ParseToCapsule(packet []byte) (ToCapsulePacket, error) {
	var p ToCapsulePacket
	r := reader{b: packet}
	var err error
	kinds := 0
	for tag, ok := r.tag(); ok; tag, ok = r.tag() {
		switch tag {
		case 1<<3 | bytesType:
			p.Call, err = parseCall(r.message())
			kinds++
		case 2<<3 | bytesType:
			p.Offer, p.Size, err = parseTwo(r.message())
			kinds++
		case 3<<3 | bytesType:
			p.Gone, _, err = parseTwo(r.message())
			kinds++
		default:
			r.skip(tag)
		}
	}
	switch {
	case r.err != nil:
		return ToCapsulePacket{}, r.err
	case kinds != 1:
		return ToCapsulePacket{}, invalid("%d known messages in a packet of %d bytes", kinds, len(packet))
	}
	return p, err
}

// FromCapsulePacket is a packet from a capsule: an answer, or that it is to be fetched.
type FromCapsulePacket struct {
	Call   uint64
	Ready  bool // fetch it
	Answer Answer
}

// ParseFromCapsule reads a packet from a capsule.
func ParseFromCapsule(packet []byte) (FromCapsulePacket, error) {
	var p FromCapsulePacket
	var err error
	kinds := 0
	r := reader{b: packet}
	for tag, ok := r.tag(); ok; tag, ok = r.tag() {
		switch tag {
		case 1<<3 | bytesType:
			p.Answer, err = parseAnswer(r.message())
			p.Call = p.Answer.Call
			kinds++
		case 2<<3 | bytesType:
			p.Ready = true
			p.Call, _, err = parseTwo(r.message())
			kinds++
		default:
			r.skip(tag)
		}
	}
	switch {
	case r.err != nil:
		return FromCapsulePacket{}, r.err
	case kinds != 1:
		return FromCapsulePacket{}, invalid("%d known messages in a packet of %d bytes", kinds, len(packet))
	}
	return p, err
}

// unixTime is the capture time of a message.
func unixTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
