package detect

import (
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// Unit gives v at length 1, so that the cosine of two is their product; zeros stay zeros.
func Unit(v []float32) sdk.Encoding {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	e := make(sdk.Encoding, len(v))
	if sum == 0 {
		return e
	}
	for i, x := range v {
		e[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return e
}
