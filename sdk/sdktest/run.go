package sdktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/wire"
	"google.golang.org/protobuf/proto"
)

// Run is the conformance run that every capsule has to pass, on the given pictures and on some
// of its own making (noise, grey, one pixel). It holds the capsule against its declaration with
// every format, every option at its default and its limits, no nodes and random ones, and
// frames of five streams at once; and it checks that nothing is left when the capsule is closed.
//
// It counts goroutines: call it from a test that is not parallel.
func Run(t *testing.T, c sdk.Capsule, images ...image.Image) {
	t.Helper()
	RunWith(t, c, nil, images...)
}

// RunWith is Run with options that the capsule cannot do without, a path for example.
func RunWith(t *testing.T, c sdk.Capsule, base map[string]any, images ...image.Image) {
	t.Helper()
	if err := c.Declaration().Validate(); err != nil {
		t.Fatalf("the declaration is not valid: %v", err)
	}
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	r := &conformance{capsule: c, base: base, seed: h.Sum64(), images: append(images, ownImages()...)}
	before := runtime.NumGoroutine()
	t.Run("declaration", r.declaration)
	t.Run("formats", r.formats)
	t.Run("options", r.options)
	t.Run("nodes", r.nodes)
	t.Run("streams", r.streams)
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	stacks = stacks[:runtime.Stack(stacks, true)]
	t.Errorf("%d goroutines when the capsule is closed, %d before it was opened:\n%s", runtime.NumGoroutine(), before, stacks)
}

type conformance struct {
	capsule sdk.Capsule
	base    map[string]any
	seed    uint64
	images  []image.Image
}

func (r *conformance) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, stream)) }

// ownImages are small ones that a capsule may meet and is not to stumble over.
func ownImages() []image.Image {
	random := rand.New(rand.NewPCG(1, 2))
	noise := image.NewNRGBA(image.Rect(0, 0, 161, 91))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(random.Uint32()) | uint8(i%4/3*255)
	}
	grey := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	return []image.Image{noise, grey, image.NewGray(image.Rect(0, 0, 1, 1))}
}

// declaration: the message of the declaration is the declaration.
func (r *conformance) declaration(t *testing.T) {
	want := r.capsule.Declaration()
	got, err := wire.DecodeDeclaration(wire.EncodeDeclaration(want))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != want.Name || !got.Input.Equal(want.Input) || !got.Output.Equal(want.Output) || len(got.Options) != len(want.Options) {
		t.Errorf("it arrives as %+v, not as %+v", got, want)
	}
}

// frame makes a frame of picture n in a format and the size that the capsule wants.
func (r *conformance) frame(b *Bench, n int, format sdk.PixelFormat, seq uint64, options ...FrameOption) *Frame {
	img := r.images[n%len(r.images)]
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	options = append([]FrameOption{Seq(seq), At(time.Duration(seq) * 40 * time.Millisecond), Captured(time.Unix(1700000000, int64(seq)*40e6).UTC())}, options...)
	if format == "" {
		return Blank(w, h, options...)
	}
	pw, ph := b.decl.Picture.Fit(w, h)
	return FrameOf(resized{img, pw, ph}, format, append(options, Native(w, h), Padded(n%3))...)
}

// resized is a picture in another size, by its nearest pixels.
type resized struct {
	image.Image
	w, h int
}

func (r resized) Bounds() image.Rectangle { return image.Rect(0, 0, r.w, r.h) }

func (r resized) At(x, y int) color.Color {
	b := r.Image.Bounds()
	return r.Image.At(b.Min.X+x*b.Dx()/r.w, b.Min.Y+y*b.Dy()/r.h)
}

func accepted(d core.Declaration) []sdk.PixelFormat {
	if len(d.Formats) == 0 {
		return []sdk.PixelFormat{""}
	}
	return d.Formats
}

// process gives a frame to the capsule and checks what comes back beyond what Try checks.
func (r *conformance) process(b *Bench, f *Frame) error {
	out, err := b.Try(f)
	if err != nil {
		return fmt.Errorf("%s %dx%d, %d nodes: %w", f.Layout.Format, f.Layout.Width, f.Layout.Height, len(f.Nodes), err)
	}
	for _, n := range out.Nodes {
		got, err := wire.DecodeNode(wire.EncodeNode(n))
		if err != nil || !proto.Equal(wire.EncodeNode(got), wire.EncodeNode(n)) {
			return fmt.Errorf("node %q does not survive the wire: %w: %+v, was %+v", n.Class, err, got, n)
		}
		for _, p := range n.Coords {
			if math.IsNaN(p.X+p.Y) || math.IsInf(p.X+p.Y, 0) {
				return fmt.Errorf("node %q lies at %v", n.Class, n.Coords)
			}
		}
	}
	if want := b.expectedReturns(f); len(out.Returns) != want {
		return fmt.Errorf("%d returns, want %d", len(out.Returns), want)
	}
	return nil
}

func (b *Bench) expectedReturns(f *Frame) int {
	if b.decl.Input.Size != core.SizeSingle {
		return 1
	}
	n := 0
	for _, node := range f.Nodes {
		if ok, err := b.decl.Input.Describes(node); ok && err == nil {
			n++
		}
	}
	return n
}

// formats: every picture in every accepted format, without nodes.
func (r *conformance) formats(t *testing.T) {
	b := Open(t, r.capsule, r.base)
	seq := uint64(0)
	for _, format := range accepted(b.decl) {
		for i := range r.images {
			seq++
			if err := r.process(b, r.frame(b, i, format, seq)); err != nil {
				t.Error(err)
			}
		}
	}
}

