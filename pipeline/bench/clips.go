package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// clips are the same footage in two sizes, H.264.
type clips struct {
	full   string // 1920x1080 at 7 Mbit/s
	small  string // 640x360
	start  string // the first frames of full: what a start costs
	origin string // for the table
}

// makeClips scales real footage up, or the demo clip where there is none, and keeps the result
// for the next run.
func makeClips(work, capstan string) (clips, error) {
	c := clips{full: filepath.Join(work, "1080p.mp4"), small: filepath.Join(work, "360p.mp4"), start: filepath.Join(work, "start.mp4")}
	data := os.Getenv("CAPSTAN_TESTDATA")
	if data == "" {
		data = filepath.Join("..", "shared", "data")
	}
	source := filepath.Join(data, "videos", "street", "MOT17-13_960x540_h264_from_h265.mp4")
	c.origin = "street footage of the test data, scaled up"
	if _, err := os.Stat(source); err != nil {
		source = filepath.Join(work, "demo.mp4")
		c.origin = "the demo clip, because the test data is absent"
		if err := run(capstan, "scene", source); err != nil {
			return c, err
		}
	}
	if err := encode(source, c.full, 1920, 1080, 7000); err != nil {
		return c, err
	}
	if err := encode(source, c.small, 640, 360, 1000); err != nil {
		return c, err
	}
	return c, cut(c.full, c.start)
}

// startFrames is the length of the clip that shows what a start costs.
const startFrames = 25

// cut copies the first frames of a clip without encoding them again.
func cut(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	part := to + ".part"
	err := run("gst-launch-1.0", "-q", "-e", "filesrc", "location="+from, "!", "qtdemux", "!", "h264parse", "!",
		"identity", fmt.Sprintf("eos-after=%d", startFrames+1), "!", "mp4mux", "!", "filesink", "location="+part)
	if err != nil {
		return err
	}
	return os.Rename(part, to)
}

func encode(from, to string, w, h, kbits int) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	fmt.Fprintf(os.Stderr, "making %s\n", to)
	part := to + ".part"
	err := run("gst-launch-1.0", "-q", "-e", "filesrc", "location="+from, "!", "decodebin", "!", "videoconvertscale", "!",
		fmt.Sprintf("video/x-raw,format=I420,width=%d,height=%d", w, h), "!",
		"x264enc", "speed-preset=veryfast", fmt.Sprintf("bitrate=%d", kbits), "key-int-max=50", "!", "h264parse", "!", "mp4mux", "!", "filesink", "location="+part)
	if err != nil {
		return err
	}
	return os.Rename(part, to)
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}
