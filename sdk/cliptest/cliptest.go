// Package cliptest gives tests of capsules real frames: clips decoded by an external
// gst-launch-1.0, and pictures from files.
package cliptest

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // pictures of the test data
	_ "image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

// Data gives the path of a file or folder of the test data, CAPSTAN_TESTDATA or ../shared/data
// beside the repository, and skips the test where it is absent.
func Data(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("CAPSTAN_TESTDATA")
	if root == "" {
		root = filepath.Join(repository(t), "..", "shared", "data")
	}
	path := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("test data is absent: %v (set CAPSTAN_TESTDATA)", err)
	}
	return path
}

// repository gives the folder of go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

// Clip is a clip being decoded; it gives I420 memory frame by frame.
type Clip struct {
	Caps  core.Caps
	t     testing.TB
	in    *bufio.Reader
	frame []byte
	seq   uint64
}

// decoder is the pipeline that writes I420 without padding to descriptor 3. What gst-launch
// says of the caps on its standard output tells the size. (y4menc would tell it in-band, but
// version 1.22 writes padded rows as if they were pixels.)
const decoder = "decodebin ! videoconvert ! video/x-raw,format=I420 ! fdsink name=out fd=3"

// Open starts decoding the clip at path, at its own size. It skips the test, saying so, where
// gst-launch-1.0 is missing. The decoder ends with the test.
func Open(t testing.TB, path string) *Clip {
	t.Helper()
	launch, err := exec.LookPath("gst-launch-1.0")
	if err != nil {
		t.Skipf("gst-launch-1.0 is missing: clips cannot be decoded (%v)", err)
	}
	pixels, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(launch, append([]string{"-v", "filesrc", "location=" + path, "!"}, strings.Fields(decoder)...)...)
	cmd.ExtraFiles = []*os.File{theirs}
	said, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = pixels.Close()
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	})
	c := &Clip{t: t, in: bufio.NewReaderSize(pixels, 1<<20)}
	caps := make(chan core.Caps, 1)
	go func() {
		defer close(drained)
		readCaps(said, caps)
	}()
	c.Caps = <-caps
	if c.Caps.Width == 0 {
		t.Fatalf("%s: the decoder says no caps", path)
	}
	_, size := core.Packed(core.I420, c.Caps.Width, c.Caps.Height)
	c.frame = make([]byte, size)
	return c
}

var fields = regexp.MustCompile(`out\.GstPad:sink: caps = .*`)

// readCaps reads gst-launch's lines to their end; the first caps of the sink go to caps, zero
// ones if there are none.
func readCaps(r io.Reader, caps chan<- core.Caps) {
	lines := bufio.NewScanner(r)
	found := false
	for lines.Scan() {
		if line := fields.FindString(lines.Text()); line != "" && !found {
			found = true
			caps <- parseCaps(line)
		}
	}
	if !found {
		caps <- core.Caps{}
	}
}

func parseCaps(line string) core.Caps {
	c := core.Caps{Format: core.I420}
	for _, field := range strings.Split(line, ", ") {
		name, value, _ := strings.Cut(field, "=")
		_, value, _ = strings.Cut(value, ")")
		switch name {
		case "width":
			c.Width, _ = strconv.Atoi(value)
		case "height":
			c.Height, _ = strconv.Atoi(value)
		case "framerate":
			_, _ = fmt.Sscanf(value, "%d/%d", &c.RateN, &c.RateD)
		}
	}
	return c
}

// Next decodes one frame into memory that the next call reuses; false at the end.
func (c *Clip) Next() bool {
	c.t.Helper()
	switch _, err := io.ReadFull(c.in, c.frame); err {
	case nil:
		c.seq++
		return true
	case io.EOF:
		return false
	default:
		c.t.Fatalf("frame %d: %v", c.seq+1, err)
		return false
	}
}

// Info gives what is known of the current frame; its PTS follows from the clip's rate.
func (c *Clip) Info() core.Frame {
	fps := c.Caps.FPS()
	if fps <= 0 {
		fps = 25
	}
	pts := time.Duration(float64(c.seq-1) / fps * float64(time.Second))
	return core.Frame{Stream: "clip", Seq: c.seq, PTS: core.PTS(pts), Caps: c.Caps}
}

