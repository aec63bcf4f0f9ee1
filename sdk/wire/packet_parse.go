package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
	"google.golang.org/protobuf/encoding/protowire"
)

// The wire types of the fields that are known here, as the low bits of a tag.
const (
	varintType  = uint64(protowire.VarintType)
	fixed64Type = uint64(protowire.Fixed64Type)
	bytesType   = uint64(protowire.BytesType)
	fixed32Type = uint64(protowire.Fixed32Type)
)

// reader reads the fields of one message. After the first error, err, it finds nothing more.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = invalid(format, args...)
	}
	r.b = nil
}

// took moves on by what a function of protowire has consumed.
func (r *reader) took(n int) {
	if n < 0 {
		r.fail("it is no protobuf message: %w", protowire.ParseError(n))
		return
	}
	r.b = r.b[n:]
}

// tag gives the next field's number, shifted by three, and its wire type.
func (r *reader) tag() (uint64, bool) {
	if len(r.b) == 0 {
		return 0, false
	}
	num, typ, n := protowire.ConsumeTag(r.b)
	r.took(n)
	if num > protowire.MaxValidNumber {
		r.fail("field number %d", num)
	}
	return uint64(num)<<3 | uint64(typ), r.err == nil
}

func (r *reader) skip(tag uint64) {
	r.took(protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), r.b))
}

func (r *reader) uint() uint64 {
	v, n := protowire.ConsumeVarint(r.b)
	r.took(n)
	return v
}

// message gives the bytes of a field, still the packet's.
func (r *reader) message() []byte {
	v, n := protowire.ConsumeBytes(r.b)
	r.took(n)
	return v
}

func (r *reader) text() string {
	v := r.message()
	if !utf8.Valid(v) {
		r.fail("%q is not UTF-8", v)
	}
	return string(v)
}

// uints reads a repeated field, packed or not.
func (r *reader) uints(tag uint64, to []uint64) []uint64 {
	if tag&7 == varintType {
		return append(to, r.uint())
	}
	in := reader{b: r.message()}
	for len(in.b) > 0 {
		to = append(to, in.uint())
	}
	r.adopt(in)
	return to
}

// adopt takes over the error of a message inside this one.
func (r *reader) adopt(in reader) {
	if in.err != nil && r.err == nil {
		r.err, r.b = in.err, nil
	}
}

func (r *reader) doubles(tag uint64, to []float64) []float64 {
	if tag&7 == fixed64Type {
		v, n := protowire.ConsumeFixed64(r.b)
		r.took(n)
		return append(to, math.Float64frombits(v))
	}
	p := r.message()
	if len(p)%8 != 0 {
		r.fail("%d bytes of coordinates", len(p))
		return to
	}
	if to == nil {
		to = make([]float64, 0, len(p)/8)
	}
	for ; len(p) > 0; p = p[8:] {
		v, _ := protowire.ConsumeFixed64(p)
		to = append(to, math.Float64frombits(v))
	}
	return to
}

func (r *reader) floats(tag uint64, to []float32) []float32 {
	if tag&7 == fixed32Type {
		v, n := protowire.ConsumeFixed32(r.b)
		r.took(n)
		return append(to, math.Float32frombits(v))
	}
	p := r.message()
	if len(p)%4 != 0 {
		r.fail("%d bytes of an encoding", len(p))
		return to
	}
	if to == nil {
		to = make([]float32, 0, len(p)/4)
	}
	for ; len(p) > 0; p = p[4:] {
		v, _ := protowire.ConsumeFixed32(p)
		to = append(to, math.Float32frombits(v))
	}
	return to
}

// parseTwo reads the messages that are one or two numbers.
func parseTwo(b []byte) (first, second uint64, err error) {
	r := reader{b: b}
	for tag, ok := r.tag(); ok; tag, ok = r.tag() {
		switch tag {
		case 1<<3 | varintType:
			first = r.uint()
		case 2<<3 | varintType:
			second = r.uint()
		default:
			r.skip(tag)
		}
	}
	return first, second, r.err
}

func parseCall(b []byte) (Call, error) {
	var c Call
	var picture Picture
	r := reader{b: b}
	for tag, ok := r.tag(); ok; tag, ok = r.tag() {
		switch tag {
		case 1<<3 | varintType:
			c.ID = r.uint()
		case 2<<3 | varintType:
			c.Stream = uint32(r.uint())
		case 3<<3 | varintType:
			c.Frame.Seq = r.uint()
		case 4<<3 | varintType:
			c.Frame.PTS = core.PTS(r.uint())
		case 5<<3 | varintType:
			c.Frame.Captured = unixTime(int64(r.uint()))
		case 6<<3 | bytesType:
			r.picture(&picture)
		case 7<<3 | bytesType:
			c.Nodes = append(c.Nodes, r.node(0))
		case 8<<3 | bytesType:
			c.Pixels = bytes.Clone(r.message()) // the packet's memory is used again
		default:
			r.skip(tag)
		}
	}
	switch {
	case r.err != nil:
		return Call{ID: c.ID}, r.err
	case c.ID == 0:
		return c, invalid("call without a number")
	case len(c.Nodes) > maxNodes:
		return Call{ID: c.ID}, invalid("%d nodes", len(c.Nodes))
	}
	c.Handle, c.Arena = picture.Handle, picture.Arena
	if err := c.decodePicture(&picture); err != nil {
		return Call{ID: c.ID}, err
	}
	return c, nil
}

