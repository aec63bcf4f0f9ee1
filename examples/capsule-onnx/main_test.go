package main

import (
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestAge(t *testing.T) {
	onnxtest.Models(t)
	b := sdktest.Open(t, capsule, nil)
	photo := cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png"))
	out := b.Process(sdktest.FrameOf(photo, sdk.RGB, sdktest.With(&core.Node{Class: "face", Coords: sdk.Rect(170, 60, 280, 200)})))
	if age, ok := out.Nodes[0].ExtraData.Float("age"); !ok || age < 20 || age > 60 {
		t.Errorf("the astronaut, 40 then, looks %v", age)
	}
}

// TestDeclaration needs neither model nor runtime.
func TestDeclaration(t *testing.T) {
	if err := capsule.Declaration().Validate(); err != nil {
		t.Error(err)
	}
}
