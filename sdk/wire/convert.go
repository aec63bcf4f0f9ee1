package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/capstan-video/capstan/core"
)

// Limits of what is believed, far above anything that makes sense.
const (
	maxNodes    = 1 << 16 // in one list
	maxPoints   = 1 << 16 // of one outline
	maxEncoding = 1 << 16
	maxDepth    = 8 // children of children
	maxText     = 1 << 16
	maxJSON     = 16 << 20
)

func invalid(format string, args ...any) error {
	return core.Faultf(core.Invalid, "message", "", format, args...)
}

func encodeList[A, B any](list []A, f func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

func decodeList[A, B any](what string, list []A, f func(A) (B, error)) ([]B, error) {
	if len(list) > maxNodes {
		return nil, invalid("%d %ss", len(list), what)
	}
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		var err error
		if out[i], err = f(a); err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i, err)
		}
	}
	return out, nil
}

var formats = map[core.PixelFormat]PixelFormat{
	"":         PixelFormat_PIXEL_FORMAT_UNSPECIFIED,
	core.GRAY8: PixelFormat_PIXEL_FORMAT_GRAY8,
	core.I420:  PixelFormat_PIXEL_FORMAT_I420,
	core.NV12:  PixelFormat_PIXEL_FORMAT_NV12,
	core.RGB:   PixelFormat_PIXEL_FORMAT_RGB,
	core.BGR:   PixelFormat_PIXEL_FORMAT_BGR,
}

func encodeFormat(f core.PixelFormat) PixelFormat { return formats[f] }

func decodeFormat(f PixelFormat) (core.PixelFormat, error) {
	for k, v := range formats {
		if v == f && k != "" {
			return k, nil
		}
	}
	return "", invalid("pixel format %d is not known", f)
}

// EncodeDeclaration gives the message of a declaration. An option default without a JSON form
// arrives as null, which the other side refuses.
func EncodeDeclaration(d core.Declaration) *Declaration {
	return &Declaration{
		Name: d.Name, Version: d.Version, Api: d.API, Description: d.Description,
		Input: encodeDescription(d.Input), Output: encodeDescription(d.Output),
		Options: encodeList(d.Options, encodeOption), Formats: encodeList(d.Formats, encodeFormat),
		Picture:  &PictureSize{MaxSide: uint32(d.Picture.MaxSide), Width: uint32(d.Picture.Width), Height: uint32(d.Picture.Height), Filter: string(d.Picture.Filter)},
		Stateful: d.Stateful, EveryN: uint32(d.EveryN), DeadlineNs: int64(d.Deadline), Metric: string(d.Metric), Entry: d.Entry,
		Gate: encodeGate(d.Gate),
	}
}

func encodeGate(g core.Gate) *Gate {
	if g.IsZero() {
		return nil
	}
	return &Gate{Class: g.Class, HoldNs: int64(g.Hold), AtLeastNs: int64(g.AtLeast)}
}

func decodeGate(m *Gate) core.Gate {
	return core.Gate{Class: m.GetClass(), Hold: time.Duration(m.GetHoldNs()), AtLeast: time.Duration(m.GetAtLeastNs())}
}

// DecodeDeclaration gives the declaration of a message, validated.
func DecodeDeclaration(m *Declaration) (core.Declaration, error) {
	if m == nil {
		return core.Declaration{}, invalid("there is no declaration")
	}
	p := m.GetPicture()
	if max(p.GetMaxSide(), p.GetWidth(), p.GetHeight(), m.EveryN) > math.MaxInt32 {
		return core.Declaration{}, invalid("declaration of %q: a number is out of range", m.Name)
	}
	d := core.Declaration{
		Name: m.Name, Version: m.Version, API: m.Api, Description: m.Description,
		Picture:  core.PictureSize{MaxSide: int(p.GetMaxSide()), Width: int(p.GetWidth()), Height: int(p.GetHeight()), Filter: core.Filter(p.GetFilter())},
		Stateful: m.Stateful, EveryN: int(m.EveryN), Deadline: time.Duration(m.DeadlineNs), Metric: core.Metric(m.Metric), Entry: m.Entry,
		Gate: decodeGate(m.Gate),
	}
	var errs [4]error
	d.Input, errs[0] = decodeDescription(m.Input)
	d.Output, errs[1] = decodeDescription(m.Output)
	d.Options, errs[2] = decodeList("option", m.Options, decodeOption)
	d.Formats, errs[3] = decodeList("format", m.Formats, decodeFormat)
	if err := errors.Join(errs[:]...); err != nil {
		return core.Declaration{}, invalid("declaration of %q: %w", m.Name, err)
	}
	if err := d.Validate(); err != nil {
		return core.Declaration{}, err
	}
	return d, nil
}