func (r *reader) picture(p *Picture) {
	in := reader{b: r.message()}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		if tag>>3 == 6 && (tag&7 == varintType || tag&7 == bytesType) {
			p.Offsets = signed(in.uints(tag, nil), p.Offsets)
			continue
		}
		if tag>>3 == 7 && (tag&7 == varintType || tag&7 == bytesType) {
			p.Strides = signed(in.uints(tag, nil), p.Strides)
			continue
		}
		if tag&7 != varintType {
			in.skip(tag)
			continue
		}
		in.pictureNumber(tag, p)
	}
	r.adopt(in)
}

func signed(from []uint64, to []int64) []int64 {
	for _, v := range from {
		to = append(to, int64(v))
	}
	return to
}

func (r *reader) pictureNumber(tag uint64, p *Picture) {
	v := r.uint()
	switch tag >> 3 {
	case 1:
		p.Handle = HandleType(int32(v))
	case 2:
		p.Arena = v
	case 3:
		p.Format = PixelFormat(int32(v))
	case 4:
		p.Width = uint32(v)
	case 5:
		p.Height = uint32(v)
	case 8:
		p.NativeWidth = uint32(v)
	case 9:
		p.NativeHeight = uint32(v)
	case 10:
		p.FullRange = v != 0
	case 11:
		p.Bt709 = v != 0
	case 12:
		p.RateN = uint32(v)
	case 13:
		p.RateD = uint32(v)
	}
}

// node reads a node; what cannot be is an error of the reader.
func (r *reader) node(depth int) *core.Node {
	n := &core.Node{}
	var xy []float64
	in := reader{b: r.message()}
	if depth > maxDepth {
		in.fail("children are %d deep", depth)
	}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		switch tag {
		case 1<<3 | varintType:
			n.ID = core.NodeID(in.uint())
		case 2<<3 | bytesType:
			n.Class = in.text()
		case 3<<3 | bytesType, 3<<3 | fixed64Type:
			xy = in.doubles(tag, xy)
		case 4<<3 | bytesType:
			in.attribute(n)
		case 5<<3 | bytesType:
			n.ExtraData = in.extra(n.ExtraData)
		case 6<<3 | bytesType:
			n.Encoding = in.encoding(n.Encoding)
		case 7<<3 | bytesType:
			n.TrackID = core.TrackID(in.text())
		case 8<<3 | bytesType:
			n.Children = append(n.Children, in.node(depth+1))
		case 9<<3 | bytesType:
			n.Origin = in.text()
		default:
			in.skip(tag)
		}
	}
	var err error
	if n.Coords, err = decodeCoords(xy); err != nil {
		in.fail("%w", err)
	}
	if len(n.Class) > maxText || len(n.Children) > maxNodes {
		in.fail("class of %d bytes, %d children", len(n.Class), len(n.Children))
	}
	r.adopt(in)
	return n
}

// pair reads a message of two texts; the second one may be bytes.
func (r *reader) pair(utf bool) (first string, second []byte) {
	in := reader{b: r.message()}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		switch tag {
		case 1<<3 | bytesType:
			first = in.text()
		case 2<<3 | bytesType:
			second = in.message()
		default:
			in.skip(tag)
		}
	}
	if utf && !utf8.Valid(second) {
		in.fail("%q is not UTF-8", second)
	}
	r.adopt(in)
	return first, second
}

func (r *reader) attribute(n *core.Node) {
	name, value := r.pair(true)
	if n.Attributes == nil {
		n.Attributes = map[string]string{}
	}
	if _, twice := n.Attributes[name]; twice || len(n.Attributes) >= maxNodes {
		r.fail("attribute %q stands there twice, or there are %d", name, len(n.Attributes))
		return
	}
	n.Attributes[name] = string(value)
}

func (r *reader) extra(e core.ExtraData) core.ExtraData {
	key, value := r.pair(false)
	if e == nil {
		e = core.ExtraData{}
	}
	_, twice := e[key]
	switch {
	case len(value) > maxJSON || !json.Valid(value) || !utf8.Valid(value):
		r.fail("extra data %q is not JSON (%d bytes)", key, len(value))
	case twice || len(e) >= maxNodes:
		r.fail("extra data %q stands there twice, or there are %d", key, len(e))
	default:
		e[key] = bytes.Clone(value)
	}
	return e
}

