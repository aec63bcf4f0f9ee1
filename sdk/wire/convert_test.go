package wire

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"google.golang.org/protobuf/proto"
)

func number(v float64) *float64 { return &v }

// again sends a message over the wire.
func again[M proto.Message](t testing.TB, m M) M {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func fullDeclaration() core.Declaration {
	return core.Declaration{
		Name: "encoder_x", Version: "1.2", API: "1.0", Description: "Says «x».",
		Input: core.Description{Size: core.SizeSingle, Detections: []string{"person", "fallen person"}, Attributes: []core.Attribute{
			{Name: "z", Values: []string{"2", "1"}}, {Name: "a", Values: []string{"x"}},
		}, Tracked: true, ExtraData: []string{"confidence"}},
		Output: core.Description{Size: core.SizeSingle, Detections: []string{"${class}"}, Encoded: true},
		Options: []core.Option{
			{Name: "recognition_threshold", Type: core.FloatOption, Default: 0.5, Min: number(0), Max: number(1), Description: "d"},
			{Name: "count", Type: core.IntOption, Default: int64(1) << 60},
			{Name: "mode", Type: core.EnumOption, Default: "b", Choices: []string{"b", "a"}},
			{Name: "on", Type: core.BoolOption, Default: true},
			{Name: "class", Type: core.StringOption, Default: "person"},
			{Name: "key", Type: core.SecretOption, Default: ""},
			{Name: "list", Type: core.ListOption, Default: []string{"x", "y"}},
			{Name: "span", Type: core.DurationOption, Default: 1500 * time.Millisecond, Min: number(0.25)},
		},
		Formats: []core.PixelFormat{core.RGB, core.GRAY8, core.I420, core.NV12, core.BGR},
		Picture: core.PictureSize{Width: 64, Height: 128, Filter: core.Linear}, Stateful: true, EveryN: 3, Gate: core.Gate{Class: "motion", Hold: time.Second, AtLeast: time.Minute}, Deadline: 2 * time.Second, Metric: core.Cosine, Entry: "bin/x",
	}
}

func TestDeclarationRoundTrip(t *testing.T) {
	t.Parallel()
	small := core.Declaration{Name: "d", Version: "1", Input: core.Description{Size: core.SizeNone}, Output: core.Description{Size: core.SizeAll}}
	for _, want := range []core.Declaration{fullDeclaration(), small} {
		got, err := DecodeDeclaration(again(t, EncodeDeclaration(want)))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestDeclarationRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Declaration){
		"no input":       func(m *Declaration) { m.Input = nil },
		"size":           func(m *Declaration) { m.Output.Size = 4 },
		"size 0":         func(m *Declaration) { m.Output.Size = 0 },
		"format":         func(m *Declaration) { m.Formats[0] = 9 },
		"format 0":       func(m *Declaration) { m.Formats[0] = 0 },
		"option type":    func(m *Declaration) { m.Options[0].Type = "complex" },
		"option default": func(m *Declaration) { m.Options[0].DefaultJson = "{" },
		"two defaults":   func(m *Declaration) { m.Options[0].DefaultJson = "0.5 0.6" },
		"limits":         func(m *Declaration) { m.Options[0].Max = number(0.1) },
		"limit NaN":      func(m *Declaration) { m.Options[0].Max = number(math.NaN()) },
		"every n":        func(m *Declaration) { m.EveryN = math.MaxUint32 },
		"picture":        func(m *Declaration) { m.Picture.MaxSide = 1 << 30 },
		"gate":           func(m *Declaration) { m.Gate.HoldNs = -1 },
		"name":           func(m *Declaration) { m.Name = "../x" },
	}
	for name, spoil := range tests {
		m := EncodeDeclaration(fullDeclaration())
		spoil(m)
		if _, err := DecodeDeclaration(m); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if _, err := DecodeDeclaration(nil); err == nil {
		t.Error("nil is a declaration")
	}
}

func TestValuesRoundTrip(t *testing.T) {
	t.Parallel()
	d := fullDeclaration()
	want, err := d.Complete(map[string]any{"span": "300ms", "count": -7, "list": []string{}, "on": false, "class": "a \"b\" ü"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := EncodeValues(want)
	if err != nil {
		t.Fatal(err)
	}
	given, err := DecodeValues(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Complete(given)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
	for _, bad := range []string{"[]", "null", "1", "{", `{} {}`, `{"a":}`} {
		if _, err := DecodeValues(bad); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v, want invalid", bad, err)
		}
	}
	if v, err := DecodeValues(""); err != nil || len(v) != 0 {
		t.Errorf("empty: %v %v", v, err)
	}
}

func fullNode() *core.Node {
	return &core.Node{
		ID: 1<<63 + 5, Class: "fallen person", Coords: core.Polygon{{X: -1.5, Y: 0.1}, {X: 1e300, Y: 2}, {X: 3, Y: math.Copysign(0, -1)}},
		Attributes: map[string]string{"z": "1", "a": "", "": "x"},
		ExtraData:  core.ExtraData{"null": json.RawMessage("null"), "o": json.RawMessage(`{"a":[1,2.50]}`), "n": json.RawMessage("1e2")},
		Encoding:   core.Encoding{0.25, -1}, TrackID: "6f9619ff-8b86-d011-b42d-00cf4fc964ff", Origin: "detector_x",
		Children: []*core.Node{{Class: "face", Coords: core.Rect(1, 2, 3, 4), Children: []*core.Node{{Class: "eye", Encoding: core.Encoding{}}}}},
	}
}

func TestNodeRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []*core.Node{fullNode(), {}, {Class: "x", Encoding: core.Encoding{}}, {ID: 1, TrackID: "t"}} {
		got, err := DecodeNode(again(t, EncodeNode(want)))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestNodeIsWrittenInTheSameOrderEveryTime(t *testing.T) {
	t.Parallel()
	want, _ := proto.Marshal(EncodeNode(fullNode()))
	for range 50 {
		if got, _ := proto.Marshal(EncodeNode(fullNode())); string(got) != string(want) {
			t.Fatal("the same node has two messages")
		}
	}
}

func TestNilJSONIsNull(t *testing.T) {
	t.Parallel()
	got, err := DecodeNode(EncodeNode(&core.Node{ExtraData: core.ExtraData{"k": nil}}))
	if err != nil || string(got.ExtraData["k"]) != "null" {
		t.Errorf("%v %s", err, got.ExtraData["k"])
	}
}

func deep(n int) *Node {
	m := &Node{ClassName: "x"}
	for range n {
		m = &Node{Children: []*Node{m}}
	}
	return m
}

func TestNodeRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]*Node{
		"odd":            {Coords: []float64{1, 2, 3}},
		"NaN":            {Coords: []float64{math.NaN(), 1}},
		"infinite":       {Coords: []float64{1, math.Inf(-1)}},
		"json":           {ExtraData: []*ExtraValue{{Key: "k", Json: []byte("{")}}},
		"no json":        {ExtraData: []*ExtraValue{{Key: "k"}}},
		"not UTF-8":      {ExtraData: []*ExtraValue{{Key: "k", Json: []byte("\"\xff\"")}}},
		"two jsons":      {ExtraData: []*ExtraValue{{Key: "k", Json: []byte("1 2")}}},
		"key twice":      {ExtraData: []*ExtraValue{{Key: "k", Json: []byte("1")}, {Key: "k", Json: []byte("1")}}},
		"category twice": {Attributes: []*AttributeValue{{Name: "a"}, {Name: "a"}}},
		"encoding":       {Encoding: &Encoding{Values: []float32{1, float32(math.NaN())}}},
		"long encoding":  {Encoding: &Encoding{Values: make([]float32, maxEncoding+1)}},
		"points":         {Coords: make([]float64, 2*maxPoints+2)},
		"class":          {ClassName: strings.Repeat("x", maxText+1)},
		"depth":          deep(maxDepth + 2),
		"child":          {Children: []*Node{{Coords: []float64{1}}}},
	}
	for name, m := range tests {
		if _, err := DecodeNode(m); err == nil {
			t.Errorf("%s: it is a node", name)
		}
	}
	if _, err := DecodeNode(deep(maxDepth)); err != nil {
		t.Errorf("children %d deep: %v", maxDepth, err)
	}
}

func fullAnswer() Answer {
	return Answer{Call: 7, Queued: time.Millisecond, Compute: time.Second, Returns: []core.Return{
		{Kind: core.ReturnNull, Node: 4, Patches: []core.Patch{{
			Node: 4, Attributes: []core.AttributeValue{{Name: "z", Value: "1"}, {Name: "a", Value: "2"}, {Name: "z", Value: "3"}},
			ExtraData: core.ExtraData{"k": json.RawMessage("null")}, Encoding: core.Encoding{}, TrackID: "t",
		}, {Node: 5}}},
		{Kind: core.ReturnOne, Returned: []core.NodeID{9}},
		{Kind: core.ReturnList, Added: []*core.Node{{Class: "x", Coords: core.Rect(1, 2, 3, 4)}}},
	}}
}

func TestAnswerRoundTrip(t *testing.T) {
	t.Parallel()
	want := fullAnswer()
	got, err := DecodeAnswer(again(t, EncodeAnswer(want)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	failed := Answer{Call: 8, Returns: []core.Return{{Node: 3, Err: core.Faultf(core.CapsuleFailed, "op", "on", "why\xff")}}}
	got, err = DecodeAnswer(again(t, EncodeAnswer(failed)))
	if err != nil || len(got.Returns) != 1 || got.Returns[0].Node != 3 || core.KindOf(got.Returns[0].Err) != core.CapsuleFailed {
		t.Fatalf("%v %+v", err, got)
	}
	if s := got.Returns[0].Err.Error(); s != "op: on: why\uFFFD" {
		t.Errorf("error %q", s)
	}
}

// spoilings make no answer of fullAnswer's message.
func spoilings() map[string]func(*FrameAnswer) {
	return map[string]func(*FrameAnswer){
		"call":     func(m *FrameAnswer) { m.Call = 0 },
		"kind":     func(m *FrameAnswer) { m.Returns[0].Kind = 3 },
		"kind -1":  func(m *FrameAnswer) { m.Returns[0].Kind = -1 },
		"patch":    func(m *FrameAnswer) { m.Returns[0].Patches[0].Node = 0 },
		"json":     func(m *FrameAnswer) { m.Returns[0].Patches[0].ExtraData[0].Json = []byte("nul") },
		"added ID": func(m *FrameAnswer) { m.Returns[2].Added[0].Id = 3 },
		"odd":      func(m *FrameAnswer) { m.Returns[2].Added[0].Coords = m.Returns[2].Added[0].Coords[1:] },
		"infinite": func(m *FrameAnswer) { m.Returns[2].Added[0].Coords[0] = math.Inf(1) },
		"encoding": func(m *FrameAnswer) {
			m.Returns[2].Added[0].Encoding = &Encoding{Values: []float32{float32(math.NaN())}}
		},
		"too long": func(m *FrameAnswer) {
			m.Returns[2].Added[0].Encoding = &Encoding{Values: make([]float32, maxEncoding+1)}
		},
		"deep":      func(m *FrameAnswer) { m.Returns[2].Added[0] = deep(maxDepth + 1) },
		"queued":    func(m *FrameAnswer) { m.QueuedNs = -1 },
		"compute":   func(m *FrameAnswer) { m.ComputeNs = -1 },
		"twice key": func(m *FrameAnswer) { e := &m.Returns[0].Patches[0].ExtraData; *e = append(*e, (*e)[0]) },
	}
}

func TestAnswerRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range spoilings() {
		m := EncodeAnswer(fullAnswer())
		spoil(m)
		if _, err := DecodeAnswer(m); err == nil {
			t.Errorf("%s: it is an answer", name)
		}
	}
}

func TestFaultKinds(t *testing.T) {
	t.Parallel()
	tests := map[core.Kind]core.Kind{
		core.CapsuleFailed: core.CapsuleFailed, core.Exhausted: core.Exhausted, core.Invalid: core.Invalid,
		core.CapsuleExited: core.CapsuleFailed, core.CapsuleDeadline: core.CapsuleFailed, core.Internal: core.CapsuleFailed, 9999: core.CapsuleFailed, -1: core.CapsuleFailed,
	}
	for said, want := range tests {
		if got := core.KindOf(DecodeFault(&Fault{Kind: int32(said), Message: "m"})); got != want {
			t.Errorf("%v arrives as %v, want %v", said, got, want)
		}
	}
	if DecodeFault(nil) != nil || EncodeFault(nil) != nil {
		t.Error("no error is not an error")
	}
}

func fullCall() Call {
	return Call{
		ID: 3, Stream: 9, Handle: HandleType_HANDLE_ARENA, Arena: 1 << 40,
		Frame: core.Frame{Seq: 5, PTS: 40e6, Captured: time.Unix(1700000000, 5).UTC(), Caps: core.Caps{
			Format: core.I420, Width: 1920, Height: 1080, RateN: 30000, RateD: 1001, Matrix: core.BT709, FullRange: true,
		}},
		Layout: core.Layout{Format: core.I420, Width: 640, Height: 361, Matrix: core.BT709, FullRange: true, Planes: []core.Plane{
			{Offset: 4096, Stride: 704}, {Offset: 1 << 33, Stride: 320}, {Offset: 9, Stride: 322},
		}},
		Nodes: []*core.Node{fullNode(), {ID: 1}},
	}
}

func TestCallRoundTrip(t *testing.T) {
	t.Parallel()
	inline := fullCall()
	inline.Handle, inline.Arena, inline.Nodes = HandleType_HANDLE_INLINE, 0, nil
	inline.Frame.Caps.Format, inline.Frame.Caps.Matrix, inline.Frame.Caps.FullRange = core.RGB, core.BT601, false
	inline.Layout = core.Layout{Format: core.RGB, Width: 2, Height: 2, Planes: []core.Plane{{Stride: 6}}, Matrix: core.BT601}
	inline.Pixels = []byte("abcdefghijkl")
	none := Call{ID: 1, Frame: core.Frame{Caps: core.Caps{Width: 4, Height: 3, Matrix: core.BT601}}}
	for _, want := range []Call{fullCall(), inline, none} {
		got, err := DecodeCall(again(t, EncodeCall(want)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	}
}

func TestCallRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*FrameRequest){
		"call":      func(m *FrameRequest) { m.Call = 0 },
		"handle":    func(m *FrameRequest) { m.Picture.Handle = 3 },
		"format":    func(m *FrameRequest) { m.Picture.Format = 77 },
		"no format": func(m *FrameRequest) { m.Picture.Format = 0 },
		"planes":    func(m *FrameRequest) { m.Picture.Offsets = m.Picture.Offsets[:2] },
		"strides":   func(m *FrameRequest) { m.Picture.Strides = m.Picture.Strides[:2] },
		"stride":    func(m *FrameRequest) { m.Picture.Strides[1] = -1 },
		"width":     func(m *FrameRequest) { m.Picture.Width = 1 << 31 },
		"native":    func(m *FrameRequest) { m.Picture.NativeWidth = 1 << 20 },
		"rate":      func(m *FrameRequest) { m.Picture.RateN = math.MaxUint32 },
		"node":      func(m *FrameRequest) { m.Nodes[1].Coords = []float64{1} },
		"no pixels": func(m *FrameRequest) { m.Picture.Handle = HandleType_HANDLE_INLINE },
		"beyond": func(m *FrameRequest) {
			m.Picture.Handle, m.Pixels = HandleType_HANDLE_INLINE, make([]byte, 704*361+320*180*2)
		},
	}
	for name, spoil := range tests {
		m := EncodeCall(fullCall())
		spoil(m)
		if _, err := DecodeCall(m); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func TestStatusKeepsTheKind(t *testing.T) {
	t.Parallel()
	got, ok := FromStatus(StatusError(core.Faultf(core.NotFound, "fetch", "x", "no answer")))
	if !ok || core.KindOf(got) != core.NotFound || got.Error() != "fetch: x: no answer" {
		t.Errorf("%v %v", got, ok)
	}
	if StatusError(nil) != nil {
		t.Error("no error is one")
	}
}

// FuzzAnswer: whatever a capsule sends is an answer or an error, and an answer survives a round trip.
func FuzzAnswer(f *testing.F) {
	b, _ := proto.Marshal(EncodeAnswer(fullAnswer()))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m FrameAnswer
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		a, err := DecodeAnswer(&m)
		if err != nil || a.Err != nil {
			return
		}
		for i := range a.Returns {
			if a.Returns[i].Err != nil {
				return // only its text survives
			}
		}
		got, err := DecodeAnswer(again(t, EncodeAnswer(a)))
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, a)
		}
	})
}

// FuzzCall: whatever an engine sends is a call whose picture lies within its pixels, or an error.
func FuzzCall(f *testing.F) {
	b, _ := proto.Marshal(EncodeCall(fullCall()))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m FrameRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		c, err := DecodeCall(&m)
		if err != nil {
			return
		}
		if c.Handle == HandleType_HANDLE_INLINE {
			if err := c.Layout.Check(int64(len(c.Pixels))); err != nil {
				t.Errorf("a call beyond its pixels: %v", err)
			}
		}
		if _, err := DecodeCall(again(t, EncodeCall(c))); err != nil {
			t.Errorf("it is a call only once: %v", err)
		}
	})
}

// FuzzDeclaration: whatever a program says of itself is a valid declaration or an error.
func FuzzDeclaration(f *testing.F) {
	b, _ := proto.Marshal(EncodeDeclaration(fullDeclaration()))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Declaration
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		d, err := DecodeDeclaration(&m)
		if err != nil {
			return
		}
		if err := d.Validate(); err != nil {
			t.Errorf("not valid: %v", err)
		}
		if _, err := DecodeDeclaration(again(t, EncodeDeclaration(d))); err != nil {
			t.Errorf("it is one only once: %v", err)
		}
	})
}

// FuzzValues: whatever is sent as options is an object or an error.
func FuzzValues(f *testing.F) {
	f.Add(`{"span":"300ms","count":7,"list":["a"],"on":true}`)
	d := fullDeclaration()
	f.Fuzz(func(t *testing.T, s string) {
		given, err := DecodeValues(s)
		if err != nil {
			return
		}
		v, err := d.Complete(given)
		if err != nil {
			return
		}
		if _, err := EncodeValues(v); err != nil {
			t.Errorf("%v cannot be sent: %v", v, err)
		}
	})
}