func encodeDescription(d core.Description) *Description {
	return &Description{
		Size: Size(d.Size), Detections: d.Detections, Encoded: d.Encoded, Tracked: d.Tracked, ExtraData: d.ExtraData,
		Attributes: encodeList(d.Attributes, func(a core.Attribute) *Attribute { return &Attribute{Name: a.Name, Values: a.Values} }),
	}
}

func decodeDescription(m *Description) (core.Description, error) {
	if m == nil || m.Size < Size_SIZE_NONE || m.Size > Size_SIZE_ALL {
		return core.Description{}, invalid("description of size %d", m.GetSize())
	}
	d := core.Description{Size: core.Size(m.Size), Detections: m.Detections, Encoded: m.Encoded, Tracked: m.Tracked, ExtraData: m.ExtraData}
	var err error
	d.Attributes, err = decodeList("attribute", m.Attributes, func(a *Attribute) (core.Attribute, error) {
		return core.Attribute{Name: a.GetName(), Values: a.GetValues()}, nil
	})
	return d, err
}

func encodeOption(o core.Option) *Option {
	text, err := encodeValue(o.Default)
	if err != nil {
		text = []byte("null")
	}
	return &Option{Name: o.Name, Type: string(o.Type), DefaultJson: string(text), Min: o.Min, Max: o.Max, Choices: o.Choices, Description: o.Description}
}

func decodeOption(m *Option) (core.Option, error) {
	o := core.Option{Name: m.GetName(), Type: core.OptionType(m.GetType()), Choices: m.GetChoices(), Description: m.GetDescription()}
	if m != nil {
		o.Min, o.Max = m.Min, m.Max
	}
	for _, limit := range []*float64{o.Min, o.Max} {
		if limit != nil && (math.IsNaN(*limit) || math.IsInf(*limit, 0)) {
			return o, invalid("option %q: limit %v", o.Name, *limit)
		}
	}
	var value any
	if err := decodeJSON(m.GetDefaultJson(), &value); err != nil {
		return o, invalid("option %q: default: %w", o.Name, err)
	}
	var err error
	o.Default, err = o.Check(value)
	return o, err
}

// encodeValue writes a duration as text, because a number would be taken for seconds.
func encodeValue(v any) ([]byte, error) {
	if d, ok := v.(time.Duration); ok {
		return json.Marshal(d.String())
	}
	return json.Marshal(v)
}

func decodeJSON(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the value")
	}
	return nil
}

// EncodeValues writes options as a JSON object.
func EncodeValues(v core.Values) (string, error) {
	object := make(map[string]json.RawMessage, len(v))
	for name, value := range v {
		b, err := encodeValue(value)
		if err != nil {
			return "", core.Faultf(core.Invalid, "option", name, "%w", err)
		}
		object[name] = b
	}
	b, err := json.Marshal(object)
	return string(b), err
}

// DecodeValues reads options; Declaration.Complete checks them. Empty text is no options.
func DecodeValues(text string) (map[string]any, error) {
	if text == "" {
		return map[string]any{}, nil
	}
	var v map[string]any
	if err := decodeJSON(text, &v); err != nil {
		return nil, invalid("options: %w", err)
	}
	if v == nil {
		return nil, invalid("options: %q is not an object", text)
	}
	return v, nil
}

// EncodeNode gives the message of a node; attributes and extra data in the order of their names.
func EncodeNode(n *core.Node) *Node {
	m := &Node{
		Id: uint64(n.ID), ClassName: n.Class, Encoding: encodeEncoding(n.Encoding), TrackId: string(n.TrackID), Origin: n.Origin,
		ExtraData: encodeExtra(n.ExtraData), Children: encodeList(n.Children, EncodeNode),
	}
	if len(n.Coords) > 0 {
		m.Coords = make([]float64, 0, 2*len(n.Coords))
		for _, p := range n.Coords {
			m.Coords = append(m.Coords, p.X, p.Y)
		}
	}
	for _, name := range sortedKeys(n.Attributes) {
		m.Attributes = append(m.Attributes, &AttributeValue{Name: name, Value: n.Attributes[name]})
	}
	return m
}

