package match

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// naive is the plain search that an index has to agree with.
type naive struct {
	metric  core.Metric
	vectors map[ID][]float32
}

func (n naive) distance(a, b []float32) float64 {
	var dot, aa, bb, diff float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb, diff = dot+x*y, aa+x*x, bb+y*y, diff+(x-y)*(x-y)
	}
	if n.metric == core.Cosine {
		return min(max(1-dot/math.Sqrt(aa)/math.Sqrt(bb), 0), 2)
	}
	return math.Sqrt(diff)
}

func (n naive) nearest(query []float32, threshold float64) []Match {
	var all []Match
	for id, v := range n.vectors {
		if d := n.distance(query, v); d <= threshold {
			all = append(all, Match{id, d})
		}
	}
	slices.SortFunc(all, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// tolerance is how far a distance may be from the naive one: for cosine vectors are kept with
// the length 1 in float32.
func (n naive) tolerance(d float64) float64 {
	if n.metric == core.Cosine {
		return 2e-7
	}
	return 1e-12 * (1 + d)
}

// compare holds the answers of an index against the naive ones: the same distances at the same
// ranks, and every answer at its own distance.
func (n naive) compare(t *testing.T, query []float32, k int, threshold float64, got []Match) {
	t.Helper()
	want := n.nearest(query, threshold)
	if len(want) > k {
		want = want[:k]
	}
	if len(got) < len(want) && n.tolerance(threshold) > 0 && want[len(got)].Distance > threshold-n.tolerance(threshold) {
		want = want[:len(got)]
	}
	if len(got) != len(want) {
		t.Fatalf("%d answers, want %d (k %d, threshold %v)", len(got), len(want), k, threshold)
	}
	seen := map[ID]bool{}
	for i, m := range got {
		own := n.distance(query, n.vectors[m.ID])
		tol := n.tolerance(own)
		switch {
		case seen[m.ID]:
			t.Fatalf("rank %d: %d is given twice", i, m.ID)
		case math.Abs(m.Distance-own) > tol:
			t.Fatalf("rank %d: %d is said to be %v away, and is %v", i, m.ID, m.Distance, own)
		case math.Abs(m.Distance-want[i].Distance) > tol:
			t.Fatalf("rank %d: %v is %v away, want %v", i, m.ID, m.Distance, want[i])
		case i > 0 && !worse(m, got[i-1]):
			t.Fatalf("rank %d: %v stands after %v", i, m, got[i-1])
		}
		seen[m.ID] = true
	}
}

func random(r *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func add(t *testing.T, x *Index, id ID, v []float32) {
	t.Helper()
	if err := x.Add(id, v); err != nil {
		t.Fatal(err)
	}
}

// eachKernel runs a test for every kernel of this machine and both metrics.
func eachKernel(t *testing.T, test func(t *testing.T, k kernel, m core.Metric)) {
	for _, k := range kernels() {
		for _, m := range []core.Metric{core.Cosine, core.Euclidean} {
			t.Run(k.name+"/"+string(m), func(t *testing.T) {
				t.Parallel()
				test(t, k, m)
			})
		}
	}
}

func TestAgreesWithANaiveSearch(t *testing.T) {
	t.Parallel()
	sizes := []struct{ dim, count int }{
		{1, 5}, {2, 33}, {3, 100}, {4, 31}, {5, 32}, {7, 64}, {31, 65}, {64, 200}, {128, 300}, {129, 95}, {512, 70},
	}
	eachKernel(t, func(t *testing.T, kernel kernel, metric core.Metric) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, size := range sizes {
			x, err := newIndex(size.dim, metric, kernel)
			if err != nil {
				t.Fatal(err)
			}
			n := naive{metric, map[ID][]float32{}}
			for range size.count {
				id, v := ID(r.Uint64N(1<<20)), random(r, size.dim)
				n.vectors[id] = v
				add(t, x, id, v)
			}
			queries := make([][]float32, 67)
			for i := range queries {
				queries[i] = random(r, size.dim)
			}
			for _, k := range []int{1, 3, 40, size.count + 5} {
				for _, threshold := range []float64{math.Inf(1), 0.9, 0.2} {
					batch, err := x.NearestBatch(queries, k, threshold)
					if err != nil {
						t.Fatal(err)
					}
					for i, q := range queries {
						if i%8 != 0 && size.count > 150 {
							continue // the naive search is slow
						}
						n.compare(t, q, k, threshold, batch[i])
						single, err := x.Nearest(q, k, threshold)
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(single, batch[i]) {
							t.Fatalf("dim %d, k %d: alone %v, in a batch %v", size.dim, k, single, batch[i])
						}
					}
				}
			}
		}
	})
}

// TestKernelsGiveTheSame holds the answers of every kernel against those of the portable one:
// they are equal to the last bit, also where many vectors are almost equally near.
func TestKernelsGiveTheSame(t *testing.T) {
	t.Parallel()
	for _, metric := range []core.Metric{core.Cosine, core.Euclidean} {
		r := rand.New(rand.NewPCG(3, 4))
		const dim, count = 96, 1500
		centre := random(r, dim)
		vectors := make([][]float32, count)
		for i := range vectors {
			vectors[i] = slices.Clone(centre)
			vectors[i][r.IntN(dim)] += float32(r.NormFloat64() * 1e-6)
		}
		queries := [][]float32{centre, random(r, dim), vectors[7], vectors[8]}
		var want [][]Match
		for _, k := range slices.Backward(kernels()) {
			x, err := newIndex(dim, metric, k)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range vectors {
				add(t, x, ID(i), v)
			}
			got, err := x.NearestBatch(queries, 100, math.Inf(1))
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
				continue
			}
			for q := range queries {
				if !slices.Equal(got[q], want[q]) {
					t.Errorf("%s, %s, query %d: the answers differ from those of %s", k.name, metric, q, portable.name)
				}
			}
		}
	}
}

// TestRawKernels compares scores and hits of the kernels themselves.
func TestRawKernels(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for _, rows := range []int{4, 8, 12, 128, 516} {
		values := aligned(rows * columns)
		for i := range values {
			values[i] = float32(r.NormFloat64())
		}
		var bias [columns]float32
		for i := range bias {
			bias[i] = float32(r.NormFloat64())
		}
		bias[3], bias[columns-1] = float32(math.Inf(-1)), float32(math.Inf(-1))
		queries := make([]float32, rows*lanes)
		for i := range queries {
			queries[i] = float32(r.NormFloat64())
		}
		limits := [lanes]float32{0, 1, -1, float32(math.Inf(1)), float32(math.Inf(-1)), 5, -5, 20}
		for _, k := range kernels() {
			var s, wantS scores
			var h, wantH hits
			all := k.eight(values, &bias, queries, &limits, &s, &h)
			wantAll := eightPortable(values, &bias, queries, &limits, &wantS, &wantH)
			sameScores(t, fmt.Sprintf("%s, %d rows", k.name, rows), s[:], wantS[:])
			if h != wantH || all != wantAll {
				t.Errorf("%s, %d rows: hits %x of %x, want %x of %x", k.name, rows, h, all, wantH, wantAll)
			}
			for lane := range lanes {
				query := make([]float32, rows)
				for d := range query {
					query[d] = queries[d*lanes+lane]
				}
				var one scores
				var oneHits hits
				bits := k.one(values, &bias, query, limits[lane], &one, &oneHits)
				sameScores(t, fmt.Sprintf("%s alone, %d rows, lane %d", k.name, rows, lane), one[:1], wantS[lane:lane+1])
				if bits != wantH[lane] || oneHits[0] != bits {
					t.Errorf("%s alone, %d rows, lane %d: hits %x and %x, want %x", k.name, rows, lane, bits, oneHits[0], wantH[lane])
				}
			}
		}
	}
}

func sameScores(t *testing.T, what string, got, want [][columns]float32) {
	t.Helper()
	for q := range got {
		for c, v := range got[q] {
			w := want[q][c]
			if v != w && !(math.Abs(float64(v-w)) <= 1e-4) {
				t.Fatalf("%s: query %d, column %d: score %v, want %v", what, q, c, v, w)
			}
		}
	}
}

// TestChanges plays a long random story of additions, replacements and removals.
func TestChanges(t *testing.T) {
	t.Parallel()
	eachKernel(t, func(t *testing.T, kernel kernel, metric core.Metric) {
		const dim = 10
		r := rand.New(rand.NewPCG(7, 8))
		x, err := newIndex(dim, metric, kernel)
		if err != nil {
			t.Fatal(err)
		}
		n := naive{metric, map[ID][]float32{}}
		for step := range 4000 {
			id := ID(r.IntN(150))
			if r.IntN(3) == 0 || step > 3700 {
				_, had := n.vectors[id]
				if x.Remove(id) != had {
					t.Fatalf("step %d: Remove(%d) does not say %v", step, id, had)
				}
				delete(n.vectors, id)
			} else {
				v := random(r, dim)
				n.vectors[id] = v
				add(t, x, id, v)
			}
			if x.Len() != len(n.vectors) {
				t.Fatalf("step %d: %d vectors, want %d", step, x.Len(), len(n.vectors))
			}
			if step%20 != 0 {
				continue
			}
			q := random(r, dim)
			got, err := x.Nearest(q, 7, math.Inf(1))
			if err != nil {
				t.Fatal(err)
			}
			n.compare(t, q, 7, math.Inf(1), got)
		}
		for id, v := range n.vectors {
			got, ok := x.Vector(id)
			if !ok || !nearly(got, v) {
				t.Fatalf("vector %d is %v (%v), want %v", id, got, ok, v)
			}
		}
		if _, ok := x.Vector(9999); ok {
			t.Error("there is a vector 9999")
		}
	})
}

func nearly(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) <= 1e-6*math.Abs(float64(y)) })
}

