package service

import (
	"bytes"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func TestPacked(t *testing.T) {
	t.Parallel()
	mem := []byte{9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 7, 8, 9, 9, 9, 10, 11, 9}
	l := core.Layout{Format: core.I420, Width: 3, Height: 2, Planes: []core.Plane{{Offset: 1, Stride: 4}, {Offset: 10, Stride: 4}, {Offset: 15, Stride: 2}}}
	if got, want := packed(l, mem), []byte{1, 2, 3, 4, 5, 6, 7, 8, 10, 11}; !bytes.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