// DecodeNode gives the node of a message.
func DecodeNode(m *Node) (*core.Node, error) { return decodeNode(m, 0) }

func decodeNode(m *Node, depth int) (*core.Node, error) {
	if m == nil || depth > maxDepth {
		return nil, invalid("children are %d deep", depth)
	}
	if len(m.ClassName) > maxText || len(m.Attributes) > maxNodes {
		return nil, invalid("class of %d bytes, %d attributes", len(m.ClassName), len(m.Attributes))
	}
	n := &core.Node{ID: core.NodeID(m.Id), Class: m.ClassName, TrackID: core.TrackID(m.TrackId), Origin: m.Origin}
	var errs [4]error
	n.Coords, errs[0] = decodeCoords(m.Coords)
	n.ExtraData, errs[1] = decodeExtra(m.ExtraData)
	n.Encoding, errs[2] = decodeEncoding(m.Encoding)
	n.Children, errs[3] = decodeList("child", m.Children, func(c *Node) (*core.Node, error) { return decodeNode(c, depth+1) })
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, a := range m.Attributes {
		if _, twice := n.Attributes[a.GetName()]; twice {
			return nil, invalid("attribute %q stands there twice", a.GetName())
		}
		if n.Attributes == nil {
			n.Attributes = make(map[string]string, len(m.Attributes))
		}
		n.Attributes[a.GetName()] = a.GetValue()
	}
	return n, nil
}

func decodeCoords(xy []float64) (core.Polygon, error) {
	if len(xy)%2 != 0 || len(xy) > 2*maxPoints {
		return nil, invalid("%d coordinates", len(xy))
	}
	if len(xy) == 0 {
		return nil, nil
	}
	p := make(core.Polygon, len(xy)/2)
	for i, v := range xy {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, invalid("coordinate %v", v)
		}
		if i%2 == 0 {
			p[i/2].X = v
		} else {
			p[i/2].Y = v
		}
	}
	return p, nil
}

func encodeExtra(e core.ExtraData) []*ExtraValue {
	var out []*ExtraValue
	for _, k := range sortedKeys(e) {
		v := e[k]
		if v == nil {
			v = json.RawMessage("null")
		}
		out = append(out, &ExtraValue{Key: k, Json: v})
	}
	return out
}

func decodeExtra(m []*ExtraValue) (core.ExtraData, error) {
	if len(m) == 0 {
		return nil, nil
	}
	if len(m) > maxNodes {
		return nil, invalid("%d keys of extra data", len(m))
	}
	e := make(core.ExtraData, len(m))
	for _, v := range m {
		if len(v.GetJson()) > maxJSON || !json.Valid(v.GetJson()) || !utf8.Valid(v.GetJson()) {
			return nil, invalid("extra data %q is not JSON (%d bytes)", v.GetKey(), len(v.GetJson()))
		}
		if _, twice := e[v.GetKey()]; twice {
			return nil, invalid("extra data %q stands there twice", v.GetKey())
		}
		e[v.GetKey()] = bytes.Clone(v.GetJson())
	}
	return e, nil
}

func encodeEncoding(e core.Encoding) *Encoding {
	if e == nil {
		return nil
	}
	return &Encoding{Values: e}
}

func decodeEncoding(m *Encoding) (core.Encoding, error) {
	if m == nil {
		return nil, nil
	}
	if len(m.Values) > maxEncoding {
		return nil, invalid("encoding of %d values", len(m.Values))
	}
	for _, v := range m.Values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, invalid("encoding with %v in it", v)
		}
	}
	return append(core.Encoding{}, m.Values...), nil
}

func encodePatch(p core.Patch) *Patch {
	return &Patch{
		Node: uint64(p.Node), ExtraData: encodeExtra(p.ExtraData), Encoding: encodeEncoding(p.Encoding), TrackId: string(p.TrackID),
		Attributes: encodeList(p.Attributes, func(a core.AttributeValue) *AttributeValue {
			return &AttributeValue{Name: a.Name, Value: a.Value}
		}),
	}
}

func decodePatch(m *Patch) (core.Patch, error) {
	p := core.Patch{Node: core.NodeID(m.GetNode()), TrackID: core.TrackID(m.GetTrackId())}
	if p.Node == 0 {
		return p, invalid("patch of no node")
	}
	var errs [3]error
	p.ExtraData, errs[0] = decodeExtra(m.GetExtraData())
	p.Encoding, errs[1] = decodeEncoding(m.GetEncoding())
	p.Attributes, errs[2] = decodeList("attribute", m.GetAttributes(), func(a *AttributeValue) (core.AttributeValue, error) {
		return core.AttributeValue{Name: a.GetName(), Value: a.GetValue()}, nil
	})
	return p, errors.Join(errs[:]...)
}

