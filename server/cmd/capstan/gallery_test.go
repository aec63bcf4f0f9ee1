package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/pipeline/gallery"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/hashicorp/go-hclog"
)

func TestGalleryReport(t *testing.T) {
	t.Parallel()
	const id, other = "encoder_face@1", "encoder_two@1"
	photo := func(person, file string, refused gallery.Reason, detail string) gallery.Photo {
		return gallery.Photo{Person: person, File: file, Encoder: id, Refused: refused, Detail: detail}
	}
	r := &gallery.Report{
		Dir: "faces", Encoders: []gallery.Encoder{{ID: id, Metric: core.Cosine, Threshold: 0.4}},
		Photos: []gallery.Photo{
			photo("anna", "1.jpg", "", ""), photo("anna", "2.jpg", "", ""), photo("anna", "3.jpg", gallery.NoFace, "no face was found"),
			photo("bert", "x.png", "", ""), photo("cleo", "y.png", gallery.SeveralFaces, "2 were found"),
		},
		Empty: []string{"dora"}, Stray: []string{"notes.txt"},
		Alike: []gallery.Pair{{A: photo("anna", "1.jpg", "", ""), B: photo("bert", "x.png", "", ""), Distance: 0.25}},
	}
	for i := range 10 {
		r.Photos = append(r.Photos, photo("zoe", fmt.Sprintf("%d", i), "", ""))
	}
	var out bytes.Buffer
	printGallery(&out, r)
	want := `gallery faces: 3 of 5 persons
  by encoder_face@1, cosine distance at most 0.4
  anna: 2 photos, 1.jpg, 2.jpg
    refused 3.jpg: no face (no face was found)
  bert: 1 photo, x.png
  cleo: not enrolled, no photo was taken
    refused y.png: several faces (2 were found)
  dora: not enrolled, the folder has no photos
  zoe: 10 photos, 0, 1, 2, 3, 4, 5, 6, 7 and 2 more
  not looked at: notes.txt (photos lie right in a person's folder)
  hard to tell apart: anna and bert (1.jpg and x.png are 0.25 apart)
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	r.Encoders = append(r.Encoders, gallery.Encoder{ID: other, Metric: core.Euclidean, Threshold: 1})
	out.Reset()
	printGallery(&out, r)
	if s := "  bert: 1 photo, x.png [encoder_face@1]\n"; !strings.Contains(out.String(), s) {
		t.Errorf("%q is not in\n%s", s, out.String())
	}
	out.Reset()
	printGallery(&out, &gallery.Report{Dir: "nowhere"})
	if out.Len() != 0 {
		t.Errorf("a folder that is missing has a report: %s", out.String())
	}
}

func TestGalleryBringsItsCapsulesIn(t *testing.T) {
	t.Parallel()
	face := []string{"face"}
	entry := func(name string, in, out core.Description) catalog.Entry {
		return catalog.Entry{Declaration: core.Declaration{Name: name, Input: in, Output: out}}
	}
	detector := func(name string, keys ...string) catalog.Entry {
		return entry(name, core.Description{Size: core.SizeNone}, core.Description{Size: core.SizeAll, Detections: face, ExtraData: keys})
	}
	encoder := entry("encoder", core.Description{Size: core.SizeSingle, Detections: face, ExtraData: []string{"landmarks"}},
		core.Description{Size: core.SizeSingle, Detections: face, Encoded: true, ExtraData: []string{"landmarks"}})
	plain := entry("plain", core.Description{Size: core.SizeSingle, Detections: face}, core.Description{Size: core.SizeSingle, Detections: face, Encoded: true})
	tracker := entry("tracker", core.Description{Size: core.SizeAll, Detections: face}, core.Description{Size: core.SizeAll, Detections: face, Tracked: true})
	persons := entry("persons", core.Description{Size: core.SizeSingle, Detections: []string{"person"}},
		core.Description{Size: core.SizeSingle, Detections: []string{"person"}, Encoded: true})
	tests := map[string]struct {
		entries []catalog.Entry
		in, out string
	}{
		"the better detector":   {[]catalog.Entry{detector("pigo"), detector("yunet", "confidence", "landmarks"), encoder, tracker, persons}, "encoder yunet", "pigo"},
		"only a poor detector":  {[]catalog.Entry{detector("pigo"), encoder, tracker}, "encoder", ""},
		"any detector will do":  {[]catalog.Entry{detector("pigo"), plain}, "pigo plain", ""},
		"nobody encodes a face": {[]catalog.Entry{detector("pigo"), tracker, persons}, "", ""},
	}
	for name, test := range tests {
		in, out := galleryChain(test.entries)
		if got := set(in); got != test.in {
			t.Errorf("%s: brought in: %q, want %q", name, got, test.in)
		}
		if got := set(out); got != test.out {
			t.Errorf("%s: left out: %q, want %q", name, got, test.out)
		}
	}
}

func set(m map[string]bool) string {
	var names []string
	for name, ok := range m {
		if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// faceEngine runs the capsules that find, track and encode faces.
func faceEngine(t *testing.T) *pipeline.Engine {
	t.Helper()
	t.Setenv(files.ModelsEnv, data(t, "models"))
	if _, err := files.Runtime(""); err != nil {
		t.Skipf("ONNX Runtime is absent: %v", err)
	}
	chosen, err := chooseCapsules(t.Context(), runFlags{
		capsules: []string{filepath.Join(filepath.Dir(program(t)), "capsules")},
		only:     []string{"detector_face_yunet", "encoder_face_mobilefacenet", "tracker_bytetrack"},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := hclog.NewNullLogger()
	media, err := gstreamer.New(log)
	if err != nil {
		t.Fatal(err)
	}
	h := host.New(host.Config{Log: log})
	t.Cleanup(func() { _ = h.Close() })
	engine := pipeline.New(media, log)
	t.Cleanup(func() { _ = engine.Close() })
	if err := launch(t.Context(), h, engine, chosen); err != nil {
		t.Fatal(err)
	}
	return engine
}

// footage is what a clip shows, as far as the capsules see it.
type footage struct {
	clip, person string // person: "" for people without a name
	frames       []sighting
	photos       map[string][]byte // some of its frames, as PNG, by file name
}

type sighting struct {
	pts   core.PTS
	nodes []*core.Node
}

const (
	everyFrame = 5 // of a clip is looked at
	everyPhoto = 3 // of these is a photo
)

// watch runs a clip.
func watch(t *testing.T, engine *pipeline.Engine, clip, person string) footage {
	t.Helper()
	f := footage{clip: clip, person: person, photos: map[string][]byte{}}
	session, err := engine.Open(t.Context(), pipeline.Job{Source: pipeline.Source{URL: data(t, "videos", clip)}, Every: everyFrame})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for {
		r, err := session.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		if person != "" && len(f.frames)%everyPhoto == 0 {
			f.photos[fmt.Sprintf("%s-%03d.png", filepath.Base(clip), r.Frame.Seq)] = photoOf(t, r)
		}
		r.Release()
		f.frames = append(f.frames, sighting{r.Frame.PTS, r.Nodes})
	}
}

func photoOf(t *testing.T, r *pipeline.Result) []byte {
	t.Helper()
	v, err := r.View([]core.PixelFormat{core.RGB}, core.PictureSize{})
	if err != nil {
		t.Fatal(err)
	}
	l := v.Layout
	m := image.NewNRGBA(image.Rect(0, 0, l.Width, l.Height))
	for y := range l.Height {
		row := v.Arena.Bytes()[l.Planes[0].Offset+int64(y*l.Planes[0].Stride):]
		for x := range l.Width {
			copy(m.Pix[y*m.Stride+4*x:], []byte{row[3*x], row[3*x+1], row[3*x+2], 255})
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// named counts the frames of a clip that have a face, those where the right person is named
// and nobody else, and those where anybody else is.
func named(g *gallery.Gallery, f footage, enrolled bool) (faces, right, wrong int) {
	follower := g.Follow()
	for _, s := range f.frames {
		if len(s.nodes) == 0 {
			continue
		}
		faces++
		var nodes []*core.Node
		for _, n := range s.nodes {
			nodes = append(nodes, n.Clone())
		}
		follower.Recognise(s.pts, nodes)
		names := map[string]bool{}
		for _, n := range nodes {
			if n.Identity != nil {
				names[n.Identity.UniqueName] = true
			}
		}
		switch own := enrolled && names[f.person]; {
		case own && len(names) == 1:
			right++
		case len(names) > 0:
			wrong++
		}
	}
	return faces, right, wrong
}

// knowsEncoders skips the test where the engine does not set Node.Encoder.
func knowsEncoders(t *testing.T, f footage) {
	t.Helper()
	for _, s := range f.frames {
		for _, n := range s.nodes {
			if n.Encoding != nil && n.Encoder == "" {
				t.Skip("the engine does not say who encoded a node: pipeline/apply.go has to set Node.Encoder")
			}
		}
	}
}

// TestGalleryOfPhotos enrols the photos of the test data.
func TestGalleryOfPhotos(t *testing.T) {
	engine := faceEngine(t)
	knowsEncoders(t, watch(t, engine, "faces/asl/milk.mkv", ""))
	dir := t.TempDir()
	for to, from := range map[string]string{
		"barack/1.jpg": "faces/obama.jpg", "barack/2.jpg": "faces/obama2.jpg", "barack/both.jpg": "faces/two_people.jpg", "joe/1.jpg": "faces/biden2.jpg",
		"eileen/1.png": "faces/astronaut.png", "eileen/cat.png": "noface/chelsea.png", "nobody/cup.png": "noface/coffee.png", "nobody/labels.jpg": "faces/labels.csv",
	} {
		b, err := os.ReadFile(data(t, "images", from))
		if err := errors.Join(err, os.MkdirAll(filepath.Join(dir, filepath.Dir(to)), 0o755), os.WriteFile(filepath.Join(dir, to), b, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var report bytes.Buffer
	g, err := enrol(t.Context(), engine, dir, &report)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.People()); n != 3 {
		t.Errorf("%d persons are enrolled, want 3", n)
	}
	for _, line := range []string{
		": 3 of 4 persons\n", "  barack: 2 photos, 1.jpg, 2.jpg\n    refused both.jpg: several faces (2 were found)\n", "  joe: 1 photo, 1.jpg\n",
		"  eileen: 1 photo, 1.png\n    refused cat.png: no face (no face was found)\n",
		"  nobody: not enrolled, no photo was taken\n    refused cup.png: no face (no face was found)\n    refused labels.jpg: unreadable (",
	} {
		if !strings.Contains(report.String(), line) {
			t.Errorf("the report lacks %q:\n%s", line, report.String())
		}
	}
}

// TestIdentitiesOnClips enrols two of three persons from one clip each and holds the names in
// all other clips against the labels; every person is the stranger once. Two clips show people
// who are never enrolled.
func TestIdentitiesOnClips(t *testing.T) {
	file, err := os.Open(data(t, "videos", "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	engine := faceEngine(t)
	clips := map[string][]footage{}
	for _, row := range rows[1:] {
		if strings.HasPrefix(row[0], "faces/") {
			f := watch(t, engine, row[0], row[2])
			knowsEncoders(t, f)
			clips[row[2]] = append(clips[row[2]], f)
		}
	}
	if len(clips) != 4 || len(clips["P1"]) != 3 || len(clips[""]) != 2 {
		t.Fatalf("labels.csv is not as it was: %d persons", len(clips))
	}
	for i, stranger := range []string{"P1", "P2", "P3"} {
		dir, taken := t.TempDir(), map[string]bool{}
		for person, list := range clips {
			if person == "" || person == stranger {
				continue
			}
			taken[list[i].clip] = true
			for name, photo := range list[i].photos {
				path := filepath.Join(dir, person, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, photo, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
		}
		var report bytes.Buffer
		g, err := enrol(t.Context(), engine, dir, &report)
		t.Logf("without %s: %s", stranger, report.String())
		if err != nil {
			t.Fatal(err)
		}
		if len(g.People()) != 2 {
			t.Fatalf("%d persons are enrolled", len(g.People()))
		}
		for person, list := range clips {
			for _, f := range list {
				if taken[f.clip] {
					continue
				}
				enrolled := person != "" && person != stranger
				faces, right, wrong := named(g, f, enrolled)
				t.Logf("without %s: %s (%s): %d frames with a face, %d right, %d wrong", stranger, f.clip, person, faces, right, wrong)
				if wrong > 0 || faces == 0 || enrolled && float64(right) < 0.95*float64(faces) {
					t.Errorf("without %s: %s (%s): %d frames with a face, %d right, %d wrong", stranger, f.clip, person, faces, right, wrong)
				}
			}
		}
	}
}
