package service

import (
	"errors"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/alarms"
	"github.com/capstan-video/capstan/core/zones"
)

// TestFaultsSayOnce wants each part of a fault to be said once, whoever has wrapped it.
func TestFaultsSayOnce(t *testing.T) {
	t.Parallel()
	const hint = "give two points for a line, or three or more corners of an outline that does not cross itself"
	for name, tt := range map[string]struct {
		err        error
		want, hint string
	}{
		"zone":     {on("zone", zones.Check(core.Polygon{{X: 1, Y: 1}})), "zone: it has one point (" + hint + ")", hint},
		"alarm":    {on("alarm", alarms.Check(core.Alarm{Name: "q"})), "alarm: q: it has no condition, so it would never be on", ""},
		"its noun": {on("blob", core.Faultf(core.NotFound, "store", "blob", "there is none")), "store: blob: there is none", ""},
		"encoder":  {lacking("encoder", "encodes", "cup"), `encoder: no capsule encodes objects of class "cup" (load a capsule that does, or switch it on)`, "load a capsule that does, or switch it on"},
	} {
		var f *core.Fault
		if !errors.As(tt.err, &f) || tt.err.Error() != tt.want || f.Hint != tt.hint {
			t.Errorf("%s: %v, want %s", name, tt.err, tt.want)
		}
	}
	_, gone := (&Service{}).source(core.StreamConfig{Connection: core.Connection{Kind: core.FileClip}})
	if want := "blob: the stream's file was deleted (upload it again, and give the stream the new file)"; core.KindOf(gone) != core.NotFound || gone.Error() != want {
		t.Errorf("a stream without its file: %v, want %s", gone, want)
	}
	plain := errors.New("a disk")
	if err := on("zone", plain); err != plain {
		t.Errorf("what is no fault became %v", err)
	}
	wrapped := core.Faultf(core.Exists, "store", "", "%w", plain)
	if err := on("stream", wrapped); !errors.Is(err, plain) || core.KindOf(err) != core.Exists {
		t.Errorf("the cause is lost: %v", err)
	}
}
