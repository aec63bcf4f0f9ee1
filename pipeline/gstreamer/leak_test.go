package gstreamer

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// usage is what a process must not gather.
type usage struct{ descriptors, goroutines, threads, resident, maps int }

func measure(t testing.TB) usage {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	u := usage{descriptors: len(entries), goroutines: runtime.NumGoroutine()}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Threads: %d", &u.threads)
		fmt.Sscanf(line, "VmRSS: %d", &u.resident)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	u.maps = strings.Count(string(maps), "capstan-arena")
	return u
}

// TestLeaks opens and closes 200 streams of several kinds, good and bad. It runs alone.
func TestLeaks(t *testing.T) {
	path := build(t, "a.mp4", ballH264+" ! mp4mux", 20, 320, 240)
	text := build(t, "t.ogg", "audiotestsrc num-buffers=5 ! vorbisenc ! oggmux")
	m := newMedia(t)
	round := func(n int) {
		url := []string{path, path, "test://?size=320x240&frames=5", text}[n%4]
		st, err := m.Open(t.Context(), pipeline.Source{URL: url})
		if n%4 == 3 {
			if core.KindOf(err) != core.SourceFormat {
				t.Fatalf("open %s: %v", url, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("open %s: %v", url, err)
		}
		var last pipeline.Picture
		for range 4 {
			_, p, err := st.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{MaxSide: 100}); err != nil {
				t.Fatal(err)
			}
			if last != nil {
				last.Release()
			}
			last = p
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		last.Release()
	}
	for n := range 40 {
		round(n) // plugins are loaded, pools of threads filled
	}
	before := measure(t)
	for n := range 200 {
		round(n)
	}
	var after usage
	for range 50 { // streaming threads of C end a moment later
		after = measure(t)
		if after.descriptors <= before.descriptors && after.goroutines <= before.goroutines {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("before %+v, after %+v", before, after)
	if after.descriptors > before.descriptors+2 || after.goroutines > before.goroutines || after.threads > before.threads+10 || after.maps > before.maps {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if after.resident > before.resident+64<<10 {
		t.Errorf("memory went from %d to %d KiB", before.resident, after.resident)
	}
}
