package gallery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gallery"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/hashicorp/go-hclog"
)

// photo is the content of a file that stands for a photo: what the capsules find on it.
type photo struct {
	Faces  []face
	Broken string        // the source cannot be opened
	Frames int           // above 1: a video
	Empty  bool          // opened, and there is no picture
	Hang   time.Duration // before the detector answers
	Crash  string        // the capsule that fails
}

type face struct {
	Side     float64
	Encoding []float32 // null: the encoder passes it over
	At       float64   // x of its left edge
}

func one(encoding ...float32) photo {
	return photo{Faces: []face{{Side: 60, Encoding: encoding}}}
}

// world is an engine with capsules that see what files say.
type world struct {
	t      *testing.T
	dir    string
	engine *pipeline.Engine

	mu     sync.Mutex
	photos map[core.StreamID]photo
	opened int
}

type option func(*world)

// newWorld writes a gallery of photos, by "person/file", and starts an engine with a detector
// and an encoder.
func newWorld(t *testing.T, photos map[string]photo, options ...option) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), photos: map[core.StreamID]photo{}}
	for name, p := range photos {
		text, err := json.Marshal(p)
		path := filepath.Join(w.dir, name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w.engine = pipeline.New(&pipelinetest.Media{OpenFunc: w.open}, hclog.NewNullLogger())
	t.Cleanup(func() { _ = w.engine.Close() })
	for _, o := range options {
		o(w)
	}
	if options == nil {
		w.add(w.detector("detector_face", core.Rect), w.encoder("encoder_face", 0, core.Euclidean, 1))
	}
	return w
}

func (w *world) add(capsules ...*pipelinetest.Capsule) {
	w.t.Helper()
	for _, c := range capsules {
		if err := w.engine.Add(c); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) open(_ context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	var p photo
	text, err := os.ReadFile(s.URL)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return nil, err
	}
	if p.Broken != "" {
		return nil, core.Faultf(core.SourceFormat, "open", s.URL, "%s", p.Broken)
	}
	w.mu.Lock()
	w.photos[s.Stream] = p
	w.opened++
	w.mu.Unlock()
	script := pipelinetest.Script{Frames: max(1, p.Frames)}
	if p.Empty {
		script.Frames = 0
	}
	return script.Open()
}

func (w *world) photo(id core.StreamID) photo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.photos[id]
}

// detector finds the faces of the photo; shape lets a second one see them a bit differently.
func (w *world) detector(name string, shape func(x1, y1, x2, y2 float64) core.Polygon) *pipelinetest.Capsule {
	return &pipelinetest.Capsule{
		Decl: core.Declaration{
			Name: name, Version: "1", Formats: []core.PixelFormat{core.GRAY8},
			Input: core.Description{Size: core.SizeNone}, Output: core.Description{Size: core.SizeAll, Detections: []string{"face"}, ExtraData: []string{"n"}},
		},
		ProcessFunc: func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
			p := w.photo(c.Frame.Stream)
			if p.Crash == name {
				return pipeline.Answer{}, core.Faultf(core.CapsuleFailed, "fake", "", "on purpose")
			}
			if p.Hang > 0 {
				select {
				case <-time.After(p.Hang):
				case <-ctx.Done():
				}
			}
			r := core.Return{Kind: core.ReturnList}
			for i, f := range p.Faces {
				n := &core.Node{Class: "face", Coords: shape(f.At, 0, f.At+f.Side, f.Side+10)}
				_ = n.ExtraData.Set("n", i)
				r.Added = append(r.Added, n)
			}
			return pipeline.Answer{Returns: []core.Return{r}}, nil
		},
	}
}

