package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// variant is one way to play the clip.
type variant struct {
	name string
	gst  func(clip string) ([]string, func() error) // arguments of gst-launch-1.0, and what to do meanwhile
	task *task
	size string // "" full, "small", "start"
}

var variants = []variant{
	{name: "decode", gst: decodeOnly},
	{name: "decode-start", gst: decodeOnly, size: "start"},
	{name: "gray-start", task: &task{Capsules: []string{"noop_gray"}, Streams: 1}, size: "start"},
	{name: "gray", task: &task{Capsules: []string{"noop_gray"}, Streams: 1}},
	{name: "python", task: &task{Capsules: []string{"noop_python"}, Streams: 1}},
	{name: "rgb-gst", gst: decodeRGB},
	{name: "rgb", task: &task{Capsules: []string{"noop_rgb"}, Streams: 1}},
	{name: "chain", task: &task{Capsules: []string{"finder", "tracker", "classifier"}, Streams: 1}},
	{name: "four", task: &task{Capsules: []string{"noop_gray"}, Streams: 4}},
	{name: "shm", gst: shmPair},
	{name: "copy", task: &task{Capsules: []string{"noop_gray"}, Streams: 1, Copy: true}},
	{name: "copy-rgb", task: &task{Capsules: []string{"noop_rgb"}, Streams: 1, Copy: true}},
	{name: "small", task: &task{Capsules: []string{"noop_gray"}, Streams: 1}, size: "small"},
	{name: "paced", task: &task{Capsules: []string{"noop_gray"}, Streams: 1, Realtime: true}},
	{name: "paced-python", task: &task{Capsules: []string{"noop_python"}, Streams: 1, Realtime: true}},
	{name: "paced-small", task: &task{Capsules: []string{"noop_gray"}, Streams: 1, Realtime: true}, size: "small"},
}

// sample is one run of a variant.
type sample struct {
	outcome
	fps float64
}

// measurement gathers samples by variant.
type measurement struct {
	clips   clips
	frames  uint64
	samples map[string][]sample
}

func (m *measurement) measure(v variant) error {
	clip, frames := m.clips.full, m.frames
	switch v.size {
	case "small":
		clip = m.clips.small
	case "start":
		clip, frames = m.clips.start, startFrames
	}
	var o *outcome
	var err error
	if v.gst != nil {
		o, err = runGst(v, clip, frames)
	} else {
		t := *v.task
		t.Clip = clip
		if o, err = startTask(t); err == nil {
			err = check(t, o, frames)
		}
	}
	if err != nil {
		return err
	}
	m.samples[v.name] = append(m.samples[v.name], sample{outcome: *o, fps: float64(o.Frames) / o.Seconds})
	return nil
}

// check refuses an outcome in which anything is missing. A paced run may drop what a camera would.
func check(t task, o *outcome, frames uint64) error {
	want := frames * uint64(t.Streams)
	if o.Frames+o.Drops != want || (o.Drops > 0 && !t.Realtime) {
		return fmt.Errorf("%d frames served and %d dropped of %d", o.Frames, o.Drops, want)
	}
	if o.Frames == 0 {
		return fmt.Errorf("not one frame was served")
	}
	if o.InArena != o.Frames || o.Copied != 0 {
		return fmt.Errorf("%d of %d frames were in the arena, %d copied: want all in the arena", o.InArena, o.Frames, o.Copied)
	}
	for _, c := range t.Capsules {
		if o.Answered[c] != o.Frames {
			return fmt.Errorf("capsule %s answered %d of %d frames", c, o.Answered[c], o.Frames)
		}
	}
	return nil
}

// startTask runs a task in a process of its own. The CPU time is that of the process and of
// every process that it waited for.
func startTask(t task) (*outcome, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), taskEnv+"="+string(text))
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	var o outcome
	if err := json.Unmarshal(stdout.Bytes(), &o); err != nil {
		return nil, fmt.Errorf("the task's outcome: %w", err)
	}
	o.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return &o, nil
}

