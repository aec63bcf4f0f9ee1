package gstreamer

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// TestKeyframesOnly plays 45 frames at 30 fps with a key frame every half second: those come,
// at their own times and numbered without gaps, and the others are counted as skipped.
func TestKeyframesOnly(t *testing.T) {
	const raw = "videotestsrc pattern=ball num-buffers=45 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
	tests := []struct {
		name, file, launch string
		frames             int
	}{
		{"h264 mp4", "a.mp4", raw + " ! x264enc speed-preset=ultrafast key-int-max=15 ! mp4mux", 3},
		{"h264 with B frames", "a.mkv", raw + " ! x264enc speed-preset=veryfast bframes=3 b-adapt=false key-int-max=15 ! matroskamux", 3},
		{"h265", "a.mkv", raw + " ! x265enc speed-preset=ultrafast key-int-max=15 option-string=open-gop=0 ! h265parse ! matroskamux", 3},
		{"vp8", "a.webm", raw + " ! vp8enc deadline=1 keyframe-mode=disabled keyframe-max-dist=15 ! webmmux", 1},
		{"raw h264", "a.h264", raw + " ! x264enc speed-preset=ultrafast key-int-max=15 ! video/x-h264,stream-format=byte-stream", 3},
		{"raw h265", "a.h265", raw + " ! x265enc speed-preset=ultrafast key-int-max=15 option-string=open-gop=0 ! video/x-h265,stream-format=byte-stream", 3},
		{"raw h265 with an open end", "b.h265", raw + " ! x265enc speed-preset=veryfast key-int-max=15 option-string=bframes=3:open-gop=1 ! video/x-h265,stream-format=byte-stream", 3},
		{"raw h264 with B frames", "b.h264", raw + " ! x264enc speed-preset=veryfast bframes=3 b-adapt=false key-int-max=15 ! video/x-h264,stream-format=byte-stream", 3},
		{"every frame is a key frame", "a.avi", raw + " ! jpegenc ! avimux", 45},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := open(t, newMedia(t), pipeline.Source{URL: build(t, c.file, "%s", c.launch), KeyframesOnly: true})
			frames, err := drain(t, st, nil)
			if err != nil || len(frames) != c.frames {
				t.Fatalf("%d frames, want %d (%v)", len(frames), c.frames, err)
			}
			for i, f := range frames {
				want := float64(i) * 1.5 / float64(c.frames)
				if f.Seq != uint64(i+1) || math.Abs(f.PTS.Seconds()-want) > 0.002 {
					t.Errorf("frame %d has number %d and PTS %v, want %v s", i+1, f.Seq, f.PTS.Seconds(), want)
				}
			}
			if s := st.Stats(); s.Skipped != uint64(45-c.frames) || s.Dropped+s.NoSlot != 0 || s.Frames != uint64(c.frames) {
				t.Errorf("stats are %+v", s)
			}
			if n := st.Info().Frames; n != 0 {
				t.Errorf("it promises %d frames, and nobody can know", n)
			}
		})
	}
}

// TestKeyframesOfRawH265 has two key frames within a sequence, with one and three frames after
// them in the stream that come before them in time.
func TestKeyframesOfRawH265(t *testing.T) {
	t.Parallel()
	st := open(t, newMedia(t), pipeline.Source{URL: data(t, "videos/street/MOT17-13-SDP-raw.h265"), KeyframesOnly: true})
	frames, err := drain(t, st, nil)
	if err != nil || len(frames) != 3 {
		t.Fatalf("%d frames, want 3 (%v)", len(frames), err)
	}
	for i, want := range []float64{0, 10, 20} {
		if got := frames[i].PTS.Seconds(); math.Abs(got-want) > 1e-6 {
			t.Errorf("key frame %d is at %v s, want %v", i+1, got, want)
		}
	}
}

// TestKeyframesOfDataClips adds up: what is given and what is not decoded are all frames.
func TestKeyframesOfDataClips(t *testing.T) {
	for path, total := range map[string]uint64{
		"videos/people/one-by-one-person-detection.mp4": 1394, "videos/vehicles/car-detection.mp4": 377, "videos/faces/asl/again.mkv": 77,
		"videos/street/MOT17-13-SDP-raw.h265": 750,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			all := map[core.PTS]bool{}
			full := open(t, newMedia(t), pipeline.Source{URL: data(t, path)})
			if _, err := drain(t, full, func(f core.Frame, _ pipeline.Picture) { all[f.PTS] = true }); err != nil {
				t.Fatal(err)
			}
			st := open(t, newMedia(t), pipeline.Source{URL: data(t, path), KeyframesOnly: true})
			frames, err := drain(t, st, func(f core.Frame, _ pipeline.Picture) {
				if !all[f.PTS] {
					t.Errorf("a frame at %v s, where the whole clip has none", f.PTS.Seconds())
				}
			})
			if s := st.Stats(); err != nil || len(frames) == 0 || uint64(len(frames))+s.Skipped != total || s.InArena != uint64(len(frames)) {
				t.Errorf("%d frames, %d of them in the arena, and %d not decoded of %d (%v)", len(frames), s.InArena, s.Skipped, total, err)
			}
		})
	}
}

// TestKeyframesOfPictures gives every picture of a folder: none depends on another.
func TestKeyframesOfPictures(t *testing.T) {
	t.Parallel()
	st := open(t, newMedia(t), pipeline.Source{URL: "test://?frames=7&size=64x48", KeyframesOnly: true})
	if frames, err := drain(t, st, nil); err != nil || len(frames) != 7 || st.Stats().Skipped != 0 {
		t.Errorf("%d frames of 7 (%v), %+v", len(frames), err, st.Stats())
	}
}

// TestKeyframesOfACamera has a key frame every ten frames.
func TestKeyframesOfACamera(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	startCamera(t, address, "", "", accessUnits(t))
	st := open(t, newMedia(t), pipeline.Source{URL: "rtsp://" + address + "/cam", KeyframesOnly: true})
	for i := range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		f, p, err := st.Next(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		if f.Seq < uint64(i+1) { // one that was waited for too long may be dropped
			t.Errorf("frame %d has number %d", i+1, f.Seq)
		}
	}
	if s := st.Stats(); s.Skipped < 45 || s.Frames != 6 {
		t.Errorf("six key frames, and %+v: want nine others after each of five at least", s)
	}
}
