package tensor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

func box(x1, y1, x2, y2 float64) sdk.Box { return sdk.Box{X1: x1, Y1: y1, X2: x2, Y2: y2} }

func close(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

func TestIoU(t *testing.T) {
	xywh := func(x, y, w, h float64) sdk.Box { return box(x, y, x+w, y+h) }
	for _, c := range []struct {
		name string
		a, b sdk.Box
		want float64
	}{
		{"same", xywh(0, 0, 10, 10), xywh(0, 0, 10, 10), 1},
		{"half aside", xywh(0, 0, 10, 10), xywh(5, 0, 10, 10), 1.0 / 3},
		{"a quarter", xywh(0, 0, 10, 10), xywh(5, 5, 10, 10), 1.0 / 7},
		{"touching", xywh(0, 0, 10, 10), xywh(10, 0, 10, 10), 0},
		{"inside", xywh(0, 0, 10, 10), xywh(2, 2, 4, 4), 0.16},
		{"corner", xywh(0, 0, 4, 4), xywh(1, 1, 10, 10), 9.0 / 107},
		{"two points (Python: NaN)", xywh(3, 3, 0, 0), xywh(3, 3, 0, 0), 0},
		{"a line", xywh(0, 0, 10, 0), xywh(0, 0, 10, 10), 0},
	} {
		if got := IoU(c.a, c.b); !close(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestIoUCost(t *testing.T) {
	m := IoUCost([]sdk.Box{box(0, 0, 10, 10), box(20, 20, 30, 30)}, []sdk.Box{box(0, 0, 10, 10), box(5, 0, 15, 10), box(20, 20, 30, 25)})
	want := []float64{0, 2.0 / 3, 1, 1, 1, 0.5}
	if m.Rows != 2 || m.Cols != 3 || len(m.Data) != 6 {
		t.Fatalf("%+v", m)
	}
	for i, w := range want {
		if !close(m.Data[i], w) || !close(m.At(i/3, i%3), w) {
			t.Errorf("entry %d is %v, want %v", i, m.Data[i], w)
		}
	}
	for _, m := range []Matrix{IoUCost(nil, []sdk.Box{{}}), IoUCost([]sdk.Box{{}, {}}, nil), IoUCost(nil, nil)} {
		if len(m.Data) != 0 || len(Assign(m)) != 0 {
			t.Errorf("%+v", m)
		}
	}
}

func matrix(rows ...[]float64) Matrix {
	m := Matrix{Rows: len(rows)}
	for _, r := range rows {
		m.Cols = len(r)
		m.Data = append(m.Data, r...)
	}
	return m
}

// pairs makes pairs of row, column, row, column…
func pairs(numbers ...int) (p []Pair) {
	for i := 0; i < len(numbers); i += 2 {
		p = append(p, Pair{Row: numbers[i], Col: numbers[i+1]})
	}
	return p
}

func TestAssign(t *testing.T) {
	for _, c := range []struct {
		name string
		cost Matrix
		want []Pair
	}{
		{"3x3", matrix([]float64{4, 1, 3}, []float64{2, 0, 5}, []float64{3, 2, 2}), pairs(0, 1, 1, 0, 2, 2)},
		{"more rows", matrix([]float64{1, 2}, []float64{3, 4}, []float64{0, 9}), pairs(0, 1, 2, 0)},
		{"more columns", matrix([]float64{1, 2, 3}, []float64{2, 4, 6}), pairs(0, 1, 1, 0)},
		{"overlaps", matrix([]float64{1, 1, .3}, []float64{1, .4, .2}), pairs(0, 2, 1, 1)},
		{"4x4, total 49", matrix([]float64{10, 19, 8, 15}, []float64{10, 18, 7, 17}, []float64{13, 16, 9, 14}, []float64{12, 19, 8, 18}), pairs(0, 3, 1, 0, 2, 1, 3, 2)},
		{"4x3, total 9", matrix([]float64{7, 5, 9}, []float64{8, 2, 6}, []float64{4, 3, 1}, []float64{6, 9, 7}), pairs(1, 1, 2, 2, 3, 0)},
		{"no rows", Matrix{Cols: 3}, nil},
		{"no columns", Matrix{Rows: 3}, nil},
		{"all alike", matrix([]float64{1, 1}, []float64{1, 1}), pairs(0, 0, 1, 1)},
		{"all alike, more columns", matrix([]float64{1, 1, 1}, []float64{1, 1, 1}), pairs(0, 0, 1, 1)},
		{"forbidden", matrix([]float64{math.Inf(1), 5}, []float64{math.NaN(), 1}), pairs(0, 0, 1, 1)},
	} {
		got := Assign(c.cost)
		if c.name == "forbidden" { // either way one pair is forbidden; the other one is the cheaper
			if len(got) != 2 || got[1].Col != 1 {
				t.Errorf("%s: %v", c.name, got)
			}
			continue
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	got := AssignWithin(matrix([]float64{0.1, 0.2}, []float64{0.15, 0.9}), 0.5)
	if !slices.Equal(got, pairs(0, 1, 1, 0)) {
		t.Errorf("within 0.5: %v", got)
	}
	if got := AssignWithin(matrix([]float64{0.6, 0.5}), 0.5); len(got) != 0 {
		t.Errorf("a cost at the limit was taken: %v", got)
	}
}

// cheapest tries every assignment.
func cheapest(m Matrix, row int, used []bool) float64 {
	if row == m.Rows {
		return 0
	}
	best := math.Inf(1)
	for c := range m.Cols {
		if !used[c] {
			used[c] = true
			best = min(best, m.At(row, c)+cheapest(m, row+1, used))
			used[c] = false
		}
	}
	return best
}

func TestAssignIsCheapest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		m := Matrix{Rows: 1 + r.IntN(6), Cols: 6}
		for range m.Rows * m.Cols {
			m.Data = append(m.Data, math.Round(r.Float64()*20)/2-3)
		}
		total := 0.0
		pairs := Assign(m)
		for i, p := range pairs {
			total += m.At(p.Row, p.Col)
			if p.Row != i {
				t.Fatalf("pairs are not sorted: %v", pairs)
			}
		}
		if want := cheapest(m, 0, make([]bool, m.Cols)); !close(total, want) || len(pairs) != m.Rows {
			t.Fatalf("%v: total %v, want %v", m, total, want)
		}
	}
}

func TestDistances(t *testing.T) {
	cos, err := CosineDistances(sdk.Encoding{1, 0}, []sdk.Encoding{{1, 0}, {0, 1}, {-1, 0}, {2, 2}, {0, 0}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0, 1, 2, 0.292893, 1} {
		if !close(cos[i], want) {
			t.Errorf("cosine %d: %v, want %v", i, cos[i], want)
		}
	}
	euclid, err := EuclideanDistances(sdk.Encoding{0, 0}, []sdk.Encoding{{3, 4}, {0, 0}, {1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{5, 0, math.Sqrt2} {
		if !close(euclid[i], want) {
			t.Errorf("euclid %d: %v, want %v", i, euclid[i], want)
		}
	}
	if d, err := CosineDistances(sdk.Encoding{1}, nil); err != nil || len(d) != 0 {
		t.Errorf("none: %v, %v", d, err)
	}
	if _, err := EuclideanDistances(sdk.Encoding{1}, []sdk.Encoding{{1}, {1, 2}}); core.KindOf(err) != core.Invalid {
		t.Errorf("other lengths: %v", err)
	}
}

func TestOverlapNMS(t *testing.T) {
	a, b, c := box(0, 0, 10, 10), box(1, 1, 11, 11), box(50, 50, 60, 60)
	three, scores := []sdk.Box{b, c, a}, []float64{.8, .3, .9} // a is number 2, b 0, c 1
	for _, k := range []struct {
		name   string
		boxes  []sdk.Box
		scores []float64
		limit  float64
		want   []int
	}{
		{"half", three, scores, 0.5, []int{2, 1}},
		{"all stay", three, scores, 1, []int{2, 0, 1}},
		{"none", three, scores, 0, []int{2, 1}},
		{"small in big", []sdk.Box{box(0, 0, 100, 100), box(40, 40, 50, 50)}, []float64{.9, .8}, 0.5, []int{0}},
		{"big around small", []sdk.Box{box(0, 0, 100, 100), box(40, 40, 50, 50)}, []float64{.8, .9}, 0.5, []int{1, 0}},
		{"touching", []sdk.Box{box(0, 0, 10, 10), box(10, 0, 20, 10)}, []float64{.9, .8}, 0, []int{0}},
		{"a pixel apart", []sdk.Box{box(0, 0, 10, 10), box(11, 0, 20, 10)}, []float64{.9, .8}, 0, []int{0, 1}},
		{"no scores: the lowest edge first", []sdk.Box{a, b}, nil, 0.5, []int{1}},
		{"empty", nil, nil, 0.5, []int{}},
	} {
		if got := OverlapNMS(k.boxes, k.scores, k.limit); !slices.Equal(got, k.want) {
			t.Errorf("%s: %v, want %v", k.name, got, k.want)
		}
	}
}

func TestNMS(t *testing.T) {
	boxes := []sdk.Box{box(0, 0, 10, 10), box(1, 0, 11, 10), box(0, 0, 10, 10), box(50, 50, 60, 60), box(0, 0, 100, 100)}
	scores := []float64{0.6, 0.9, 0.7, math.NaN(), 0.8}
	if got := NMS(boxes, scores, nil, 0.5); !slices.Equal(got, []int{1, 4, 3}) {
		t.Errorf("all alike: %v", got)
	}
	if got := NMS(boxes, scores, []int{0, 0, 1, 0, 0}, 0.5); !slices.Equal(got, []int{1, 4, 2, 3}) {
		t.Errorf("two classes: %v", got)
	}
	if got := NMS([]sdk.Box{box(3, 3, 3, 3), box(3, 3, 3, 3)}, []float64{1, 1}, nil, 0.5); len(got) != 2 {
		t.Errorf("points: %v", got)
	}
	if got := NMS(nil, nil, nil, 0.5); len(got) != 0 {
		t.Errorf("none: %v", got)
	}
}

func BenchmarkAssign500(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	m := Matrix{Rows: 500, Cols: 500}
	for range 500 * 500 {
		m.Data = append(m.Data, r.Float64())
	}
	for b.Loop() {
		Assign(m)
	}
}
