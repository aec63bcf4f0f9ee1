package gstreamer

import (
	"path/filepath"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// TestDataClips plays the real clips: every frame, straight from the decoder.
func TestDataClips(t *testing.T) {
	clips := []struct {
		path   string
		w, h   int
		frames int
		fps    float64
	}{
		{"faces/face-demographics-walking_480x270_from_gif.mp4", 480, 270, 35, 12},
		{"faces/head-pose-face-detection-female-and-male_480x270_from_gif.mp4", 480, 270, 56, 12},
		{"faces/asl/again.mkv", 640, 480, 77, 30},
		{"faces/asl/bird.mkv", 640, 480, 63, 30},
		{"faces/asl/book.mkv", 640, 480, 109, 30},
		{"faces/asl/help.mkv", 640, 480, 58, 30},
		{"faces/asl/learn.mkv", 640, 480, 61, 30},
		{"faces/asl/milk.mkv", 640, 480, 51, 30},
		{"faces/asl/please.mkv", 640, 480, 73, 30},
		{"faces/asl/school.mkv", 640, 480, 72, 30},
		{"faces/asl/yes.mkv", 640, 480, 65, 30},
		{"objects/bottle-detection.mp4", 640, 360, 1189, 29.83},
		{"people/one-by-one-person-detection.mp4", 768, 432, 1394, 10},
		{"people/worker-zone-detection_480x270_from_gif.mp4", 480, 270, 58, 12},
		{"street/MOT17-13-SDP-raw.h265", 960, 540, 750, 25},
		{"street/MOT17-13_960x540_h264_from_h265.mp4", 960, 540, 750, 25},
		{"vehicles/car-detection.mp4", 768, 432, 377, 12.5},
	}
	for _, c := range clips {
		t.Run(filepath.Base(c.path), func(t *testing.T) {
			t.Parallel()
			st := open(t, newMedia(t), pipeline.Source{URL: data(t, filepath.Join("videos", c.path))})
			last := core.PTS(-1)
			frames, err := drain(t, st, func(f core.Frame, _ pipeline.Picture) {
				if f.PTS <= last {
					t.Errorf("frame %d: PTS %v is not after %v", f.Seq, f.PTS, last)
				}
				last = f.PTS
			})
			if err != nil || len(frames) != c.frames {
				t.Fatalf("%d frames, want %d (%v)", len(frames), c.frames, err)
			}
			if s := st.Stats(); s.InArena != uint64(c.frames) || s.Frames != s.InArena {
				t.Errorf("not all frames came straight from the decoder: %+v", s)
			}
			f := frames[len(frames)-1]
			if f.Caps.Width != c.w || f.Caps.Height != c.h || f.Seq != uint64(c.frames) {
				t.Errorf("last frame is %+v", f)
			}
			if fps := float64(c.frames-1) / f.PTS.Seconds(); fps < c.fps*0.97 || fps > c.fps*1.03 {
				t.Errorf("by its PTS it plays at %.3f fps, want %.3f", fps, c.fps)
			}
			if n := st.Info().Frames; n != 0 && (n < c.frames-2 || n > c.frames*102/100+2) {
				t.Errorf("it expected %d frames", n)
			}
		})
	}
}