func (r *reader) encoding(e core.Encoding) core.Encoding {
	values := []float32(e)
	in := reader{b: r.message()}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		if tag == 1<<3|bytesType || tag == 1<<3|fixed32Type {
			values = in.floats(tag, values)
		} else {
			in.skip(tag)
		}
	}
	r.adopt(in)
	if len(values) > maxEncoding {
		r.fail("encoding of %d values", len(values))
	}
	for _, v := range values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			r.fail("encoding with %v in it", v)
			break
		}
	}
	if values == nil {
		return core.Encoding{}
	}
	return values
}

func parseAnswer(b []byte) (Answer, error) {
	var a Answer
	r := reader{b: b}
	for tag, ok := r.tag(); ok; tag, ok = r.tag() {
		switch tag {
		case 1<<3 | varintType:
			a.Call = r.uint()
		case 2<<3 | bytesType:
			a.Returns = append(a.Returns, r.returned())
		case 3<<3 | bytesType:
			a.Err = r.fault()
		case 4<<3 | varintType:
			a.Queued = time.Duration(r.uint())
		case 5<<3 | varintType:
			a.Compute = time.Duration(r.uint())
		default:
			r.skip(tag)
		}
	}
	switch {
	case r.err != nil:
		return Answer{Call: a.Call}, r.err
	case a.Call == 0:
		return a, invalid("answer to no call")
	case a.Queued < 0 || a.Compute < 0:
		return Answer{Call: a.Call}, invalid("times %s and %s", a.Queued, a.Compute)
	case a.Err != nil:
		a.Returns = nil
	case len(a.Returns) > maxNodes:
		return Answer{Call: a.Call}, invalid("%d returns", len(a.Returns))
	}
	return a, nil
}

func (r *reader) fault() error {
	kind, message := int32(0), ""
	in := reader{b: r.message()}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		switch tag {
		case 1<<3 | varintType:
			kind = int32(in.uint())
		case 2<<3 | bytesType:
			message = in.text()
		default:
			in.skip(tag)
		}
	}
	r.adopt(in)
	return DecodeFault(&Fault{Kind: kind, Message: message})
}

func (r *reader) returned() core.Return {
	var out core.Return
	kind := int32(0)
	in := reader{b: r.message()}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		switch tag {
		case 1<<3 | varintType:
			kind = int32(in.uint())
		case 2<<3 | varintType:
			out.Node = core.NodeID(in.uint())
		case 3<<3 | bytesType, 3<<3 | varintType:
			for _, id := range in.uints(tag, nil) {
				out.Returned = append(out.Returned, core.NodeID(id))
			}
		case 4<<3 | bytesType:
			out.Patches = append(out.Patches, in.patch())
		case 5<<3 | bytesType:
			out.Added = append(out.Added, in.added())
		case 6<<3 | bytesType:
			out.Err = in.fault()
		default:
			in.skip(tag)
		}
	}
	if kind < int32(Return_NULL) || kind > int32(Return_LIST) {
		in.fail("return of kind %d", kind)
	}
	if most := max(len(out.Returned), len(out.Patches), len(out.Added)); most > maxNodes {
		in.fail("return of %d nodes", most)
	}
	r.adopt(in)
	if out.Err != nil {
		return core.Return{Node: out.Node, Err: out.Err}
	}
	out.Kind = core.ReturnKind(kind)
	return out
}

func (r *reader) added() *core.Node {
	n := r.node(0)
	if n.ID != 0 {
		r.fail("an added node has the ID %d, which the engine gives", n.ID)
	}
	return n
}

func (r *reader) patch() core.Patch {
	var p core.Patch
	in := reader{b: r.message()}
	for tag, ok := in.tag(); ok; tag, ok = in.tag() {
		switch tag {
		case 1<<3 | varintType:
			p.Node = core.NodeID(in.uint())
		case 2<<3 | bytesType:
			name, value := in.pair(true)
			p.Attributes = append(p.Attributes, core.AttributeValue{Name: name, Value: string(value)})
		case 3<<3 | bytesType:
			p.ExtraData = in.extra(p.ExtraData)
		case 4<<3 | bytesType:
			p.Encoding = in.encoding(p.Encoding)
		case 5<<3 | bytesType:
			p.TrackID = core.TrackID(in.text())
		default:
			in.skip(tag)
		}
	}
	if p.Node == 0 || len(p.Attributes) > maxNodes {
		in.fail("patch of node %d with %d attributes", p.Node, len(p.Attributes))
	}
	r.adopt(in)
	return p
}