// TestMemoryIsGivenBack removes most of a large index.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	const dim, count = 512, 5000
	r := rand.New(rand.NewPCG(9, 9))
	x, _ := New(dim, core.Euclidean)
	last := random(r, dim)
	for id := range ID(count) {
		add(t, x, id, last)
		last[r.IntN(dim)] = float32(r.NormFloat64())
	}
	before := len(x.blocks)
	for id := range ID(count - 60) {
		x.Remove(id)
	}
	if len(x.blocks) >= before/2 {
		t.Errorf("%d blocks of %d are kept for %d vectors", len(x.blocks), before, x.Len())
	}
	v, ok := x.Vector(count - 1)
	if !ok {
		t.Fatal("the last vector is gone")
	}
	if got, err := x.Nearest(v, 1, 0); err != nil || len(got) != 1 || got[0].Distance != 0 {
		t.Errorf("nearest of a vector of the index: %v, %v", got, err)
	}
}

func TestDistances(t *testing.T) {
	t.Parallel()
	tests := []struct {
		metric core.Metric
		a, b   []float32
		want   float64
	}{
		{core.Cosine, []float32{1, 0}, []float32{1, 0}, 0},
		{core.Cosine, []float32{1, 0}, []float32{0, 1}, 1},
		{core.Cosine, []float32{1, 0}, []float32{-1, 0}, 2},
		{core.Cosine, []float32{1, 0}, []float32{2, 2}, .292893218},
		{core.Cosine, []float32{1e-40, 0}, []float32{3e38, 3e38}, .292893218},
		{core.Euclidean, []float32{0, 0}, []float32{3, 4}, 5},
		{core.Euclidean, []float32{0, 0}, []float32{0, 0}, 0},
		{core.Euclidean, []float32{0, 0}, []float32{1, 1}, 1.414213562},
		{core.Euclidean, []float32{1e17, 0}, []float32{-1e17, 0}, 2e17},
	}
	for _, test := range tests {
		got, err := Distance(test.metric, test.a, test.b)
		if err != nil || math.Abs(got-test.want) > 1e-7*(1+test.want) {
			t.Errorf("%s %v %v: %v, %v; want %v", test.metric, test.a, test.b, got, err, test.want)
		}
		for _, k := range kernels() {
			x, _ := newIndex(2, test.metric, k)
			add(t, x, 1, test.b)
			m, err := x.Nearest(test.a, 1, math.Inf(1))
			if err != nil || len(m) != 1 || math.Abs(m[0].Distance-test.want) > 1e-7*(1+test.want) {
				t.Errorf("%s: %s %v %v: %v, %v; want %v", k.name, test.metric, test.a, test.b, m, err, test.want)
			}
		}
	}
}

