// Command bench measures core/match against a flat index of faiss, in one run, in turns, on
// the same vectors and queries, and fails where the answers differ or there are none. Times
// never make it fail.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
)

const (
	dim     = 128
	answers = 10  // for each query
	photos  = 10  // of a person
	pool    = 512 // queries that there are
)

func main() {
	counts := flag.String("counts", "100000,1000000", "sizes of the index")
	rounds := flag.Int("rounds", 7, "rounds of each row")
	budget := flag.Duration("budget", 400*time.Millisecond, "what a side should take in a round")
	flag.Parse()
	if err := bench(*counts, *rounds, *budget); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func bench(counts string, rounds int, budget time.Duration) error {
	dir, err := os.MkdirTemp("", "capstan-match-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, err := compileFlat(dir)
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%d dimensions, %d answers, %d CPUs, load before %.4s; times are medians of %d rounds, a query\n",
		dim, answers, runtime.NumCPU(), load, rounds)
	fmt.Printf(line, "vectors", "metric", "queries", "threads", "faiss", "capstan", "ratio", "lowest", "highest")
	for _, text := range strings.Split(counts, ",") {
		count, err := strconv.Atoi(text)
		if err != nil || count < answers || count%photos != 0 {
			return fmt.Errorf("-counts: %q is not a multiple of %d", text, photos)
		}
		s, err := makeSet(dir, count)
		if err != nil {
			return err
		}
		for _, metric := range []core.Metric{core.Cosine, core.Euclidean} {
			if err := s.compare(program, metric, rounds, budget); err != nil {
				return err
			}
		}
	}
	return nil
}

// set is vectors and queries, on disk for the other side.
type set struct {
	count                    int
	vectors, queries         [][]float32
	vectorsFile, queriesFile string
}

// makeSet makes persons with some photos each, of length 1; the queries are further photos of
// persons who are there, and strangers.
func makeSet(dir string, count int) (set, error) {
	r := rand.New(rand.NewPCG(1, uint64(count))) // #nosec G404 -- test data
	s := set{count: count, vectorsFile: filepath.Join(dir, "vectors"), queriesFile: filepath.Join(dir, "queries")}
	var centre []float32
	for i := range count {
		if i%photos == 0 {
			centre = near(r, make([]float32, dim), 1)
		}
		s.vectors = append(s.vectors, near(r, centre, 0.06))
	}
	for i := range pool {
		q := near(r, make([]float32, dim), 1)
		if i%4 != 0 {
			q = near(r, s.vectors[r.IntN(count)], 0.06)
		}
		s.queries = append(s.queries, q)
	}
	return s, errors.Join(write(s.vectorsFile, s.vectors), write(s.queriesFile, s.queries))
}

func near(r *rand.Rand, centre []float32, spread float64) []float32 {
	v := make([]float32, dim)
	var sum float64
	for i := range v {
		v[i] = centre[i] + float32(r.NormFloat64()*spread)
		sum += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

func write(path string, vectors [][]float32) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for _, v := range vectors {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			return err
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// compare measures one metric on one set.
func (s set) compare(program string, metric core.Metric, rounds int, budget time.Duration) error {
	index, err := match.New(dim, metric)
	if err != nil {
		return err
	}
	for i, v := range s.vectors {
		if err := index.Add(match.ID(i), v); err != nil {
			return err
		}
	}
	other, err := startFlat(program, s, metric)
	if err != nil {
		return err
	}
	runtime.GC()
	for _, threads := range slices.Compact([]int{runtime.NumCPU(), 1}) {
		for _, n := range []int{1, 64} {
			row, err := s.row(index, other, n, threads, rounds, budget)
			if err != nil {
				return fmt.Errorf("%d vectors, %s, %d queries: %w", s.count, metric, n, err)
			}
			fmt.Printf(line, append([]any{s.count, metric, n, threads}, row...)...)
		}
	}
	return other.close()
}

// line is a row of the table.
const line = "%8v  %-9v  %7v  %7v  %10v  %10v  %5v  %6v  %7v\n"

// row measures both sides in turns.
func (s set) row(index *match.Index, other *flat, n, threads, rounds int, budget time.Duration) ([]any, error) {
	before := runtime.GOMAXPROCS(threads)
	defer runtime.GOMAXPROCS(before)
	first, _, err := other.search(n, threads, 0, 1, index.Metric())
	if err != nil {
		return nil, err
	}
	repeat := int(max(1, min(budget/max(first, 1), pool)))
	var ours, theirs, ratios []float64
	for round := range rounds {
		at := round * n % pool
		t, want, err := other.search(n, threads, at, repeat, index.Metric())
		if err != nil {
			return nil, err
		}
		o, got, err := s.search(index, n, at, repeat)
		if err != nil {
			return nil, err
		}
		if err := same(got, want); err != nil {
			return nil, err
		}
		per := float64(n * repeat)
		ours, theirs = append(ours, o.Seconds()*1e3/per), append(theirs, t.Seconds()*1e3/per)
		ratios = append(ratios, o.Seconds()/t.Seconds())
	}
	for _, list := range [][]float64{ours, theirs, ratios} {
		slices.Sort(list)
	}
	row := []any{fmt.Sprintf("%.3f ms", theirs[rounds/2]), fmt.Sprintf("%.3f ms", ours[rounds/2])}
	for _, r := range []float64{ratios[rounds/2], ratios[0], ratios[rounds-1]} {
		row = append(row, fmt.Sprintf("%.2f", r))
	}
	return row, nil
}

// search does on our side what flat.search does on the other.
func (s set) search(index *match.Index, n, first, repeat int) (time.Duration, [][]match.Match, error) {
	var got [][]match.Match
	began := time.Now()
	for i := range repeat {
		at := (first + i*n) % pool
		var err error
		if n == 1 {
			got = make([][]match.Match, 1)
			got[0], err = index.Nearest(s.queries[at], answers, math.Inf(1))
		} else {
			got, err = index.NearestBatch(s.queries[at:at+n], answers, math.Inf(1))
		}
		if err != nil {
			return 0, nil, err
		}
	}
	return time.Since(began), got, nil
}

// fromFlat gives the distance that an index of faiss means: it gives the cosine itself and the
// square of the euclidean distance.
func fromFlat(d float64, metric core.Metric) float64 {
	if metric == core.Cosine {
		return 1 - d
	}
	return math.Sqrt(max(d, 0))
}

// same refuses answers that differ by more than float32 explains: at a rank where the IDs
// differ, the distances have to be as good as equal.
func same(got, want [][]match.Match) error {
	const ofFloat32 = 2e-4 // a difference of 1e-7 in a square near 0 is 3e-4 in its root
	for q := range want {
		if len(got[q]) != answers || len(want[q]) != answers {
			return fmt.Errorf("query %d: %d answers, faiss %d; want %d", q, len(got[q]), len(want[q]), answers)
		}
		for i, m := range want[q] {
			if o := got[q][i]; math.Abs(o.Distance-m.Distance) > ofFloat32 {
				return fmt.Errorf("query %d, rank %d: %v, faiss has %v", q, i, o, m)
			} else if o.ID != m.ID && math.Abs(o.Distance-m.Distance) > 1e-5 {
				return fmt.Errorf("query %d, rank %d: %v, faiss has %v: no tie", q, i, o, m)
			}
		}
	}
	return nil
}