// encoder encodes every face as the photo says, with shift added to every number.
func (w *world) encoder(name string, shift float32, metric core.Metric, threshold float64) *pipelinetest.Capsule {
	c := &pipelinetest.Capsule{Decl: core.Declaration{
		Name: name, Version: "2", Formats: []core.PixelFormat{core.GRAY8}, Metric: metric,
		Input:   core.Description{Size: core.SizeAll, Detections: []string{"face"}},
		Output:  core.Description{Size: core.SizeAll, Detections: []string{"face"}, Encoded: true},
		Options: []core.Option{{Name: "recognition_threshold", Type: core.FloatOption, Default: threshold}},
		EveryN:  5, // a photo is encoded all the same
	}}
	c.ProcessFunc = func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		p := w.photo(call.Frame.Stream)
		if p.Crash == name {
			return pipeline.Answer{}, core.Faultf(core.CapsuleFailed, "fake", "", "on purpose")
		}
		r := core.Return{Kind: core.ReturnList}
		for _, n := range call.Nodes {
			i, _ := n.ExtraData.Float("n")
			f := p.Faces[int(i)]
			if f.Encoding == nil {
				continue
			}
			e := core.Encoding{}
			for _, v := range f.Encoding {
				e = append(e, v+shift)
			}
			n.Encoder = c.Decl.EncoderID()
			r.Patches = append(r.Patches, core.Patch{Node: n.ID, Encoding: e})
		}
		return pipeline.Answer{Returns: []core.Return{r}}, nil
	}
	return c
}

func (w *world) enrol(o gallery.Options) (*gallery.Gallery, *gallery.Report, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	return gallery.Enrol(ctx, w.engine, w.dir, o)
}

// said gives the outcomes of a report as "person/file: reason".
func said(r *gallery.Report) []string {
	var list []string
	for _, p := range r.Photos {
		reason := string(p.Refused)
		if reason == "" {
			reason = "taken"
		}
		list = append(list, p.Person+"/"+p.File+": "+reason)
	}
	return list
}

func TestEveryPhotoIsTakenOrRefusedWithAReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]photo{
		"anna/1.jpg":      one(0, 0),
		"anna/2.jpg":      one(0.5, 0),
		"anna/3.jpg":      one(0, 0.5),
		"anna/4.jpg":      one(7, 7), // somebody else
		"anna/broken.jpg": {Broken: "not a picture"},
		"anna/clip.mp4":   {Faces: one(0, 0).Faces, Frames: 9},
		"anna/empty.jpg":  {Empty: true},
		"bert/few.png":    one(10, 0),
		"bert/group.png":  {Faces: []face{{60, []float32{10, 0}, 0}, {60, []float32{11, 0}, 200}}},
		"bert/none.png":   {},
		"bert/small.png":  {Faces: []face{{39, []float32{10, 0}, 0}}},
		"bert/turned.png": {Faces: []face{{60, nil, 0}}},
		"cleo/crash.png":  {Faces: one(20, 0).Faces, Crash: "encoder_face"},
		"cleo/crash2.png": {Faces: one(20, 0).Faces, Crash: "detector_face"},
		"dora/a.png":      one(-20, 0), // two that disagree: neither can be trusted
		"dora/b.png":      one(-30, 0),
		"readme.txt":      {},
		".hidden/a.png":   one(0, 0),
		"anna/.hidden":    one(0, 0),
		"anna/old/a.png":  one(0, 0),
	})
	if err := os.Mkdir(filepath.Join(w.dir, "emma"), 0o755); err != nil {
		t.Fatal(err)
	}
	g, r, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"anna/1.jpg: taken", "anna/2.jpg: taken", "anna/3.jpg: taken", "anna/4.jpg: at odds with the person's other photos",
		"anna/broken.jpg: unreadable", "anna/clip.mp4: unreadable", "anna/empty.jpg: unreadable",
		"bert/few.png: taken", "bert/group.png: several faces", "bert/none.png: no face", "bert/small.png: face too small", "bert/turned.png: not encoded",
		"cleo/crash.png: not encoded", "cleo/crash2.png: not encoded",
		"dora/a.png: at odds with the person's other photos", "dora/b.png: at odds with the person's other photos",
	}
	if got := said(r); !slices.Equal(got, want) {
		t.Errorf("report:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(r.Empty, []string{"emma"}) || !slices.Equal(r.Stray, []string{"anna/old", "readme.txt"}) || len(r.Alike) != 0 {
		t.Errorf("empty %v, stray %v, alike %v", r.Empty, r.Stray, r.Alike)
	}
	if got := r.Persons(); !slices.Equal(got, []string{"anna", "bert", "cleo", "dora", "emma"}) || r.Taken("anna") != 3 || r.Taken("cleo") != 0 {
		t.Errorf("persons %v, taken of anna %d, of cleo %d", got, r.Taken("anna"), r.Taken("cleo"))
	}
	details := map[string]string{
		"anna/4.jpg": "9.55 away from 2.jpg; same person: at most 1.00", "anna/broken.jpg": "not a picture", "anna/clip.mp4": "it is a video, not a photo",
		"anna/empty.jpg": "there is no picture in it", "bert/small.png": "its shorter side is 39 pixels, want 40 or more", "bert/group.png": "2 were found",
		"cleo/crash.png": "encoder_face: capsule failed", "bert/turned.png": "encoder_face did not encode the face", "dora/b.png": "10.00 away from a.png",
	}
	for _, p := range r.Photos {
		if d, ok := details[p.Person+"/"+p.File]; ok && !strings.Contains(p.Detail, d) {
			t.Errorf("%s/%s: %q, want %q in it", p.Person, p.File, p.Detail, d)
		}
		if p.Refused == "" && p.Face != (core.Box{X2: 60, Y2: 70}) {
			t.Errorf("%s/%s: face %v", p.Person, p.File, p.Face)
		}
	}
	if p := g.People(); len(p) != 2 || p[0].UniqueName != "anna" || p[0].ID != 1 || p[1].UniqueName != "bert" || p[1].ID != 2 {
		t.Errorf("people %v", p)
	}
}