// EncodeReturn gives the message of one run's result.
func EncodeReturn(r core.Return) *Return {
	if r.Err != nil {
		return &Return{Node: uint64(r.Node), Fault: EncodeFault(r.Err)}
	}
	return &Return{
		Kind: Return_Kind(r.Kind), Node: uint64(r.Node), Patches: encodeList(r.Patches, encodePatch), Added: encodeList(r.Added, EncodeNode),
		Returned: encodeList(r.Returned, func(id core.NodeID) uint64 { return uint64(id) }),
	}
}

// DecodeReturn gives the result of a message. Added nodes have no ID, and the rest is empty when
// the run failed.
func DecodeReturn(m *Return) (core.Return, error) {
	r := core.Return{Kind: core.ReturnKind(m.GetKind()), Node: core.NodeID(m.GetNode())}
	if m.GetFault() != nil {
		return core.Return{Node: r.Node, Err: DecodeFault(m.Fault)}, nil
	}
	if m.GetKind() < Return_NULL || m.GetKind() > Return_LIST {
		return r, invalid("return of kind %d", m.GetKind())
	}
	var errs [3]error
	r.Patches, errs[0] = decodeList("patch", m.GetPatches(), decodePatch)
	r.Added, errs[1] = decodeList("added node", m.GetAdded(), func(n *Node) (*core.Node, error) {
		if n.GetId() != 0 {
			return nil, invalid("it has the ID %d, which the engine gives", n.GetId())
		}
		return DecodeNode(n)
	})
	r.Returned, errs[2] = decodeList("returned node", m.GetReturned(), func(id uint64) (core.NodeID, error) { return core.NodeID(id), nil })
	return r, errors.Join(errs[:]...)
}

// EncodeFault gives the message of an error: its kind and text.
func EncodeFault(err error) *Fault {
	if err == nil {
		return nil
	}
	return &Fault{Kind: int32(core.KindOf(err)), Message: strings.ToValidUTF8(err.Error(), "\uFFFD")}
}

// fromCapsules lists the kinds that a capsule may use of itself. Whether its process lives is
// not for it to say.
var fromCapsules = []core.Kind{
	core.Invalid, core.NotFound, core.Exists, core.Cancelled, core.CapsuleFailed, core.CapsuleContract,
	core.Unsupported, core.Exhausted, core.Closed,
}

// DecodeFault gives the error of a message, nil for none. Any kind that is not a capsule's to
// use becomes CapsuleFailed.
func DecodeFault(m *Fault) error {
	if m == nil {
		return nil
	}
	kind := core.Kind(m.Kind)
	if !slices.Contains(fromCapsules, kind) {
		kind = core.CapsuleFailed
	}
	return &core.Fault{Kind: kind, Err: errors.New(m.Message)}
}

// Call is a FrameRequest in the nouns of core. Layout is the zero value without pixels.
type Call struct {
	ID     uint64
	Stream uint32
	Frame  core.Frame // without the stream's name
	Handle HandleType
	Arena  uint64
	Layout core.Layout
	Pixels []byte       // HANDLE_INLINE
	Nodes  []*core.Node // in the pixels of the stream
}

// EncodeCall gives the message of a call; Pixels are not copied.
func EncodeCall(c Call) *FrameRequest {
	m := &FrameRequest{
		Call: c.ID, Stream: c.Stream, Seq: c.Frame.Seq, PtsNs: int64(c.Frame.PTS), Picture: encodePicture(c),
		Nodes: encodeList(c.Nodes, EncodeNode), Pixels: c.Pixels,
	}
	if !c.Frame.Captured.IsZero() {
		m.CapturedNs = c.Frame.Captured.UnixNano()
	}
	return m
}

func encodePicture(c Call) *Picture {
	caps, l := c.Frame.Caps, c.Layout
	p := &Picture{
		Handle: c.Handle, Arena: c.Arena, Format: encodeFormat(l.Format), Width: uint32(l.Width), Height: uint32(l.Height),
		NativeWidth: uint32(caps.Width), NativeHeight: uint32(caps.Height), RateN: uint32(caps.RateN), RateD: uint32(caps.RateD),
		FullRange: l.FullRange, Bt709: l.Matrix == core.BT709,
	}
	for _, plane := range l.Planes {
		p.Offsets = append(p.Offsets, plane.Offset)
		p.Strides = append(p.Strides, int64(plane.Stride))
	}
	return p
}

