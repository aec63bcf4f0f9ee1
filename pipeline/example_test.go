package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/hashicorp/go-hclog"
)

// An engine with a detector and a classifier. Media and capsules are made of functions here, as
// in tests; programs take pipeline/gstreamer or pipeline/push, and pipeline/host.
func Example() {
	faces := core.Description{Size: core.SizeAll, Detections: []string{"face"}}
	each := core.Description{Size: core.SizeSingle, Detections: []string{"face"}}
	sized := each
	sized.Attributes = []core.Attribute{{Name: "size", Values: []string{"small", "large"}}}
	detector := &pipelinetest.Capsule{
		Decl: core.Declaration{Name: "detector", Version: "1", API: core.APIVersion, Input: core.Description{Size: core.SizeNone}, Output: faces, Entry: "detector"},
		ProcessFunc: pipelinetest.Finding(func(seq uint64) []*core.Node {
			return []*core.Node{{Class: "face", Coords: core.Rect(0, 0, float64(10*seq), 20)}}
		}),
	}
	decl := core.Declaration{Name: "classifier", Version: "1", API: core.APIVersion, Input: each, Output: sized, Entry: "classifier"}
	classifier := &pipelinetest.Capsule{Decl: decl, ProcessFunc: pipelinetest.Patching(decl, func(n *core.Node) core.Patch {
		size := "small"
		if n.Coords.Box().Width() > 15 {
			size = "large"
		}
		return core.Patch{Attributes: []core.AttributeValue{{Name: "size", Value: size}}}
	})}

	engine := pipeline.New(pipelinetest.Playing(pipelinetest.Script{Frames: 3}), hclog.NewNullLogger())
	defer engine.Close()
	if err := errors.Join(engine.Add(classifier), engine.Add(detector)); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	session, err := engine.Open(ctx, pipeline.Job{Source: pipeline.Source{Stream: "door", URL: "video.mp4"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	fmt.Println("stages:", session.Plan().Stages)
	for {
		result, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, n := range result.Nodes {
			fmt.Println("frame", result.Frame.Seq, n.Class, n.Attributes["size"])
		}
		result.Release()
	}
	// Output:
	// stages: [[detector] [classifier]]
	// frame 1 face small
	// frame 2 face large
	// frame 3 face large
}