// node is a node with an encoding of the fake encoder.
func node(class string, encoding ...float32) *core.Node {
	return &core.Node{Class: class, Encoding: encoding, Encoder: "encoder_face@2"}
}

func TestNodesAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]photo{"anna/1": one(0, 0), "anna/2": one(0.5, 0), "bert/1": one(10, 0), "zoe/1": one(2, 0)})
	g, _, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	person := &core.Node{Class: "person", Children: []*core.Node{node("face", 10, 0.25)}}
	stale := node("face", 0, 0)
	stale.Encoder = "encoder_face@1"
	unknown := node("face", 0, 0)
	unknown.Encoder = ""
	tests := map[string]struct {
		node     *core.Node
		want     string
		distance float64
	}{
		"the nearest photo decides":       {node("face", 0.6, 0), "anna", 0.1},
		"nearer to another":               {node("face", 1.5, 0), "zoe", 0.5},
		"a class does not matter":         {node("anything", 10.5, 0), "bert", 0.5},
		"at the threshold":                {node("face", 11, 0), "bert", 1},
		"beyond the threshold":            {node("face", 11.001, 0), "", 0},
		"a stranger":                      {node("face", -50, 0), "", 0},
		"not encoded":                     {&core.Node{Class: "face"}, "", 0},
		"encoded by another version":      {stale, "", 0},
		"encoded by nobody knows whom":    {unknown, "", 0},
		"a child":                         {person, "", 0},
		"an encoding that is no number":   {node("face", nan, 0), "", 0},
		"an encoding of other dimensions": {node("face", 0, 0, 0), "", 0},
		"an empty encoding":               {&core.Node{Class: "face", Encoding: core.Encoding{}, Encoder: "encoder_face@2"}, "", 0},
	}
	var all []*core.Node
	for _, test := range tests {
		all = append(all, test.node)
	}
	if named := g.Recognise(all); named != 5 {
		t.Errorf("%d nodes are said to be named, want 5", named)
	}
	for name, test := range tests {
		check(t, name, test.node, test.want, test.distance)
	}
	check(t, "the child", person.Children[0], "bert", 0.25)
	if got, want := g.Stats(), (gallery.Stats{Looked: 10, Named: 5, Refused: 3}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if g.Recognise(nil) != 0 {
		t.Error("no nodes are named")
	}
}