// TestThresholdIsInclusive asks at the very distance and right below it.
func TestThresholdIsInclusive(t *testing.T) {
	t.Parallel()
	x, _ := New(2, core.Euclidean)
	add(t, x, 4, []float32{3, 4})
	for threshold, want := range map[float64]int{5: 1, math.Nextafter(5, 0): 0, 5.1: 1, 0: 0} {
		got, err := x.Nearest([]float32{0, 0}, 3, threshold)
		if err != nil || len(got) != want {
			t.Errorf("threshold %v: %v, %v; want %d answers", threshold, got, err, want)
		}
	}
}

// TestTiesGoToTheLowerID puts the same vector in many times, in falling order of IDs.
func TestTiesGoToTheLowerID(t *testing.T) {
	t.Parallel()
	eachKernel(t, func(t *testing.T, kernel kernel, metric core.Metric) {
		x, _ := newIndex(3, metric, kernel)
		for id := ID(500); id > 0; id-- {
			add(t, x, id, []float32{1, 2, 3})
		}
		got, err := x.Nearest([]float32{1, 2, 2.5}, 4, math.Inf(1))
		if err != nil || len(got) != 4 {
			t.Fatal(got, err)
		}
		for i, m := range got {
			if m.ID != ID(i+1) {
				t.Errorf("rank %d is %d", i, m.ID)
			}
		}
	})
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x, _ := New(3, core.Cosine)
	y, _ := New(3, core.Euclidean)
	add(t, x, 1, []float32{1, 0, 0})
	inf64 := math.Inf(1)
	tests := map[string]struct {
		do   func() error
		want string
	}{
		"no dimension":      {func() error { _, err := New(0, core.Cosine); return err }, "0 dimensions are not within 1..16384"},
		"too many":          {func() error { _, err := New(MaxDim+1, core.Cosine); return err }, "16385 dimensions"},
		"metric":            {func() error { _, err := New(3, "manhattan"); return err }, `metric "manhattan" is not one of cosine, euclidean`},
		"short vector":      {func() error { return x.Add(2, []float32{1, 2}) }, "the vector has 2 dimensions, those of the index have 3"},
		"long query":        {func() error { _, err := x.Nearest(make([]float32, 4), 1, 1); return err }, "has 4 dimensions"},
		"nil":               {func() error { return x.Add(2, nil) }, "has 0 dimensions"},
		"NaN":               {func() error { return x.Add(2, []float32{0, nan, 1}) }, "dimension 1 of the vector is NaN"},
		"infinite":          {func() error { return y.Add(2, []float32{0, 1, inf}) }, "dimension 2 of the vector is +Inf"},
		"zero":              {func() error { return x.Add(1, make([]float32, 3)) }, "every dimension of the vector is 0"},
		"zero query":        {func() error { _, err := x.Nearest(make([]float32, 3), 1, 1); return err }, "every dimension of the vector is 0"},
		"huge":              {func() error { return y.Add(2, []float32{3e38, 0, 0}) }, "above 1e+18"},
		"k":                 {func() error { _, err := x.Nearest([]float32{1, 0, 0}, 0, 1); return err }, "0 answers are asked for"},
		"threshold":         {func() error { _, err := x.Nearest([]float32{1, 0, 0}, 1, -1); return err }, "the threshold -1 is not 0 or above"},
		"NaN threshold":     {func() error { _, err := x.NearestBatch(nil, 1, math.NaN()); return err }, "the threshold NaN"},
		"batch with a zero": {func() error { _, err := x.NearestBatch([][]float32{{1, 0, 0}, {0, 0, 0}}, 1, inf64); return err }, "query 1: nearest: every dimension"},
		"distance":          {func() error { _, err := Distance(core.Cosine, []float32{1}, []float32{1, 2}); return err }, "has 2 dimensions"},
	}
	for name, test := range tests {
		err := test.do()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
		if core.KindOf(err) != core.Invalid {
			t.Errorf("%s: kind %v", name, core.KindOf(err))
		}
	}
	if x.Len() != 1 || y.Len() != 0 {
		t.Errorf("refused vectors are in the index: %d, %d", x.Len(), y.Len())
	}
	if v, ok := x.Vector(1); !ok || v[0] != 1 {
		t.Errorf("a refused replacement changed the vector: %v", v)
	}
	if got, err := y.Nearest([]float32{1, 2, 3}, 5, inf64); err != nil || len(got) != 0 {
		t.Errorf("an empty index: %v, %v", got, err)
	}
	if got, err := y.NearestBatch(nil, 5, inf64); err != nil || len(got) != 0 {
		t.Errorf("no queries: %v, %v", got, err)
	}
}

