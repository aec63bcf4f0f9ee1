package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"image"
	"image/draw"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/track"
	pigo "github.com/esimov/pigo/core"
)

func openDetector(t testing.TB, given map[string]any) sdk.Processor {
	t.Helper()
	p, err := open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, given)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func process(t testing.TB, p sdk.Processor, f *sdk.Frame) []*sdk.Node {
	t.Helper()
	if err := p.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return f.Added()
}

func photo(t testing.TB, name string) image.Image {
	t.Helper()
	return cliptest.Picture(t, cliptest.Data(t, "images", name))
}

// TestDecidesAsPigo holds the classifier against pigo's own code, window by window.
func TestDecidesAsPigo(t *testing.T) {
	theirs, err := pigo.NewPigo().Unpack(faceData)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newCascade(faceData)
	if err != nil {
		t.Fatal(err)
	}
	g := cliptest.Still(t, photo(t, "faces/2008_001322.jpg"), core.GRAY8).Gray()
	w, h := g.Rect.Dx(), g.Rect.Dy()
	found := 0
	for _, size := range []int{40, 61, 83, 100, 127} {
		step := size / 16
		type place struct{ x, y int }
		want := map[place]float32{}
		for _, d := range theirs.RunCascade(pigo.CascadeParams{
			MinSize: size, MaxSize: size, ShiftFactor: float64(step) / float64(size), ScaleFactor: 2,
			ImageParams: pigo.ImageParams{Pixels: g.Pix, Rows: h, Cols: w, Dim: g.Stride},
		}, 0) {
			want[place{d.Col, d.Row}] = d.Q
		}
		found += len(want)
		window := ours.at(view{size: size, stride: g.Stride})
		pigoStep := int(math.Max(float64(step)/float64(size)*float64(size), 1))
		for y := size/2 + 1; y <= h-size/2-1; y += pigoStep {
			for x := size/2 + 1; x <= w-size/2-1; x += pigoStep {
				if got := ours.score(window, g.Pix, y*g.Stride+x); got != want[place{x, y}] {
					t.Fatalf("size %d at %d,%d: %v, pigo says %v", size, x, y, got, want[place{x, y}])
				}
				if x+3*pigoStep > w-size/2-1 {
					continue
				}
				for i, got := range ours.score4(window, g.Pix, y*g.Stride+x, pigoStep) {
					if want := want[place{x + i*pigoStep, y}]; got != want {
						t.Fatalf("size %d at %d,%d, four together: %v, pigo says %v", size, x+i*pigoStep, y, got, want)
					}
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("pigo found %d windows only: the comparison says little", found)
	}
}

// box is a face of dlib's label file.
type box struct {
	Top    float64 `xml:"top,attr"`
	Left   float64 `xml:"left,attr"`
	Width  float64 `xml:"width,attr"`
	Height float64 `xml:"height,attr"`
}

func labelled(t *testing.T) map[string][]box {
	var file struct {
		Images []struct {
			File  string `xml:"file,attr"`
			Boxes []box  `xml:"box"`
		} `xml:"images>image"`
	}
	text, err := os.ReadFile(cliptest.Data(t, "images", "faces", "dlib_training_face_boxes.xml"))
	if err != nil {
		t.Fatal(err)
	}
	// The file says that it is ISO 8859-1; what is in it is ASCII.
	text = slices.Concat([]byte("<?xml version='1.0'?>"), text[slices.Index(text, '\n'):])
	if err := xml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	m := map[string][]box{}
	for _, i := range file.Images {
		m[i.File] = i.Boxes
	}
	return m
}

func TestLabelledPhotos(t *testing.T) {
	p := openDetector(t, nil)
	faces, hits, extra := 0, 0, 0
	for name, boxes := range labelled(t) {
		path := filepath.Join(cliptest.Data(t, "images", "faces"), name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		nodes := process(t, p, cliptest.Still(t, cliptest.Picture(t, path), core.GRAY8))
		matched := map[int]bool{}
		for _, b := range boxes {
			faces++
			want := core.Box{X1: b.Left, Y1: b.Top, X2: b.Left + b.Width, Y2: b.Top + b.Height}
			for i, n := range nodes {
				if track.IoU(n.Box(), want) > 0.4 {
					matched[i] = true
					hits++
					break
				}
			}
		}
		extra += len(nodes) - len(matched)
	}
	t.Logf("%d of %d labelled faces, %d others", hits, faces, extra)
	if faces < 15 || hits < faces*7/10 || extra > 2 {
		t.Errorf("%d of %d labelled faces were found, and %d others", hits, faces, extra)
	}
}

func TestCountsOfPhotos(t *testing.T) {
	file, err := os.Open(cliptest.Data(t, "images", "faces", "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	p := openDetector(t, nil)
	if cliptest.Every > 1 {
		rows = rows[:3]
	}
	for _, row := range rows[1:] {
		want, _ := strconv.Atoi(row[1])
		if want > 2 {
			continue // the labelled ones
		}
		m := photo(t, "faces/"+row[0])
		nodes := process(t, p, cliptest.Still(t, m, core.GRAY8))
		mirrored := process(t, p, cliptest.Still(t, mirror(m), core.GRAY8))
		t.Logf("%s: %d faces, mirrored %d, want %d", row[0], len(nodes), len(mirrored), want)
		if row[0] != "obama2.jpg" && (len(nodes) != want || len(mirrored) != want) { // a lectern shot in profile
			t.Errorf("%s: %d faces, mirrored %d, want %d", row[0], len(nodes), len(mirrored), want)
		}
	}
	for _, name := range []string{"noface/chelsea.png", "noface/coffee.png", "noface/rocket.jpg", "objects/motorcycle_left.png", "objects/coco_bus.jpg"} {
		if nodes := process(t, p, cliptest.Still(t, photo(t, name), core.GRAY8)); len(nodes) > 0 {
			t.Errorf("%s: %d faces, the first at %v", name, len(nodes), nodes[0].Box())
		}
	}
}

func mirror(m image.Image) image.Image {
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			out.Set(b.Dx()-1-x, y, m.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out
}

// TestLightDoesNotMatter: pixels are compared with each other alone.
func TestLightDoesNotMatter(t *testing.T) {
	g := cliptest.Still(t, photo(t, "faces/astronaut.png"), core.GRAY8).Gray()
	p := openDetector(t, nil)
	want := process(t, p, cliptest.Still(t, g, core.GRAY8))
	limited := image.NewGray(g.Rect)
	for i, v := range g.Pix {
		limited.Pix[i] = uint8(16 + int(v)*219/255)
	}
	dark := image.NewGray(g.Rect)
	for i, v := range g.Pix {
		dark.Pix[i] = 10 + v/5
	}
	for name, m := range map[string]image.Image{"limited range": limited, "dark": dark} {
		got := process(t, p, cliptest.Still(t, m, core.GRAY8))
		if len(got) != 1 || len(want) != 1 || track.IoU(got[0].Box(), want[0].Box()) < 0.8 {
			t.Errorf("%s: %d faces, want the one of the photo", name, len(got))
		}
	}
}

func TestLandmarksAndScale(t *testing.T) {
	g := cliptest.Still(t, photo(t, "faces/astronaut.png"), core.GRAY8).Gray()
	layout, _ := core.Packed(core.GRAY8, g.Rect.Dx(), g.Rect.Dy())
	info := core.Frame{Caps: core.Caps{Width: 2 * g.Rect.Dx(), Height: 2 * g.Rect.Dy()}} // the stream is twice as large
	f, err := sdk.NewFrame(info, layout, g.Pix, nil)
	if err != nil {
		t.Fatal(err)
	}
	nodes := process(t, openDetector(t, nil), f)
	if len(nodes) != 1 {
		t.Fatalf("%d faces", len(nodes))
	}
	raw, ok := nodes[0].Extra("landmarks")
	var at map[string]sdk.Point
	if err := json.Unmarshal(raw, &at); err != nil || !ok || len(at) != 5 {
		t.Fatalf("landmarks %s: %v", raw, err)
	}
	for name, want := range map[string]sdk.Point{ // by eye, in the photo
		"left_eye": {X: 204, Y: 102}, "right_eye": {X: 247, Y: 103}, "nose": {X: 226, Y: 128}, "mouth_left": {X: 204, Y: 140}, "mouth_right": {X: 245, Y: 140},
	} {
		if d := math.Hypot(at[name].X/2-want.X, at[name].Y/2-want.Y); d > 6 {
			t.Errorf("%s at %v, want about %v in the photo, twice that in the stream", name, at[name], want)
		}
	}
	without := process(t, openDetector(t, map[string]any{"landmarks": false}), f)
	if _, ok := without[1].Extra("landmarks"); ok {
		t.Error("landmarks although they are switched off")
	}
}

func TestSizesAndOddPictures(t *testing.T) {
	m := photo(t, "faces/astronaut.png") // its face is about 107 pixels wide
	for _, c := range []struct {
		options map[string]any
		want    int
	}{
		{map[string]any{"min_size": 60, "max_size": 200}, 1},
		{map[string]any{"min_size": 180}, 0},
		{map[string]any{"max_size": 70}, 0},
		{map[string]any{"min_size": 0.1, "max_size": 0.5}, 1},
		{map[string]any{"min_size": 0.4}, 0},
		{map[string]any{"threshold": 1}, 0},
		{map[string]any{"tilt": 0}, 1},
	} {
		if nodes := process(t, openDetector(t, c.options), cliptest.Still(t, m, core.GRAY8)); len(nodes) != c.want {
			t.Errorf("%v: %d faces, want %d", c.options, len(nodes), c.want)
		}
	}
	p := openDetector(t, map[string]any{"min_size": 0})
	for _, size := range []image.Point{{1, 1}, {19, 19}, {20, 300}, {300, 20}, {22, 22}} {
		process(t, p, cliptest.Still(t, image.NewGray(image.Rectangle{Max: size}), core.GRAY8))
	}
	wide := image.NewGray(image.Rect(0, 0, 900, 300))
	small := cliptest.Still(t, m, core.GRAY8).Gray()
	draw.Draw(wide, image.Rect(0, 0, 300, 300), small, image.Pt(80, 20), draw.Src)
	draw.Draw(wide, image.Rect(600, 0, 900, 300), small, image.Pt(80, 20), draw.Src)
	if nodes := process(t, p, cliptest.Still(t, wide, core.GRAY8)); len(nodes) != 2 {
		t.Errorf("two faces at the ends of a wide picture: %d found", len(nodes))
	}
}

func TestDamagedCascades(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty": nil, "header alone": faceData[:16], "cut": faceData[:len(faceData)-1], "too long": slices.Concat(faceData, []byte{0}),
		"absurd": slices.Concat(faceData[:8], slices.Repeat([]byte{255}, 100)),
	} {
		if _, err := newCascade(data); err == nil {
			t.Errorf("cascade %s: no error", name)
		}
	}
	for name, data := range map[string][]byte{"empty": nil, "cut": pupilData[:len(pupilData)-3], "absurd": slices.Repeat([]byte{255}, 100)} {
		if _, err := newLocator(data); err == nil {
			t.Errorf("locator %s: no error", name)
		}
	}
}

// TestClips finds the face in 95 % of all frames of the clips with one person, nothing else in
// more than 2 %, and one track in each clip.
func TestClips(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(cliptest.Data(t, "videos", "faces", "asl"), "*.mkv"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no clips: %v", err)
	}
	if cliptest.Every > 1 {
		paths = paths[:3]
	}
	var frames, hits, extra int
	var spent time.Duration
	for _, path := range paths {
		c, p, tracker := cliptest.Open(t, path), openDetector(t, nil), track.New(track.Default())
		tracks := map[core.TrackID]int{}
		n, found := 0, 0
		for c.Next() {
			if c.Info().Seq%cliptest.Every != 0 {
				continue
			}
			f := c.Frame(core.GRAY8, 0)
			start := time.Now()
			nodes := process(t, p, f)
			spent += time.Since(start)
			n++
			if len(nodes) > 0 {
				found++
				extra += len(nodes) - 1
			}
			var detections []track.Detection
			for _, node := range nodes {
				score, _ := node.Confidence()
				detections = append(detections, track.Detection{Box: node.Box(), Score: score, Class: "face"})
			}
			for _, id := range tracker.Update(f.PTS(), detections) {
				if id != "" {
					tracks[id]++
				}
			}
		}
		frames, hits = frames+n, hits+found
		t.Logf("%s: a face in %d of %d frames, %d tracks", filepath.Base(path), found, n, len(tracks))
		if len(tracks) != 1 {
			t.Errorf("%s: %d tracks (frames each: %v), want 1", filepath.Base(path), len(tracks), tracks)
		}
	}
	t.Logf("%.1f %% of %d frames, %d other finds, %v a frame", 100*float64(hits)/float64(frames), frames, extra, spent/time.Duration(frames))
	if hits < frames*95/100 || extra > frames*2/100 {
		t.Errorf("faces in %d of %d frames, %d other finds", hits, frames, extra)
	}
}

func TestSeveralPeople(t *testing.T) {
	if cliptest.Every > 1 {
		t.Skip("too few frames under the race detector to say anything")
	}
	for _, c := range []struct {
		name string
		most int     // faces in a frame
		mean float64 // least faces a frame
	}{
		{"head-pose-face-detection-female-and-male_480x270_from_gif.mp4", 2, 0.6},
		{"face-demographics-walking_480x270_from_gif.mp4", 2, 0.7},
	} {
		clip, p := cliptest.Open(t, cliptest.Data(t, "videos", "faces", c.name)), openDetector(t, nil)
		frames, faces, most := 0, 0, 0
		for clip.Next() {
			n := len(process(t, p, clip.Frame(core.GRAY8, 0)))
			frames, faces, most = frames+1, faces+n, max(most, n)
		}
		t.Logf("%s: %.2f faces a frame, at most %d", c.name, float64(faces)/float64(frames), most)
		if most > c.most || float64(faces) < c.mean*float64(frames) {
			t.Errorf("%s: %d faces in %d frames, at most %d in one", c.name, faces, frames, most)
		}
	}
}

// BenchmarkFrame looks for faces in a frame of a clip, with one core.
func BenchmarkFrame(b *testing.B) {
	c, p := cliptest.Open(b, cliptest.Data(b, "videos", "faces", "asl", "again.mkv")), openDetector(b, nil)
	if !c.Next() {
		b.Fatal("no frame")
	}
	for b.Loop() {
		process(b, p, c.Frame(core.GRAY8, 0))
	}
}