func check(t *testing.T, what string, n *core.Node, want string, distance float64) {
	t.Helper()
	d, ok := n.ExtraData.Float(gallery.DistanceKey)
	switch {
	case want == "" && (n.Identity != nil || ok):
		t.Errorf("%s: named %+v at %v", what, n.Identity, d)
	case want != "" && (n.Identity == nil || n.Identity.UniqueName != want || !ok || math.Abs(d-distance) > 1e-6):
		t.Errorf("%s: named %+v at %v (%v), want %s at %v", what, n.Identity, d, ok, want, distance)
	}
}

// TestHubsAreRefused has a photo that looks like three others, two persons that are alike, and
// checks that only the hub goes.
func TestHubsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]photo{
		"anna/good":  one(0, 0.9),
		"anna/blur":  one(0, 0), // near to anna, bert and cleo
		"bert/1":     one(0.9, 0),
		"cleo/1":     one(-0.9, 0),
		"dora/1":     one(50, 0),
		"emma/1":     one(50.5, 0),
		"emma/2":     one(50.25, 0),
		"fritz/1":    one(100, 0),
		"gustav/sun": one(30, 30),
	})
	g, r, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, p := range r.Photos {
		if p.Refused != "" {
			refused = append(refused, fmt.Sprintf("%s/%s %s: %s", p.Person, p.File, p.Refused, p.Detail))
		}
	}
	if len(refused) != 1 || refused[0] != "anna/blur matches many persons: it matches photos of 2 others, such as bert and cleo" {
		t.Errorf("refused: %v", refused)
	}
	if len(r.Alike) != 1 || r.Alike[0].A.Person != "dora" || r.Alike[0].B.Person != "emma" || r.Alike[0].B.File != "2" || r.Alike[0].Distance != 0.25 {
		t.Errorf("alike: %+v", r.Alike)
	}
	if len(g.People()) != 7 {
		t.Errorf("people: %v", g.People())
	}
	if n := node("face", 0, 0); g.Recognise([]*core.Node{n}) != 1 || n.Identity.UniqueName == "" {
		t.Errorf("named %v", n.Identity)
	}
}

// TestTwoEncodersAreKeptApart has two encoders whose encodings of one face are far from each
// other, and two detectors that both find every face.
func TestTwoEncodersAreKeptApart(t *testing.T) {
	t.Parallel()
	near := func(x1, y1, x2, y2 float64) core.Polygon { return core.Rect(x1+2, y1+2, x2+2, y2-2) }
	w := newWorld(t, map[string]photo{"anna/1": one(1, 0), "bert/1": one(0, 1)}, func(w *world) {
		w.add(w.detector("detector_face", core.Rect), w.detector("detector_other", near), w.encoder("encoder_face", 0, core.Cosine, 0.3))
		b := w.encoder("encoder_body", 0, core.Euclidean, 0.3)
		b.Decl.Output.Detections, b.Decl.Input.Detections = []string{"person"}, []string{"person"} // nobody finds persons
		w.add(b)
	})
	g, r, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := said(r); !slices.Equal(got, []string{"anna/1: taken", "bert/1: taken"}) {
		t.Error(got)
	}
	if len(r.Encoders) != 1 || r.Encoders[0] != (gallery.Encoder{ID: "encoder_face@2", Metric: core.Cosine, Threshold: 0.3}) {
		t.Errorf("encoders %+v", r.Encoders)
	}
	n := node("face", 5, 0.1)
	other := node("person", 5, 0.1)
	other.Encoder = "encoder_body@2"
	g.Recognise([]*core.Node{n, other})
	check(t, "face", n, "anna", 0.0002)
	check(t, "person", other, "", 0)
}

// TestOnlyTheChainRuns gives the engine a capsule that encoding does not need.
func TestOnlyTheChainRuns(t *testing.T) {
	t.Parallel()
	var idle *pipelinetest.Capsule
	w := newWorld(t, map[string]photo{"anna/1": one(1, 0)}, func(w *world) {
		idle = w.detector("detector_idle", core.Rect)
		idle.Decl.Output.Detections = []string{"car"}
		w.add(idle, w.detector("detector_face", core.Rect), w.encoder("encoder_face", 0, core.Euclidean, 1))
	})
	if _, _, err := w.enrol(gallery.Options{}); err != nil {
		t.Fatal(err)
	}
	if n := len(idle.Calls()); n != 0 {
		t.Errorf("a capsule that feeds nothing was called %d times", n)
	}
	if w.opened != 1 {
		t.Errorf("%d sources were opened for one photo", w.opened)
	}
}

