package core

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seconds, given float64
		window         time.Duration
	}{
		{0, 0, 0}, {5, 0, 5 * time.Second}, {0.1, 0, 100 * time.Millisecond}, {1e-9, 0, 1}, {86400, 0, 24 * time.Hour},
		{1.0 / 3, 1.0 / 3, 333333333}, {1e-10, 1e-10, 0}, {12345.678901234567, 12345.678901234567, 12345678901235},
	} {
		window, given := Window(c.seconds)
		if window != c.window || given != c.given {
			t.Errorf("%v: %s and %v, want %s and %v", c.seconds, window, given, c.window, c.given)
		}
		count, rate := CountCondition{Window: window, Given: given}, RateCondition{Window: window, Given: given}
		if count.Seconds() != c.seconds || rate.Seconds() != c.seconds {
			t.Errorf("%v comes back as %v and %v", c.seconds, count.Seconds(), rate.Seconds())
		}
	}
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		numbers []float64
		rounded bool
	}{
		{nil, false}, {[]float64{0, 1, -2.5, 0.1, 1e-7, 3e38}, false}, {[]float64{0.1, 1.0 / 3}, true}, {[]float64{16777217}, true},
		{[]float64{float64(float32(0.1))}, true}, {[]float64{1e-300, 1}, true}, {[]float64{math.Copysign(0, -1)}, false},
	} {
		values, given := Rounded(c.numbers)
		if (given != nil) != c.rounded || len(values) != len(c.numbers) {
			t.Errorf("%v: %v, given %v", c.numbers, values, given)
		}
		if got := (Vector{Values: values, Given: given}).Numbers(); !slices.Equal(got, c.numbers) {
			t.Errorf("%v comes back as %v", c.numbers, got)
		}
	}
}
