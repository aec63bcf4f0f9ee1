package detect

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/sdk"
)

func TestYOLOXCells(t *testing.T) {
	t.Parallel()
	const w, h, classes = 64, 32, 3
	rows := 8*4 + 4*2 + 2*1
	out := make([]float32, rows*(5+classes))
	put := func(row int, v ...float32) { copy(out[row*(5+classes):], v) }
	put(8*1+3, 0.5, 0.25, float32(math.Log(2)), 0, 0.9, 0.1, 0.8, 0.2)     // stride 8, row 1, column 3
	put(32+8+1, 0, 0, 0, float32(math.Log(0.5)), 1, 0.95, 0, 0)            // stride 32, column 1
	put(32, 0.5, 0.5, 0, 0, 0.5, 0.5, 0, 0)                                // below the threshold
	put(33, float32(math.NaN()), 0, 0, 0, 1, 1, 0, 0)                      // no number
	put(34, 0, 0, float32(math.Inf(1)), 0, float32(math.NaN()), 1, 0.5, 1) // neither
	found, err := YOLOX(out, w, h, classes, 0.3)
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	if f := found[0]; f.Class != 1 || math.Abs(f.Score-0.72) > 1e-6 || math.Abs(f.Box.X1-(28-8)) > 1e-5 || math.Abs(f.Box.Y2-(10+4)) > 1e-5 {
		t.Errorf("stride 8: %+v", f)
	}
	if f := found[1]; f.Class != 0 || f.Box.Center() != (sdk.Point{X: 32, Y: 0}) || math.Abs(f.Box.Width()-32) > 1e-5 || math.Abs(f.Box.Height()-16) > 1e-5 {
		t.Errorf("stride 32: %+v", f)
	}
	for name, n := range map[string]int{"short": len(out) - 1, "none": 0, "other classes": rows * 7} {
		if _, err := YOLOX(make([]float32, n), w, h, classes, 0.3); err == nil || !strings.Contains(err.Error(), "64x32") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFastestDetCell(t *testing.T) {
	t.Parallel()
	const columns, rows, classes = 4, 2, 2
	out := make([]float32, (5+classes)*columns*rows)
	put := func(channel, cell int, v float32) { out[channel*columns*rows+cell] = v }
	put(0, 6, 0.8) // row 1, column 2
	put(6, 6, 0.9)
	found, err := FastestDet(out, columns, rows, classes, 0.6)
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	f := found[0]
	if want := math.Pow(0.8, 0.6) * math.Pow(0.9, 0.4); f.Class != 1 || math.Abs(f.Score-want) > 1e-6 || f.Box.Center() != (sdk.Point{X: 0.5, Y: 0.5}) || math.Abs(f.Box.Width()-0.5) > 1e-9 {
		t.Errorf("%+v", f)
	}
	if _, err := FastestDet(out[1:], columns, rows, classes, 0.6); err == nil {
		t.Error("a short output was taken")
	}
}

func TestYuNetCell(t *testing.T) {
	t.Parallel()
	head := FaceHead{Stride: 16, Class: make([]float32, 8), Object: make([]float32, 8), Box: make([]float32, 32), Marks: make([]float32, 80)}
	head.Class[5], head.Object[5] = 0.81, 1 // 64x32: row 1, column 1
	copy(head.Box[20:], []float32{0.5, 0.25, 0, float32(math.Log(2))})
	for k := range 5 {
		head.Marks[50+2*k], head.Marks[51+2*k] = float32(k), float32(-k)
	}
	found, err := YuNet([]FaceHead{head}, 64, 32, 0.7)
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	f := found[0]
	if math.Abs(f.Score-0.9) > 1e-6 || f.Box.Center() != (sdk.Point{X: 24, Y: 20}) || math.Abs(f.Box.Height()-32) > 1e-5 || f.Points[2] != (sdk.Point{X: 48, Y: -16}) {
		t.Errorf("%+v", f)
	}
	head.Marks = head.Marks[2:]
	if _, err := YuNet([]FaceHead{head}, 64, 32, 0.7); err == nil || !strings.Contains(err.Error(), "stride 16") {
		t.Errorf("short landmarks: %v", err)
	}
}

func TestRetinaAnchors(t *testing.T) {
	t.Parallel()
	anchors := Anchors(640, 640, []int{8, 16, 32}, [][]float64{{12, 24}, {48, 96}, {192, 384}})
	if len(anchors) != 16800 || anchors[0] != (Anchor{4, 4, 12}) || anchors[1] != (Anchor{4, 4, 24}) || anchors[2] != (Anchor{12, 4, 12}) || anchors[16799] != (Anchor{624, 624, 384}) {
		t.Fatalf("%d anchors, %v … %v", len(anchors), anchors[:3], anchors[16799])
	}
	two := anchors[:2]
	found, err := Retina(two, []float32{1, -1, 0, 0, 0, 0, 0, 0}, []float32{0.2, 0.8, 0.9, 0.1}, make([]float32, 16), 0.5)
	if err != nil || len(found) != 1 || len(found[0].Points) != 4 || math.Abs(found[0].Box.Center().X-5.2) > 1e-9 || math.Abs(found[0].Box.Center().Y-2.8) > 1e-9 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := Retina(two, make([]float32, 8), make([]float32, 4), make([]float32, 15), 0.5); err == nil {
		t.Error("15 numbers for the corners of two anchors were taken")
	}
}

func TestSuppress(t *testing.T) {
	t.Parallel()
	box := func(x float64) sdk.Box { return sdk.Box{X1: x, X2: x + 10, Y2: 10} }
	all := []Found{{Box: box(1), Score: 0.5}, {Box: box(0), Score: 0.9}, {Box: box(1), Score: 0.7, Class: 1}, {Box: box(50), Score: 0.6}}
	kept := Suppress(all, 0.5)
	if len(kept) != 3 || kept[0].Score != 0.9 || kept[1].Score != 0.7 || kept[2].Score != 0.6 {
		t.Errorf("%+v", kept)
	}
	many := make([]Found, 50_000)
	for i := range many {
		many[i] = Found{Box: box(float64(20 * i)), Score: float64(i) / 50_000}
	}
	if kept := Suppress(many, 0.5); len(kept) != mostCandidates || kept[0].Score != 49_999.0/50_000 {
		t.Errorf("%d of 50000 are kept", len(kept))
	}
	if kept := Suppress(nil, 0.5); len(kept) != 0 {
		t.Errorf("%+v of nothing", kept)
	}
}

func TestCTC(t *testing.T) {
	t.Parallel()
	alphabet := []rune("-AB京")
	steps := func(s string) []float32 {
		out := make([]float32, 0, 4*len(s))
		for _, r := range s {
			row := make([]float32, len(alphabet))
			for i, a := range alphabet {
				if a == r {
					row[i] = 20
				}
			}
			out = append(out, row...)
		}
		return out
	}
	for in, want := range map[string]string{"AAB": "AB", "A-A": "AA", "--": "", "A--AB京京B": "AAB京B", "-京-": "京"} {
		text, confidence, err := CTC(steps(in), alphabet, 0)
		if err != nil || text != want || (want != "" && confidence < 0.99) || (want == "" && confidence != 0) {
			t.Errorf("%s: %q, %v, %v; want %q", in, text, confidence, err, want)
		}
	}
	if _, confidence, _ := CTC([]float32{0, 1, 1, 1}, alphabet, 0); math.Abs(confidence-1/(3+math.Exp(-1))) > 1e-6 {
		t.Errorf("an even step has confidence %v", confidence)
	}
	for name, n := range map[string]int{"none": 0, "five numbers": 5} {
		if _, _, err := CTC(make([]float32, n), alphabet, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if n, err := Names(nil, 80); err != nil || n[0] != "person" || n[79] != "toothbrush" {
		t.Errorf("%v, %v", n, err)
	}
	if n, err := Names(nil, 1); err != nil || len(n) != 1 || n[0] != "person" {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := Names(nil, 5); err == nil || !strings.Contains(err.Error(), "option names") {
		t.Errorf("%v", err)
	}
	take, err := Wanted([]string{"cat", "lynx"}, []string{"lynx", "dog"})
	if err != nil || take[0] || !take[1] {
		t.Errorf("%v, %v", take, err)
	}
	for _, wanted := range [][]string{{"linx"}, {"dog"}, {}} {
		if _, err := Wanted([]string{"cat", "lynx"}, wanted); err == nil || !strings.Contains(err.Error(), "cat, lynx") {
			t.Errorf("%v: %v", wanted, err)
		}
	}
}

func TestUnit(t *testing.T) {
	t.Parallel()
	if e := Unit([]float32{3, 4}); math.Abs(float64(e[0])-0.6) > 1e-6 || math.Abs(float64(e[1])-0.8) > 1e-6 {
		t.Errorf("%v", e)
	}
	if e := Unit([]float32{0, 0}); e[0] != 0 || e[1] != 0 {
		t.Errorf("%v", e)
	}
}

// floats reads a fuzzer's bytes as numbers of any kind.
func floats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

// repeated gives n numbers, those of v over and over.
func repeated(v []float32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		if len(v) > 0 {
			out[i] = v[i%len(v)]
		}
	}
	return out
}

func FuzzHeads(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 192, 127, 0, 0, 128, 127, 0, 0, 128, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := floats(b)
		yolox, _ := YOLOX(repeated(v, 21*7), 32, 32, 2, 0.1)
		fast, _ := FastestDet(repeated(v, 4*7), 2, 2, 2, 0.1)
		head := FaceHead{Stride: 8, Class: repeated(v, 4), Object: repeated(v, 4), Box: repeated(v, 16), Marks: repeated(v, 40)}
		faces, _ := YuNet([]FaceHead{head}, 16, 16, 0.1)
		anchors := Anchors(16, 16, []int{8}, [][]float64{{12}})
		plates, _ := Retina(anchors, repeated(v, 16), repeated(v, 8), repeated(v, 32), 0.1)
		for _, list := range [][]Found{yolox, fast, faces, plates} {
			for _, o := range Suppress(list, 0.4) {
				if !finite(o.Box.X1+o.Box.Y1+o.Box.X2+o.Box.Y2) || !finite(o.Score) {
					t.Fatalf("%+v", o)
				}
				for _, p := range o.Points {
					if !finite(p.X + p.Y) {
						t.Fatalf("a landmark at %v", p)
					}
				}
			}
		}
		if _, c, err := CTC(repeated(v, 12), []rune("abcd"), 0); err == nil && !(c >= 0 && c <= 1+1e-9) {
			t.Fatalf("confidence %v", c)
		}
	})
}