func TestGalleriesThatCannotBe(t *testing.T) {
	t.Parallel()
	noCapsules := func(*world) {}
	tests := map[string]struct {
		photos  map[string]photo
		options []option
		dir     string
		kind    core.Kind
		want    []string
	}{
		"missing":      {dir: "nowhere", kind: core.NotFound, want: []string{"nowhere", "no such file", "a folder with photos for every person"}},
		"a file":       {photos: map[string]photo{"file": {}}, dir: "file", kind: core.NotFound, want: []string{"file: not a directory"}},
		"empty":        {kind: core.Invalid, want: []string{"it has no persons: the folder is empty", "a folder with photos for every person"}},
		"photos alone": {photos: map[string]photo{"a.jpg": one(1, 1), "b.jpg": one(1, 1)}, kind: core.Invalid, want: []string{"it has no folders, only 2 files such as a.jpg"}},
		"no photos":    {photos: map[string]photo{"anna/.keep": {}}, kind: core.Invalid, want: []string{"not one photo is in its 1 folders such as anna"}},
		"no face": {photos: map[string]photo{"anna/1": {}, "bert/2": {}, "bert/3": {Broken: "no"}}, kind: core.Invalid,
			want: []string{"none of its photos shows a face that can be enrolled: 2 no face, 1 unreadable"}},
		"no encoder": {photos: map[string]photo{"anna/1": one(1, 1)}, options: []option{noCapsules}, kind: core.NotFound,
			want: []string{"no capsule that runs encodes a face", "detector_face_yunet and encoder_face_mobilefacenet"}},
		"no detector": {photos: map[string]photo{"anna/1": one(1, 1)}, options: []option{func(w *world) { w.add(w.encoder("encoder_face", 0, core.Cosine, 1)) }},
			kind: core.NotFound, want: []string{"no capsule that runs encodes a face", "encoder_face cannot run: no class: nobody gives"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.photos, test.options...)
			w.dir = filepath.Join(w.dir, test.dir)
			g, r, err := w.enrol(gallery.Options{})
			if g != nil || r == nil || err == nil {
				t.Fatalf("gallery %v, report %v, error %v", g, r, err)
			}
			for _, s := range append(test.want, w.dir) {
				if !strings.Contains(err.Error(), s) && !(s == w.dir && test.kind == core.NotFound && test.options != nil) {
					t.Errorf("%q lacks %q", err, s)
				}
			}
			if core.KindOf(err) != test.kind {
				t.Errorf("kind %v, want %v", core.KindOf(err), test.kind)
			}
		})
	}
}

func TestAPhotoThatHangsIsUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]photo{"anna/1": one(1, 0), "anna/slow": {Faces: one(1, 0).Faces, Hang: time.Minute}})
	_, r, err := w.enrol(gallery.Options{Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got := said(r); !slices.Equal(got, []string{"anna/1: taken", "anna/slow: unreadable"}) || !strings.Contains(r.Photos[1].Detail, "it took more than 300ms") {
		t.Errorf("%v: %q", got, r.Photos[1].Detail)
	}
}

func TestEnrolmentEndsWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	photos := map[string]photo{}
	for i := range 20 {
		photos[fmt.Sprintf("anna/%d", i)] = photo{Faces: one(1, 0).Faces, Hang: time.Minute}
	}
	w := newWorld(t, photos)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("that will do")
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, _, err := gallery.Enrol(ctx, w.engine, w.dir, gallery.Options{}); !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
}

// TestOddEncodingsAreRefused has encoders that give different dimensions, zeros and NaN.
func TestOddEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]photo{"anna/1": one(1, 0), "anna/2": one(1, 0, 0), "bert/1": one(0, 1), "bert/2": one(0, 0), "bert/3": one(0, 0.5)}, func(w *world) {
		w.add(w.detector("detector_face", core.Rect), w.encoder("encoder_face", 0, core.Cosine, 0.4))
	})
	_, r, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"anna/1: taken", "anna/2: not encoded", "bert/1: taken", "bert/2: not encoded", "bert/3: taken"}
	if got := said(r); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTracksKeepTheirNames plays frames of tracks, each step one frame; an encoding of one