// TestMixedLengths has vectors of very different lengths, where float32 alone would be wrong.
func TestMixedLengths(t *testing.T) {
	t.Parallel()
	eachKernel(t, func(t *testing.T, kernel kernel, metric core.Metric) {
		const dim = 12
		r := rand.New(rand.NewPCG(11, 12))
		x, _ := newIndex(dim, metric, kernel)
		n := naive{metric, map[ID][]float32{}}
		scales := []float32{1e-30, 1e-18, 1e-3, 1, 1e4, 1e15}
		for id := range ID(600) {
			v := random(r, dim)
			for d := range v {
				v[d] *= scales[int(id)%len(scales)]
			}
			n.vectors[id] = v
			add(t, x, id, v)
		}
		for i := range 60 {
			q := random(r, dim)
			for d := range q {
				q[d] *= scales[i%len(scales)]
			}
			got, err := x.Nearest(q, 250, math.Inf(1))
			if err != nil {
				t.Fatal(err)
			}
			n.compare(t, q, 250, math.Inf(1), got)
		}
	})
}

// TestSearchWhileChanging is for the race detector, and checks that every answer is one that
// was in the index at some time.
func TestSearchWhileChanging(t *testing.T) {
	t.Parallel()
	const dim, fixed = 128, 3000 // above the size at which searches are split
	r := rand.New(rand.NewPCG(13, 14))
	x, _ := New(dim, core.Cosine)
	vectors := make([][]float32, fixed)
	for id := range vectors {
		vectors[id] = random(r, dim)
		add(t, x, ID(id), vectors[id])
	}
	done := make(chan struct{})
	var searchers sync.WaitGroup
	for s := range 3 {
		searchers.Go(func() {
			for i := s; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				id := i % fixed
				got, err := x.NearestBatch([][]float32{vectors[id], vectors[(id+1)%fixed]}, 1, 0.01)
				if err != nil || len(got[0]) != 1 || got[0][0].ID != ID(id) {
					t.Errorf("vector %d: %v, %v", id, got, err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	for i := range 200 {
		id := ID(fixed + i%100)
		if i%3 == 2 {
			x.Remove(id)
			continue
		}
		add(t, x, id, random(r, dim))
	}
	close(done)
	searchers.Wait()
}

// FuzzIndex plays additions, removals and searches from bytes on all kernels at once.
func FuzzIndex(f *testing.F) {
	f.Add(uint8(3), false, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 201, 255})
	f.Add(uint8(1), true, []byte("the quick brown fox jumps over the lazy dog"))
	f.Fuzz(func(t *testing.T, dim uint8, cosine bool, story []byte) {
		metric := core.Euclidean
		if cosine {
			metric = core.Cosine
		}
		d := int(dim%9) + 1
		var list []*Index
		for _, k := range kernels() {
			x, err := newIndex(d, metric, k)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, x)
		}
		n := naive{metric, map[ID][]float32{}}
		for len(story) > d+1 && len(n.vectors) < 200 {
			id, v := ID(story[0]%64), make([]float32, d)
			for i := range v {
				v[i] = float32(int8(story[i+1])) * float32(math.Pow(2, float64(story[0]%32)-16))
			}
			remove := story[0] >= 192
			story = story[d+1:]
			var added int
			for _, x := range list {
				if remove {
					x.Remove(id)
				} else if x.Add(id, v) == nil {
					added++
				}
			}
			switch {
			case remove:
				delete(n.vectors, id)
			case added == len(list):
				n.vectors[id] = v
			case added != 0:
				t.Fatalf("%v is a vector for %d kernels of %d", v, added, len(list))
			}
			var want []Match
			for i, x := range list {
				got, err := x.Nearest(v, 5, math.Inf(1))
				if err != nil {
					continue
				}
				if i > 0 && !slices.Equal(got, want) {
					t.Fatalf("%s: %v, %s: %v", kernels()[i].name, got, kernels()[0].name, want)
				}
				want = got
				n.compare(t, v, 5, math.Inf(1), got)
			}
		}
	})
}

func BenchmarkNearest(b *testing.B) {
	const dim, count = 128, 20_000
	r := rand.New(rand.NewPCG(15, 16))
	queries := make([][]float32, 64)
	for i := range queries {
		queries[i] = random(r, dim)
	}
	for _, k := range kernels() {
		x, _ := newIndex(dim, core.Cosine, k)
		for id := range ID(count) {
			_ = x.Add(id, random(r, dim))
		}
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				b.SetBytes(count * dim * 4)
				for b.Loop() {
					if got, err := x.NearestBatch(queries[:n], 1, 2); err != nil || len(got[0]) != 1 {
						b.Fatal(got, err)
					}
				}
			})
		}
	}
}
