package main

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
)

func openEncoder(t testing.TB) sdk.Processor {
	t.Helper()
	p, err := capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encodeNode(t testing.TB, p sdk.Processor, layout core.Layout, mem []byte, box core.Polygon) (sdk.Encoding, error) {
	t.Helper()
	info := core.Frame{Caps: core.Caps{Width: layout.Width, Height: layout.Height}}
	f, err := sdk.NewFrame(info, layout, mem, []*core.Node{{ID: 3, Class: "person", Coords: box}})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Process(t.Context(), f)
	return f.Node().Encoding(), err
}

func distance(a, b sdk.Encoding) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return 1 - sum
}

func TestEncodingIsOfLengthOneAndAboutThePicture(t *testing.T) {
	layout, bytes := core.Packed(core.RGB, 200, 150)
	mem := make([]byte, bytes)
	noise := rand.New(rand.NewPCG(3, 3))
	paint := func(box [4]int, c [3]uint8) {
		for y := box[1]; y < box[3]; y++ {
			for x := box[0]; x < box[2]; x++ {
				for k := range 3 {
					mem[y*layout.Planes[0].Stride+3*x+k] = uint8(int(c[k]) + noise.IntN(9))
				}
			}
		}
	}
	paint([4]int{0, 0, 200, 150}, [3]uint8{120, 120, 120})
	paint([4]int{20, 20, 50, 60}, [3]uint8{200, 30, 30}) // red over blue, twice, the second one larger
	paint([4]int{20, 60, 50, 100}, [3]uint8{30, 30, 200})
	paint([4]int{80, 10, 125, 70}, [3]uint8{190, 30, 30})
	paint([4]int{80, 70, 125, 130}, [3]uint8{30, 30, 190})
	paint([4]int{150, 20, 180, 60}, [3]uint8{30, 160, 30}) // green over black
	paint([4]int{150, 60, 180, 100}, [3]uint8{15, 15, 15})
	p := openEncoder(t)
	var e []sdk.Encoding
	for _, box := range []core.Polygon{core.Rect(18, 18, 52, 102), core.Rect(77, 7, 128, 133), core.Rect(148, 18, 182, 102)} {
		v, err := encodeNode(t, p, layout, mem, box)
		if err != nil {
			t.Fatal(err)
		}
		if len(v) != size || math.Abs(float64(length(v))-1) > 1e-4 {
			t.Fatalf("%d numbers of length %v", len(v), length(v))
		}
		e = append(e, v)
	}
	same, other := distance(e[0], e[1]), distance(e[0], e[2])
	if same > 0.15 || other < 0.5 {
		t.Errorf("distance to the same dress %.3f, to another %.3f", same, other)
	}
	again, err := encodeNode(t, p, layout, mem, core.Rect(18, 18, 52, 102))
	if err != nil || !slices.Equal(again, e[0]) {
		t.Errorf("the same box gave another encoding (%v)", err)
	}
}

func TestOddBoxes(t *testing.T) {
	layout, bytes := core.Packed(core.RGB, 30, 20)
	mem := make([]byte, bytes)
	p := openEncoder(t)
	for name, box := range map[string]core.Polygon{
		"flat picture": core.Rect(0, 0, 30, 20), "a point": core.Rect(4, 4, 4, 4), "partly outside": core.Rect(-20, -20, 5, 5),
		"huge": core.Rect(-1e12, -1e12, 1e12, 1e12), "the last pixel": core.Rect(29.9, 19.9, 90, 90),
		"outside": core.Rect(30, 0, 40, 10), "far away": core.Rect(-2e12, 0, -1e12, 10),
	} {
		v, err := encodeNode(t, p, layout, mem, box)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if math.Abs(float64(length(v))-1) > 1e-4 {
			t.Errorf("%s: length %v", name, length(v))
		}
	}
	for name, box := range map[string]core.Polygon{"no numbers": {{X: math.NaN()}}} {
		v, err := encodeNode(t, p, layout, mem, box)
		if err == nil || v != nil || !strings.Contains(err.Error(), "node 3 (person)") {
			t.Errorf("%s: encoding of %d numbers, error %v", name, len(v), err)
		}
	}
}