func decodeOnly(clip string) ([]string, func() error) {
	return []string{"filesrc", "location=" + clip, "!", "decodebin", "!", "fakesink", "sync=false", "enable-last-sample=false"}, nil
}

func decodeRGB(clip string) ([]string, func() error) {
	return []string{"filesrc", "location=" + clip, "!", "decodebin", "!", "videoconvert", "!", "video/x-raw,format=RGB", "!",
		"fakesink", "sync=false", "enable-last-sample=false"}, nil
}

// shmPair plays into shmsink and has a second process take the frames out with shmsrc.
func shmPair(clip string) ([]string, func() error) {
	socket := filepath.Join(os.TempDir(), fmt.Sprintf("capstan-bench-%d", os.Getpid()))
	args := []string{"filesrc", "location=" + clip, "!", "decodebin", "!", "video/x-raw,format=I420", "!",
		"shmsink", "socket-path=" + socket, "sync=false", "wait-for-connection=true", "shm-size=200000000", "enable-last-sample=false"}
	return args, func() error {
		for range 200 {
			if _, err := os.Stat(socket); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = exec.Command("gst-launch-1.0", "-q", "shmsrc", "socket-path="+socket, "is-live=true", "!",
			"fakesink", "sync=false", "enable-last-sample=false").Run() // ends with an error when the sink goes away
		return nil
	}
}

// played finds the time that gst-launch-1.0 says it played, without its start.
var played = regexp.MustCompile(`Execution ended after (\d+):(\d\d):(\d\d\.\d+)`)

func runGst(v variant, clip string, frames uint64) (*outcome, error) {
	args, meanwhile := v.gst(clip)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "gst-launch-1.0", args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if meanwhile != nil {
		if err := meanwhile(); err != nil {
			return nil, err
		}
	}
	err := cmd.Wait() // shmsink fails when it is taken down, after it played to the end
	p := played.FindStringSubmatch(out.String())
	if p == nil || !strings.Contains(out.String(), "Got EOS") {
		return nil, fmt.Errorf("gst-launch-1.0 did not play to the end: %w\n%s", err, out.String())
	}
	h, _ := strconv.ParseFloat(p[1], 64)
	min, _ := strconv.ParseFloat(p[2], 64)
	s, _ := strconv.ParseFloat(p[3], 64)
	return &outcome{
		Frames: frames, Seconds: h*3600 + min*60 + s,
		CPU: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
	}, nil
}

// checkSums plays the clip once through a capsule that sums up every frame, and once through a
// decoder of another process, and compares frame by frame.
func checkSums(clip string) (uint64, error) {
	want, err := decoderSums(clip, 1920, 1080)
	if err != nil {
		return 0, err
	}
	o, err := startTask(task{Clip: clip, Capsules: []string{"checksum"}, Streams: 1, Sums: true})
	if err != nil {
		return 0, err
	}
	if len(want) == 0 || len(o.Sums) != len(want) {
		return 0, fmt.Errorf("the capsule saw %d frames, a decoder gives %d", len(o.Sums), len(want))
	}
	for i := range want {
		if o.Sums[i] != want[i] {
			return 0, fmt.Errorf("frame %d: the capsule's checksum is %08x, the decoder's %08x", i+1, o.Sums[i], want[i])
		}
	}
	return uint64(len(want)), nil
}

// decoderSums gives the checksum of each frame's luma.
func decoderSums(clip string, w, h int) ([]uint32, error) {
	cmd := exec.Command("gst-launch-1.0", "-q", "filesrc", "location="+clip, "!", "decodebin", "!", "video/x-raw,format=I420", "!", "fdsink", "fd=1")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var sums []uint32
	frame := make([]byte, paddedI420(w, h))
	for {
		if _, err := io.ReadFull(pipe, frame); err != nil {
			break
		}
		sums = append(sums, crc32.ChecksumIEEE(frame[:w*h]))
	}
	return sums, cmd.Wait()
}

// paddedI420 gives the bytes of a frame as GStreamer writes it: strides are multiples of 4, which
// the sizes of this benchmark are.
func paddedI420(w, h int) int { return w*h + 2*(w/2)*(h/2) }
