package sdk_test

import (
	"context"
	"fmt"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/hashicorp/go-hclog"
)

// dark says when the picture is dark.
type dark struct{ below float64 }

func (d *dark) Process(_ context.Context, f *sdk.Frame) error {
	gray, sum := f.Gray(), 0
	for y := range f.Height() {
		for _, v := range gray.Pix[y*gray.Stride:][:f.Width()] {
			sum += int(v)
		}
	}
	if mean := float64(sum) / float64(255*f.Width()*f.Height()); mean < d.below {
		f.Add("dark_scene", sdk.Rect(0, 0, float64(f.Width()), float64(f.Height()))).SetConfidence(1 - mean)
	}
	return nil
}

var darkness = sdk.Capsule{
	Name:    "detector_dark_scene",
	Version: "1",
	Gives:   sdk.Description{Size: sdk.All, Detections: []string{"dark_scene"}, ExtraData: []string{"confidence"}},
	Formats: []sdk.PixelFormat{sdk.GRAY8},
	Options: []sdk.Option{sdk.Float("below", 0.2, "Mean brightness below which it is dark.", sdk.Between(0, 1))},
	Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		return &dark{below: s.Options.Float("below")}, nil
	},
}

// blackFrame is what an engine hands to the capsule.
func blackFrame(nodes ...*core.Node) *sdk.Frame {
	layout, size := core.Packed(core.GRAY8, 64, 36)
	f, err := sdk.NewFrame(core.Frame{Stream: "door", Seq: 1, Caps: core.Caps{Width: 64, Height: 36}}, layout, make([]byte, size), nodes)
	if err != nil {
		panic(err)
	}
	return f
}

// A whole capsule: its main is sdk.Serve(darkness).
func Example() {
	values, err := darkness.Declaration().Complete(nil) // the defaults
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	p, err := darkness.Open(ctx, sdk.Stream{ID: "door", Options: values, Log: hclog.NewNullLogger()})
	if err != nil {
		fmt.Println(err)
		return
	}
	f := blackFrame()
	if err := p.Process(ctx, f); err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range f.Added() {
		confidence, _ := n.Confidence()
		fmt.Println(n.Class(), n.Box(), confidence)
	}
	// Output: dark_scene {0 0 64 36} 1
}

// What a capsule declares decides where it stands in a plan: nothing of it is run for that.
func ExampleCapsule_Declaration() {
	tracker := sdk.Capsule{Name: "tracker_faces", Version: "1", Needs: sdk.Every("face"), Gives: sdk.Description{Size: sdk.All, Detections: []string{"face"}, Tracked: true}}
	d := tracker.Declaration()
	fmt.Println("needs", d.Input)
	fmt.Println("gives", d.Output)
	fmt.Println("adds", d.Capability())
	// Output:
	// needs all [face]
	// gives all [face] +track
	// adds all +track
}

// Options have limits. Values that are refused never reach a capsule.
func ExampleBetween() {
	d := darkness.Declaration()
	for _, below := range []any{0.5, 1, 1.5, "half"} {
		values, err := d.Complete(map[string]any{"below": below})
		fmt.Println(values.Float("below"), err)
	}
	// Output:
	// 0.5 <nil>
	// 1 <nil>
	// 0 capsule detector_dark_scene: option: below: 1.5 is not within 0..1
	// 0 capsule detector_dark_scene: option: below: "half" is not a number
}

func ExampleDuration() {
	c := sdk.Capsule{Name: "tracker", Options: []sdk.Option{
		sdk.Duration("max_age", time.Second, "How long a track lives on.", sdk.Between(0, 60)),
		sdk.List("classes", []string{"face"}, "Classes to follow."),
		sdk.Enum("speed", "fast", []string{"fast", "good"}, "What counts more."),
	}}
	o, err := c.Declaration().Complete(map[string]any{"max_age": "2500ms", "classes": []any{"person", "vehicle"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(o.Duration("max_age"), o.List("classes"), o.Text("speed"))
	// Output: 2.5s [person vehicle] fast
}

// A classifier is called once for each node and adds to it.
func ExampleFrame_Node() {
	large := sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
		size := "small"
		if n := f.Node(); n.Box().Height() > float64(f.Height())/2 {
			size = "large"
		}
		f.Node().SetAttribute("size", size).SetExtra("height", f.Node().Box().Height())
		return nil
	})
	f := blackFrame(&core.Node{ID: 7, Class: "person", Coords: sdk.Rect(10, 2, 20, 30)})
	if err := large.Process(context.Background(), f); err != nil {
		fmt.Println(err)
		return
	}
	size, _ := f.Node().Attribute("size")
	height, _ := f.Node().ExtraFloat("height")
	fmt.Println(f.Node().Class(), size, height)
	// Output: person large 28
}

// A model that is faster on several inputs at once is shared by all streams: calls that come
// while it runs make the next batch.
func ExampleBatcher() {
	double := sdk.NewBatcher(8, func(_ context.Context, in []int) ([]int, error) {
		out := make([]int, len(in)) // one run of the model
		for i, v := range in {
			out[i] = 2 * v
		}
		return out, nil
	})
	defer double.Close()
	fmt.Println(double.Do(context.Background(), 21))
	// Output: 42 <nil>
}