// sighting is one person in one frame of MOT17-13.
type sighting struct {
	frame, id int
	encoding  sdk.Encoding
}

// sightings encodes the well visible persons of every step-th frame of the street clip, whose
// pictures are half the size of the ground truth's.
func sightings(t *testing.T, step, most int) (all []sighting, each time.Duration) {
	file, err := os.Open(cliptest.Data(t, "mot", "MOT17-13", "gt.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	type person struct {
		id  int
		box core.Polygon
	}
	boxes := map[int][]person{}
	for _, row := range rows {
		var v [9]float64
		for i := range v {
			v[i], _ = strconv.ParseFloat(row[i], 64)
		}
		if v[6] == 1 && v[8] > 0.7 && v[5] > 90 {
			boxes[int(v[0])] = append(boxes[int(v[0])], person{int(v[1]), core.Rect(v[2]/2, v[3]/2, (v[2]+v[4])/2, (v[3]+v[5])/2)})
		}
	}
	c, p := cliptest.Open(t, cliptest.Data(t, "videos", "street", "MOT17-13_960x540_h264_from_h265.mp4")), openEncoder(t)
	var spent time.Duration
	for k := 1; k <= most && c.Next(); k++ {
		if k%step != 0 || len(boxes[k]) == 0 {
			continue
		}
		f := c.Frame(core.RGB, 0)
		for _, b := range boxes[k] {
			start := time.Now()
			v, err := encodeNode(t, p, f.Layout(), f.Memory(), b.box)
			spent += time.Since(start)
			if err != nil {
				continue // it has left the picture
			}
			all = append(all, sighting{k, b.id, v})
		}
	}
	return all, spent / time.Duration(max(len(all), 1))
}

func TestPersonsOfAStreetAreRecognised(t *testing.T) {
	if cliptest.Every > 1 {
		t.Skip("too slow under the race detector")
	}
	all, each := sightings(t, 15, 600)
	var same, other []float64
	right, asked := 0, 0
	for i, a := range all {
		best, bestID, known := math.Inf(1), 0, false
		for j, b := range all {
			gap := a.frame - b.frame
			if gap == 0 || gap > 60 || gap < -60 {
				continue
			}
			d := distance(a.encoding, b.encoding)
			if j > i {
				if a.id == b.id {
					same = append(same, d)
				} else {
					other = append(other, d)
				}
			}
			known = known || a.id == b.id
			if d < best {
				best, bestID = d, b.id
			}
		}
		if known {
			asked++
			if bestID == a.id {
				right++
			}
		}
	}
	slices.Sort(same)
	slices.Sort(other)
	at := func(v []float64, share float64) float64 { return v[int(share*float64(len(v)-1))] }
	t.Logf("%d sightings, nearest is the same person for %d of %d; %v each", len(all), right, asked, each)
	t.Logf("same person: median %.3f, 80 %% within %.3f; others: median %.3f, 5 %% within %.3f", at(same, 0.5), at(same, 0.8), at(other, 0.5), at(other, 0.05))
	for _, limit := range []float64{0.2, 0.25, 0.3, 0.35, 0.4, 0.5} {
		n, _ := slices.BinarySearch(same, limit)
		m, _ := slices.BinarySearch(other, limit)
		t.Logf("threshold %.2f: accepts %.0f %% of the same, %.1f %% of others", limit, 100*float64(n)/float64(len(same)), 100*float64(m)/float64(len(other)))
	}
	if asked < 100 || float64(right) < 0.7*float64(asked) {
		t.Errorf("the nearest sighting was the same person for %d of %d", right, asked)
	}
}
