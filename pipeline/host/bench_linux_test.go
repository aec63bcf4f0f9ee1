package host

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// BenchmarkHandoff hands 1080p I420 frames in an arena to a capsule that does nothing, one
// after the other, and waits for each answer; copy is the same with the pixels in the message.
func BenchmarkHandoff(b *testing.B) {
	b.Run("arena", func(b *testing.B) { benchmarkHandoff(b, false, 0) })
	b.Run("paced", func(b *testing.B) { benchmarkHandoff(b, false, time.Second/30) }) // the processors fall asleep in between
	b.Run("copy", func(b *testing.B) { benchmarkHandoff(b, true, 0) })
}

// BenchmarkHandoffPython does so with a capsule in Python, with and without a worker behind it.
func BenchmarkHandoffPython(b *testing.B) {
	for _, workers := range []int{0, 1} {
		for name, pause := range map[string]time.Duration{"arena": 0, "paced": time.Second / 30} {
			b.Run(fmt.Sprintf("%s workers=%d", name, workers), func(b *testing.B) {
				handoff(b, launchPython(b, Config{}, "nothing", workers), core.GRAY8, pause)
			})
		}
	}
}

func benchmarkHandoff(b *testing.B, copying bool, pause time.Duration) {
	_, c := launchAct(b, Config{Copy: copying}, "nothing")
	handoff(b, c, core.I420, pause)
}

func handoff(b *testing.B, c *Capsule, format core.PixelFormat, pause time.Duration) {
	openTest(b, c)
	layout, size := core.Packed(format, 1920, 1080)
	arena, err := shm.Create(8 * size)
	if err != nil {
		b.Fatal(err)
	}
	defer arena.Close()
	if err := arena.Prefault(0, 8*size); err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		l := layout
		l.Planes = slices.Clone(layout.Planes)
		for p := range l.Planes {
			l.Planes[p].Offset += int64(i%8) * size
		}
		time.Sleep(pause)
		start := time.Now()
		a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(uint64(i + 1)), View: shm.View{Arena: arena, Layout: l}})
		if err != nil || len(a.Returns) != 1 {
			b.Fatalf("frame %d was not answered: %v, %d returns", i+1, err, len(a.Returns))
		}
		took = append(took, time.Since(start))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}