// DecodeCall gives the call of a message. The layout is well formed; whether it fits into the
// memory is for Layout.Check, which knows the memory's size.
func DecodeCall(m *FrameRequest) (Call, error) {
	c := Call{ID: m.GetCall(), Stream: m.GetStream(), Pixels: m.GetPixels(), Handle: m.GetPicture().GetHandle(), Arena: m.GetPicture().GetArena()}
	c.Frame = core.Frame{Seq: m.GetSeq(), PTS: core.PTS(m.GetPtsNs())}
	c.Frame.Captured = unixTime(m.GetCapturedNs())
	if c.ID == 0 {
		return c, invalid("call without a number")
	}
	if err := c.decodePicture(m.GetPicture()); err != nil {
		return c, err
	}
	var err error
	c.Nodes, err = decodeList("node", m.GetNodes(), DecodeNode)
	return c, err
}

func (c *Call) decodePicture(p *Picture) error {
	const limit = 1 << 15
	if max(p.GetWidth(), p.GetHeight(), p.GetNativeWidth(), p.GetNativeHeight()) > limit || max(p.GetRateN(), p.GetRateD()) > math.MaxInt32 {
		return invalid("picture of %dx%d in a stream of %dx%d", p.GetWidth(), p.GetHeight(), p.GetNativeWidth(), p.GetNativeHeight())
	}
	matrix := core.BT601
	if p.GetBt709() {
		matrix = core.BT709
	}
	c.Frame.Caps = core.Caps{
		Width: int(p.GetNativeWidth()), Height: int(p.GetNativeHeight()), RateN: int(p.GetRateN()), RateD: int(p.GetRateD()),
		Matrix: matrix, FullRange: p.GetFullRange(),
	}
	switch c.Handle {
	case HandleType_HANDLE_NONE:
		return nil
	case HandleType_HANDLE_ARENA, HandleType_HANDLE_INLINE:
	default:
		return invalid("memory of kind %d", c.Handle)
	}
	format, err := decodeFormat(p.GetFormat())
	if err != nil {
		return err
	}
	c.Frame.Caps.Format = format
	c.Layout = core.Layout{Format: format, Width: int(p.Width), Height: int(p.Height), Matrix: matrix, FullRange: p.FullRange}
	if len(p.Offsets) != len(p.Strides) || len(p.Offsets) != format.Planes() {
		return invalid("%s with %d offsets and %d strides", format, len(p.Offsets), len(p.Strides))
	}
	for i := range p.Offsets {
		if p.Strides[i] < 0 || p.Strides[i] > math.MaxInt32 {
			return invalid("stride %d", p.Strides[i])
		}
		c.Layout.Planes = append(c.Layout.Planes, core.Plane{Offset: p.Offsets[i], Stride: int(p.Strides[i])})
	}
	if c.Handle == HandleType_HANDLE_INLINE {
		return c.Layout.Check(int64(len(c.Pixels)))
	}
	return nil
}

// Answer is a FrameAnswer in the nouns of core.
type Answer struct {
	Call    uint64
	Returns []core.Return
	Err     error // the whole call failed
	Queued  time.Duration
	Compute time.Duration
}

// EncodeAnswer gives the message of an answer.
func EncodeAnswer(a Answer) *FrameAnswer {
	m := &FrameAnswer{Call: a.Call, Fault: EncodeFault(a.Err), QueuedNs: int64(a.Queued), ComputeNs: int64(a.Compute)}
	if a.Err == nil {
		m.Returns = encodeList(a.Returns, EncodeReturn)
	}
	return m
}

// DecodeAnswer gives the answer of a message.
func DecodeAnswer(m *FrameAnswer) (Answer, error) {
	a := Answer{Call: m.GetCall(), Err: DecodeFault(m.GetFault()), Queued: time.Duration(m.GetQueuedNs()), Compute: time.Duration(m.GetComputeNs())}
	if a.Call == 0 {
		return a, invalid("answer to no call")
	}
	if a.Queued < 0 || a.Compute < 0 {
		return a, invalid("times %s and %s", a.Queued, a.Compute)
	}
	if a.Err != nil {
		return a, nil
	}
	var err error
	a.Returns, err = decodeList("return", m.GetReturns(), DecodeReturn)
	return a, err
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
