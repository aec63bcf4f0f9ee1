package tensor_test

import (
	"fmt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/tensor"
)

func frame() *sdk.Frame {
	layout, size := core.Packed(core.GRAY8, 640, 360)
	f, err := sdk.NewFrame(core.Frame{Caps: core.Caps{Width: 640, Height: 360}}, layout, make([]byte, size), nil)
	if err != nil {
		panic(err)
	}
	return f
}

// A model that takes 320x320 RGB in 0..1, and the way of its boxes back to the frame.
func ExampleInput() {
	model := tensor.Input{Width: 320, Height: 320, Scale: 1.0 / 255, Placing: tensor.Letterbox, Pad: 114}
	input, place, err := model.Tensor(frame())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(input.Shape())
	fmt.Println(place.Box(sdk.Box{X1: 0, Y1: 70, X2: 160, Y2: 160}))
	// Output:
	// (1, 3, 320, 320)
	// {0 0 320 180}
}

// The luma of a frame as a tensor over the frame's own memory.
func ExamplePlane() {
	luma, err := tensor.Plane(frame(), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(luma.Shape(), luma.Dtype())
	// Output: (360, 640) uint8
}

func ExampleNMS() {
	boxes := []sdk.Box{{X2: 10, Y2: 10}, {X1: 1, X2: 11, Y2: 10}, {X1: 50, Y1: 50, X2: 60, Y2: 60}}
	fmt.Println(tensor.NMS(boxes, []float64{0.8, 0.9, 0.7}, nil, 0.5))
	// Output: [1 2]
}

func ExampleAssign() {
	cost := tensor.IoUCost(
		[]sdk.Box{{X2: 10, Y2: 10}, {X1: 20, X2: 30, Y2: 10}},
		[]sdk.Box{{X1: 21, X2: 31, Y2: 10}, {X1: 1, X2: 11, Y2: 10}},
	)
	fmt.Println(tensor.Assign(cost))
	// Output: [{0 1} {1 0}]
}

// Parts of a frame, a face each, as one batch of a model: ImageNet's mean and spread.
func ExampleInput_Batch() {
	model := tensor.Input{Width: 112, Height: 112, Scale: 1.0 / 255, Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	faces := []sdk.Box{{X1: 10, Y1: 10, X2: 66, Y2: 66}, {X1: 300, Y1: 100, X2: 400, Y2: 200}}
	input, places, err := model.Batch(frame(), faces)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(input.Shape())
	fmt.Println(places[0].Point(56, 56)) // the middle of the input is that of the face
	// Output:
	// (2, 3, 112, 112)
	// {38 38}
}
