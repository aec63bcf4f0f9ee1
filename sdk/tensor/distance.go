package tensor

import (
	"math"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

// CosineDistances gives 1-cos of the angle between x and each of many: 0 for the same
// direction, 1 for a right angle, 2 for the opposite. A vector without length is at a right
// angle to everything. Vectors of other lengths than x are an error.
func CosineDistances(x sdk.Encoding, many []sdk.Encoding) ([]float64, error) {
	own := norm(x)
	return distances(x, many, func(y sdk.Encoding) float64 {
		both := own * norm(y)
		if both == 0 {
			return 1
		}
		var dot float64
		for i, v := range x {
			dot += float64(v) * float64(y[i])
		}
		return 1 - math.Max(-1, math.Min(1, dot/both))
	})
}

// EuclideanDistances gives the length of the difference between x and each of many. Vectors of
// other lengths than x are an error.
func EuclideanDistances(x sdk.Encoding, many []sdk.Encoding) ([]float64, error) {
	return distances(x, many, func(y sdk.Encoding) float64 {
		var sum float64
		for i, v := range x {
			d := float64(v) - float64(y[i])
			sum += d * d
		}
		return math.Sqrt(sum)
	})
}

func distances(x sdk.Encoding, many []sdk.Encoding, of func(sdk.Encoding) float64) ([]float64, error) {
	out := make([]float64, 0, len(many))
	for i, y := range many {
		if len(y) != len(x) {
			return nil, core.Faultf(core.Invalid, "distance", "", "encoding %d has %d numbers, want %d", i, len(y), len(x))
		}
		out = append(out, of(y))
	}
	return out, nil
}

func norm(v sdk.Encoding) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