// options: each at its limits and each of its choices, all others as they are. A value that
// does not go with the others may be refused, with an error.
func (r *conformance) options(t *testing.T) {
	for _, o := range r.capsule.Declaration().Options {
		for _, v := range worthTrying(o) {
			t.Run(fmt.Sprintf("%s=%v", o.Name, v), func(t *testing.T) {
				options := map[string]any{}
				for k, x := range r.base {
					options[k] = x
				}
				options[o.Name] = v
				b, err := open(t, r.capsule, options)
				if err != nil && !strings.Contains(err.Error(), "panic in ") {
					t.Skipf("it refuses this together with the other options: %v", err)
				} else if err != nil {
					t.Fatal(err)
				}
				random := r.random(1)
				for i := range r.images {
					f := r.frame(b, i, accepted(b.decl)[0], uint64(i+1))
					f.Nodes = fakeNodes(random, b.decl.Input, f.Info.Caps, 3)
					if err := r.process(b, f); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func worthTrying(o sdk.Option) []any {
	var values []any
	switch o.Type {
	case core.BoolOption:
		return []any{true, false}
	case core.EnumOption:
		for _, c := range o.Choices {
			values = append(values, c)
		}
		return values
	}
	for _, limit := range []*float64{o.Min, o.Max} {
		if limit == nil {
			continue
		}
		if _, err := o.Check(*limit); err == nil {
			values = append(values, *limit)
		}
	}
	return values
}

// nodes: from none to five random ones that the capsule asks for, and some that it does not.
func (r *conformance) nodes(t *testing.T) {
	b := Open(t, r.capsule, r.base)
	random := r.random(2)
	for seq := range uint64(20) {
		f := r.frame(b, int(seq), accepted(b.decl)[0], seq+1)
		f.Nodes = append(fakeNodes(random, b.decl.Input, f.Info.Caps, int(seq)%6), &core.Node{ID: 1 << 20, Class: "nobody asked for this", Coords: core.Rect(0, 0, 1, 1)})
		if err := r.process(b, f); err != nil {
			t.Error(err)
		}
	}
}

// streams: five rounds of frames of five streams at once, each stream in its own order.
func (r *conformance) streams(t *testing.T) {
	b := Open(t, r.capsule, r.base)
	errs := make([]error, 5)
	for s := range errs {
		if err := b.openStream(core.StreamID(fmt.Sprint("stream ", s))); err != nil {
			t.Fatal(err)
		}
	}
	benches := make([]*Bench, len(errs)) // one each: a bench itself is for one goroutine
	var running sync.WaitGroup
	for s := range errs {
		benches[s] = &Bench{t: t, rt: b.rt, decl: b.decl, options: b.options, open: map[core.StreamID]bool{}}
		id := core.StreamID(fmt.Sprint("stream ", s))
		benches[s].open[id] = true
		running.Go(func() {
			random := r.random(uint64(10 + s))
			for seq := range uint64(5) {
				f := r.frame(b, random.IntN(len(r.images)), accepted(b.decl)[0], seq+1, OnStream(id))
				f.Nodes = fakeNodes(random, b.decl.Input, f.Info.Caps, random.IntN(6))
				errs[s] = errors.Join(errs[s], r.process(benches[s], f))
			}
		})
	}
	running.Wait()
	for s, err := range errs {
		if err != nil {
			t.Errorf("stream %d: %v", s, err)
		}
	}
	for s := range errs {
		b.rt.CloseStream(core.StreamID(fmt.Sprint("stream ", s)))
	}
}

// fakeSide gives the start and length of one side of a box: at least 2 pixels, up to 3 beyond
// the frame at either end, at least 1 within it.
func fakeSide(random *rand.Rand, frame int) (from, length int) {
	length = 2 + random.IntN(max(1, frame-1))
	least, most := max(-3, 1-length), min(frame+3-length, frame-1)
	return least + random.IntN(most-least+1), length
}

// fakeNodes makes n nodes that satisfy d, with random boxes.
func fakeNodes(random *rand.Rand, d core.Description, caps core.Caps, n int) []*core.Node {
	if d.Size == core.SizeNone {
		return nil
	}
	nodes := make([]*core.Node, n)
	for i := range nodes {
		x, w := fakeSide(random, caps.Width)
		y, h := fakeSide(random, caps.Height)
		node := &core.Node{ID: core.NodeID(i + 1), Class: "N/A", Coords: core.Rect(float64(x), float64(y), float64(x+w), float64(y+h))}
		if len(d.Detections) > 0 {
			node.Class = d.Detections[random.IntN(len(d.Detections))]
		}
		for _, a := range d.Attributes {
			if node.Attributes == nil {
				node.Attributes = map[string]string{}
			}
			node.Attributes[a.Name] = a.Values[random.IntN(len(a.Values))]
		}
		for _, k := range d.ExtraData {
			if node.ExtraData == nil {
				node.ExtraData = core.ExtraData{}
			}
			node.ExtraData[k] = json.RawMessage("0.5129319283")
		}
		if d.Encoded {
			node.Encoding = make(core.Encoding, 128)
		}
		if d.Tracked {
			node.TrackID = core.TrackID(fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", random.Uint32(), random.IntN(1<<16), random.IntN(1<<12), random.IntN(1<<12), random.Int64N(1<<48)))
		}
		nodes[i] = node
	}
	return nodes
}
