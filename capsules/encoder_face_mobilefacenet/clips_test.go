package main

import (
	"fmt"
	"math"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
)

// finder finds the surest face of frames of 640x480, as detector_face_yunet does.
type finder struct {
	model *onnx.Model
	input *detect.Input
}

func newFinder(t testing.TB) *finder {
	t.Helper()
	var heads []onnx.Port
	for _, s := range []int{8, 16, 32} {
		for _, head := range []string{"cls", "obj", "bbox", "kps"} {
			heads = append(heads, onnx.Port{Name: fmt.Sprintf("%s_%d", head, s)})
		}
	}
	m, err := onnx.Open(onnxtest.Model(t, "face_detection", "yunet_n_dynamic.onnx"), onnx.Config{Outputs: heads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return &finder{m, detect.NewInput(640, 480, detect.Norm{BGR: true})}
}

func (d *finder) face(t testing.TB, f *sdk.Frame) *core.Node {
	t.Helper()
	out, err := d.model.Run(t.Context(), d.input.Fill(f, detect.Cut(sdk.Box{X2: 640, Y2: 480}, 640, 480)))
	if err != nil {
		t.Fatal(err)
	}
	var heads []detect.FaceHead
	for i, s := range []int{8, 16, 32} {
		o := func(k int) []float32 { return out[4*i+k].Data().([]float32) }
		heads = append(heads, detect.FaceHead{Stride: s, Class: o(0), Object: o(1), Box: o(2), Marks: o(3)})
	}
	found, err := detect.YuNet(heads, 640, 480, 0.7)
	if err != nil {
		t.Fatal(err)
	}
	if found = detect.Suppress(found, 0.3); len(found) == 0 {
		return nil
	}
	marks := map[string]core.Point{}
	for i, p := range found[0].Points {
		marks[detect.Marks[i]] = p
	}
	n := &core.Node{ID: 1, Class: "face", Coords: found[0].Box.Polygon(), ExtraData: core.ExtraData{}}
	if err := n.ExtraData.Set("landmarks", marks); err != nil {
		t.Fatal(err)
	}
	return n
}

// encodings gives those of every 16th frame of a clip.
func encodings(t testing.TB, d *finder, p sdk.Processor, name string) (all []sdk.Encoding) {
	t.Helper()
	clip := cliptest.Open(t, cliptest.Data(t, "videos", "faces", "asl", name+".mkv"))
	for i := 0; clip.Next(); i++ {
		if i%16 != 0 {
			continue
		}
		if n := d.face(t, clip.Frame(core.BGR, 0)); n != nil {
			all = append(all, encode(t, p, clip.Frame(core.I420, 0, n)))
		}
	}
	return all
}

func TestPersonsOfClips(t *testing.T) {
	onnxtest.Models(t)
	persons := map[string][3]string{"P1": {"again", "help", "yes"}, "P2": {"bird", "milk", "please"}, "P3": {"book", "learn", "school"}}
	d, p := newFinder(t), onnxtest.Open(t, capsule, nil)
	o, _ := capsule.Declaration().Option("recognition_threshold")
	threshold := o.Default.(float64)
	enrolled, seen := map[string]sdk.Encoding{}, map[string][]sdk.Encoding{}
	for who, clips := range persons {
		sum := make([]float32, 128)
		for _, e := range encodings(t, d, p, clips[0]) {
			for i, v := range e {
				sum[i] += v
			}
		}
		enrolled[who] = detect.Unit(sum)
		seen[who] = append(encodings(t, d, p, clips[1]), encodings(t, d, p, clips[2])...)
	}
	right, within, strangers, all, closest := 0, 0, 0, 0, math.Inf(1)
	for who, list := range seen {
		for _, e := range list {
			all++
			best, id := math.Inf(1), ""
			for other, mean := range enrolled {
				dist := 1 - cosine(e, mean)
				if dist < best {
					best, id = dist, other
				}
				if other != who {
					closest = math.Min(closest, dist)
					if dist <= threshold {
						strangers++
					}
				}
			}
			if id == who {
				right++
			}
			if 1-cosine(e, enrolled[who]) <= threshold {
				within++
			}
		}
	}
	t.Logf("%d faces: nearest right %d, within the threshold %d, strangers within it %d, closest stranger %.2f", all, right, within, strangers, closest)
	if all < 20 || right < all*95/100 || within < all*85/100 || strangers > 0 {
		t.Errorf("of %d faces the nearest is right for %d, %d are within the threshold, and %d strangers", all, right, within, strangers)
	}
}

func BenchmarkFace(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	f := onnxtest.Frame(b, capsule, cliptest.Picture(b, cliptest.Data(b, "images", "faces", "astronaut.png")), onnxtest.ReferenceFaces(b)["astronaut.png"][0])
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
