package main

import "testing"

func TestRatio(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values []float64
		want   ratio
	}{
		"one":   {[]float64{3}, ratio{3, 3, 3}},
		"two":   {[]float64{4, 1}, ratio{1, 2.5, 4}},
		"three": {[]float64{9, 1, 2}, ratio{1, 2, 9}},
		"four":  {[]float64{9, 1, 2, 4}, ratio{1, 3, 9}},
	}
	for name, tt := range tests {
		if got := ratioOf(len(tt.values), func(i int) float64 { return tt.values[i] }); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
