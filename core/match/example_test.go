package match_test

import (
	"fmt"
	"math"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
)

// Who of the known ones is this, if any?
func Example() {
	known, err := match.New(3, core.Cosine)
	if err != nil {
		fmt.Println(err)
		return
	}
	for id, encoding := range map[match.ID][]float32{1: {1, 0, 0}, 2: {0, 1, 0}, 3: {0, 1, 1}} {
		if err := known.Add(id, encoding); err != nil {
			fmt.Println(err)
			return
		}
	}
	nearest, err := known.Nearest([]float32{0, 2, 0.1}, 2, 0.5)
	for _, m := range nearest {
		fmt.Printf("%d at %.3f\n", m.ID, m.Distance)
	}
	fmt.Println(err)
	nobody, err := known.Nearest([]float32{-1, 0, 0}, 1, 0.5)
	fmt.Println(nobody, err)
	// Output:
	// 2 at 0.001
	// 3 at 0.258
	// <nil>
	// [] <nil>
}

// Many questions at once are answered faster, and the same.
func ExampleIndex_NearestBatch() {
	known, err := match.New(2, core.Euclidean)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 10 {
		if err := known.Add(match.ID(i), []float32{float32(i), 0}); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(known.NearestBatch([][]float32{{2.25, 0}, {8.5, 0}}, 1, math.Inf(1)))
	// Output: [[{2 0.25}] [{8 0.5}]] <nil>
}

func ExampleDistance() {
	fmt.Println(match.Distance(core.Euclidean, []float32{0, 0}, []float32{3, 4}))
	// Output: 5 <nil>
}