// Frame gives the current picture with nodes in a format: GRAY8 (the luma plane itself), I420,
// RGB or BGR. The picture is scaled down by a box filter so that its longer side is at most
// maxSide; 0 leaves it as it is. It is valid until Next.
func (c *Clip) Frame(format core.PixelFormat, maxSide int, nodes ...*core.Node) *sdk.Frame {
	c.t.Helper()
	w, h := c.Caps.Width, c.Caps.Height
	layout, _ := core.Packed(core.I420, w, h)
	mem := c.frame
	switch format {
	case core.GRAY8:
		layout, _ = core.Packed(core.GRAY8, w, h)
	case core.RGB, core.BGR:
		layout, mem = c.packed(format)
	}
	if tw, th := (core.PictureSize{MaxSide: maxSide}).Fit(w, h); tw != w && format != core.I420 {
		layout, mem = Shrink(layout, mem, tw, th)
	}
	f, err := sdk.NewFrame(c.Info(), layout, mem, nodes)
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *Clip) packed(format core.PixelFormat) (core.Layout, []byte) {
	yuv, err := sdk.NewFrame(c.Info(), mustPacked(core.I420, c.Caps.Width, c.Caps.Height), c.frame, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return Pack(yuv.Image(), format)
}

func mustPacked(f core.PixelFormat, w, h int) core.Layout {
	l, _ := core.Packed(f, w, h)
	return l
}

// Pack copies a picture into GRAY8, RGB or BGR memory without padding.
func Pack(m image.Image, format core.PixelFormat) (core.Layout, []byte) {
	b := m.Bounds()
	layout, size := core.Packed(format, b.Dx(), b.Dy())
	mem := make([]byte, 0, size)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			at := m.At(x, y)
			if format == core.GRAY8 {
				mem = append(mem, color.GrayModel.Convert(at).(color.Gray).Y)
				continue
			}
			r, g, b, _ := at.RGBA()
			if format == core.BGR {
				r, b = b, r
			}
			mem = append(mem, uint8(r>>8), uint8(g>>8), uint8(b>>8))
		}
	}
	return layout, mem
}

// Shrink scales a GRAY8, RGB or BGR picture without padding down to w by h with a box filter,
// as the engine does.
func Shrink(from core.Layout, mem []byte, w, h int) (core.Layout, []byte) {
	n := 1
	if from.Format != core.GRAY8 {
		n = 3
	}
	to, size := core.Packed(from.Format, w, h)
	out := make([]byte, size)
	for y := range h {
		y0, y1 := y*from.Height/h, max((y+1)*from.Height/h, y*from.Height/h+1)
		for x := range w {
			x0, x1 := x*from.Width/w, max((x+1)*from.Width/w, x*from.Width/w+1)
			for c := range n {
				sum := 0
				for i := y0; i < y1; i++ {
					for j := x0; j < x1; j++ {
						sum += int(mem[(i*from.Width+j)*n+c])
					}
				}
				area := (y1 - y0) * (x1 - x0)
				out[(y*w+x)*n+c] = uint8((sum + area/2) / area)
			}
		}
	}
	return to, out
}

// Picture reads a JPEG, PNG or (where the test imports its decoder) other picture file.
func Picture(t testing.TB, path string) image.Image {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, _, err := image.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}

// Still makes frame 1 of a stream out of a picture.
func Still(t testing.TB, m image.Image, format core.PixelFormat, nodes ...*core.Node) *sdk.Frame {
	t.Helper()
	layout, mem := Pack(m, format)
	info := core.Frame{Stream: "still", Seq: 1, Caps: core.Caps{Format: format, Width: layout.Width, Height: layout.Height}}
	f, err := sdk.NewFrame(info, layout, mem, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Values gives the complete options of a capsule with some of them changed.
func Values(t testing.TB, c sdk.Capsule, given map[string]any) sdk.Values {
	t.Helper()
	v, err := c.Declaration().Complete(given)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