// number n stands for a face n away from anna (0) and bert (10).
func TestTracksKeepTheirNames(t *testing.T) {
	t.Parallel()
	const none = float32(-1e6) // not encoded
	tests := map[string]struct {
		encodings []float32
		step      time.Duration
		track     core.TrackID
		want      string // a letter a frame, - for no name
	}{
		"turned away":                     {[]float32{0, 0, 0, 1.9, 1.9, 0}, 40 * time.Millisecond, "t", "aaaaaa"},
		"not encoded in every frame":      {[]float32{0, none, 0, none, 0, none}, 40 * time.Millisecond, "t", "a-a-aa"},
		"two frames are not enough":       {[]float32{0, 0, 1.9}, 40 * time.Millisecond, "t", "aa-"},
		"too far away for anna":           {[]float32{0, 0, 0, 2.1, 0}, 40 * time.Millisecond, "t", "aaa-a"},
		"too long ago":                    {[]float32{0, 0, 0, 1.9, 1.9, 1.9}, 900 * time.Millisecond, "t", "aaaaa-"},
		"no track":                        {[]float32{0, 0, 0, 1.9}, 40 * time.Millisecond, "", "aaa-"},
		"another person beats the memory": {[]float32{0, 0, 0, 10, 10}, 40 * time.Millisecond, "t", "aaabb"},
		"a track of two persons is none":  {[]float32{0, 0, 0, 10, 10, 10, 1.5, 8.5}, 40 * time.Millisecond, "t", "aaabbb--"},
		"one slip does not matter":        {[]float32{0, 0, 0, 0, 10, 1.5}, 40 * time.Millisecond, "t", "aaaaba"},
		"a stranger":                      {[]float32{1.9, 1.9, 5, 1.9}, 40 * time.Millisecond, "t", "----"},
	}
	w := newWorld(t, map[string]photo{"anna/1": one(0, 0), "bert/1": one(10, 0)})
	g, _, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		f, got, named := g.Follow(), "", 0
		for i, e := range test.encodings {
			n := node("face", e, 0)
			if e == none {
				n = &core.Node{Class: "face"}
			}
			n.TrackID = test.track
			// Another track beside it, of nobody, gets no name from it.
			other := node("face", 500, 0)
			other.TrackID = "other"
			parent := &core.Node{Class: "person", Children: []*core.Node{n}}
			named += f.Recognise(core.PTS(time.Duration(i)*test.step), []*core.Node{parent, other})
			if other.Identity != nil || parent.Identity != nil {
				t.Errorf("%s: frame %d: named %v and %v", name, i, other.Identity, parent.Identity)
			}
			if n.Identity == nil {
				got += "-"
				continue
			}
			got += n.Identity.UniqueName[:1]
			own := float64(min(e, float32(math.Abs(float64(e-10)))))
			if d, ok := n.ExtraData.Float(gallery.DistanceKey); !ok || e != none && math.Abs(d-own) > 1e-5 {
				t.Errorf("%s: frame %d: distance %v (%v), want %v", name, i, d, ok, own)
			}
		}
		if got != test.want || named != len(got)-strings.Count(got, "-") {
			t.Errorf("%s: %s (%d named), want %s", name, got, named, test.want)
		}
	}
	if g.Stats().Carried == 0 {
		t.Error("nothing was carried")
	}
}

// TestFollowersForgetTracks plays many short tracks.
func TestFollowersForgetTracks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]photo{"anna/1": one(0, 0)})
	g, _, err := w.enrol(gallery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := g.Follow()
	for i := range 5000 {
		n := node("face", 0, 0)
		n.TrackID = core.TrackID(fmt.Sprint(i))
		f.Recognise(core.PTS(time.Duration(i)*40*time.Millisecond), []*core.Node{n})
	}
	if n := f.Tracks(); n > 600 {
		t.Errorf("%d tracks are remembered, of 25 a second", n)
	}
}
