package match

import (
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/capstan-video/capstan/core"
)

const (
	// batch is how many queries go through the index together: their rows stay in the cache.
	batch = 64
	// alone is the bytes of vectors up to which one goroutine is quicker than several.
	alone = 1 << 20
	// share is the bytes of vectors that a goroutine takes at a time.
	share = 1 << 20
)

// Nearest gives at most k vectors at a distance of at most threshold, nearest first and of
// equal distance the lower ID first. +Inf is no threshold. A fault of kind Invalid says what
// is wrong with the query, as for Add, with k (below 1) or with the threshold (below 0, NaN).
func (x *Index) Nearest(query []float32, k int, threshold float64) ([]Match, error) {
	if err := checkLimits(k, threshold); err != nil {
		return nil, err
	}
	q, err := x.question(query)
	if err != nil {
		return nil, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.search([]question{q}, k, threshold)[0], nil
}

// NearestBatch answers many queries as Nearest does, and faster: vectors are read once for 64
// of them. One bad query is an error that says its place, from 0, and there are no answers.
func (x *Index) NearestBatch(queries [][]float32, k int, threshold float64) ([][]Match, error) {
	if err := checkLimits(k, threshold); err != nil {
		return nil, err
	}
	questions := make([]question, len(queries))
	for i, v := range queries {
		var err error
		if questions[i], err = x.question(v); err != nil {
			return nil, fmt.Errorf("query %d: %w", i, err)
		}
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	answers := make([][]Match, 0, len(queries))
	for len(questions) > 0 {
		n := min(batch, len(questions))
		answers = append(answers, x.search(questions[:n], k, threshold)...)
		questions = questions[n:]
	}
	return answers, nil
}

func checkLimits(k int, threshold float64) error {
	if k < 1 {
		return core.Faultf(core.Invalid, "nearest", "", "%d answers are asked for, want 1 or more", k)
	}
	if math.IsNaN(threshold) || threshold < 0 {
		return core.Faultf(core.Invalid, "nearest", "", "the threshold %v is not 0 or above", threshold)
	}
	return nil
}

// question is a prepared query.
type question struct {
	exact  []float64 // for cosine of length 1
	rough  []float32 // the same with the rows of a block
	length float64
}

func (x *Index) question(query []float32) (question, error) {
	exact, norm, err := x.prepare("nearest", query)
	if err != nil {
		return question{}, err
	}
	q := question{exact: exact, rough: make([]float32, paddedRows(x.dim)), length: norm}
	if x.metric == core.Cosine {
		q.length = 1
	}
	for d, v := range exact {
		q.rough[d] = float32(v)
	}
	return q, nil
}

// search answers up to batch questions. The caller holds the lock.
func (x *Index) search(questions []question, k int, threshold float64) [][]Match {
	used := (len(x.ids) + columns - 1) / columns
	blockBytes := paddedRows(x.dim) * columns * 4
	workers := 1
	if used*blockBytes > alone {
		workers = min(runtime.GOMAXPROCS(0), (used*blockBytes+share-1)/share)
	}
	var next atomic.Int64
	step := max(1, share/blockBytes)
	list := make([]*worker, workers)
	var others sync.WaitGroup
	for i := range list {
		list[i] = newWorker(x, questions, min(k, len(x.ids)), threshold)
		run := func() {
			for {
				to := int(next.Add(int64(step)))
				if to-step >= used {
					return
				}
				list[i].scan(to-step, min(to, used))
			}
		}
		if i < workers-1 {
			others.Go(run)
		} else {
			run()
		}
	}
	others.Wait()
	answers := make([][]Match, len(questions))
	for q := range questions {
		for _, w := range list[1:] {
			list[0].best[q].merge(w.best[q])
		}
		answers[q] = list[0].best[q].sorted()
	}
	return answers
}

// worker looks through a part of the blocks.
type worker struct {
	index     *Index
	questions []question
	best      []best
	rows      [][]float32      // of every eight questions, as kernels want them
	limits    [][lanes]float32 // of the same: scores below cannot be an answer
	length    float64          // of the blocks that limits are for
	scores    scores
	hits      hits
}

func newWorker(x *Index, questions []question, k int, threshold float64) *worker {
	w := &worker{index: x, questions: questions, best: make([]best, len(questions)), length: -1}
	for q := range w.best {
		w.best[q] = best{k: k, bound: threshold}
	}
	tiles := (len(questions) + lanes - 1) / lanes
	w.limits = make([][lanes]float32, tiles)
	for lane := range lanes { // of the last tile some have no question
		w.limits[tiles-1][lane] = float32(math.Inf(1))
	}
	if len(questions) == 1 {
		return w
	}
	for t := range tiles {
		rows := aligned(paddedRows(x.dim) * lanes)
		for lane := range lanes {
			if q := t*lanes + lane; q < len(questions) {
				for d, v := range questions[q].rough {
					rows[d*lanes+lane] = v
				}
			}
		}
		w.rows = append(w.rows, rows)
	}
	return w
}

// scan looks through the blocks from…to-1.
func (w *worker) scan(from, to int) {
	x := w.index
	for i := from; i < to; i++ {
		b := &x.blocks[i]
		if b.length != w.length {
			w.length = b.length
			for q := range w.questions {
				w.setLimit(q)
			}
		}
		if len(w.questions) == 1 {
			if x.kernel.one(b.values, b.bias, w.questions[0].rough, w.limits[0][0], &w.scores, &w.hits) != 0 {
				w.look(i, 0, 0)
			}
			continue
		}
		for t, rows := range w.rows {
			if x.kernel.eight(b.values, b.bias, rows, &w.limits[t], &w.scores, &w.hits) == 0 {
				continue
			}
			for lane := range min(lanes, len(w.questions)-t*lanes) {
				if w.hits[lane] != 0 {
					w.look(i, t*lanes+lane, lane)
				}
			}
		}
	}
}

// setLimit says which scores question q needs from now on.
func (w *worker) setLimit(q int) {
	w.limits[q/lanes][q%lanes] = w.index.limit(&w.questions[q], w.best[q].bound, w.length)
}

// limit gives the lowest score that a column of a block can have whose exact distance is at
// most bound. length is that of the block's longest vector.
//
// A sum of n products in float32, in any order, is off by at most (n+1)·u·|query|·|vector|
// with u = 2⁻²⁴; rounding both to float32 and adding the bias come on top. Products below the
// smallest float32 are lost.
func (x *Index) limit(q *question, bound, length float64) float32 {
	if math.IsInf(bound, 1) {
		return float32(math.Inf(-1))
	}
	products := q.length * length
	score := 1 - bound
	if x.metric == core.Euclidean {
		score = (q.length*q.length - bound*bound) / 2
		products += length*length/2 + (q.length*q.length+bound*bound)*1e-8
	}
	const u, lost = 1.0 / (1 << 24), 3e-45
	n := float64(paddedRows(x.dim))
	score -= products*(n+8)*u*1.01 + (n+8)*lost*(1+q.length+length)
	return math.Nextafter32(float32(score), float32(math.Inf(-1)))
}

// look measures the hits of question q in block i exactly.
func (w *worker) look(i, q, lane int) {
	x, best, limit := w.index, &w.best[q], &w.limits[q/lanes][q%lanes]
	b := &x.blocks[i]
	for rest := w.hits[lane]; rest != 0; rest &= rest - 1 {
		c := bits.TrailingZeros32(rest)
		if i*columns+c >= len(x.ids) || w.scores[lane][c] < *limit {
			continue
		}
		before := best.bound
		best.offer(Match{x.ids[i*columns+c], b.distance(x.metric, w.questions[q].exact, c)})
		if best.bound != before {
			w.setLimit(q)
		}
	}
}
