package gstreamer

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/hashicorp/go-hclog"
)

// camera is an RTSP server on loopback that plays H.264 in a circle at 30 fps.
type camera struct {
	server   *gortsplib.Server
	media    *description.Media
	user     string // empty: no password is asked
	password string
	stop     chan struct{}
	done     sync.WaitGroup
	once     sync.Once

	mu     sync.Mutex
	stream *gortsplib.ServerStream
	mute   bool // frames are no longer sent, connections stay
}

// accessUnits makes a second of H.264, each picture as its NAL units.
func accessUnits(t testing.TB) [][][]byte {
	t.Helper()
	b, err := os.ReadFile(build(t, "c.h264", "videotestsrc pattern=ball num-buffers=30 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! "+
		"x264enc speed-preset=ultrafast tune=zerolatency sliced-threads=false key-int-max=10 aud=true ! video/x-h264,stream-format=byte-stream,profile=constrained-baseline"))
	if err != nil {
		t.Fatal(err)
	}
	var units [][][]byte
	for _, nal := range bytes.Split(b, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		switch {
		case len(nal) == 0:
		case nal[0]&31 == 9: // a delimiter begins a picture
			units = append(units, nil)
		default:
			units[len(units)-1] = append(units[len(units)-1], nal)
		}
	}
	if len(units) != 30 {
		t.Fatalf("%d access units", len(units))
	}
	return units
}

func startCamera(t testing.TB, address, user, password string, units [][][]byte) *camera {
	t.Helper()
	c := &camera{user: user, password: password, stop: make(chan struct{})}
	c.media = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.H264{PayloadTyp: 96, PacketizationMode: 1}}}
	sound := &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{&format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}}}
	c.server = &gortsplib.Server{Handler: c, RTSPAddress: address}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.server.Start(); err != nil {
		t.Fatal(err)
	}
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Medias: []*description.Media{sound, c.media}}}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	c.done.Go(func() { c.send(t, units) })
	t.Cleanup(c.die)
	return c
}

func (c *camera) send(t testing.TB, units [][][]byte) {
	enc, err := c.media.Formats[0].(*format.H264).CreateEncoder()
	if err != nil {
		t.Error(err)
		return
	}
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	for n := uint32(0); ; n++ {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		packets, err := enc.Encode(units[int(n)%len(units)])
		if err != nil {
			t.Error(err)
			return
		}
		c.mu.Lock()
		for _, p := range packets {
			p.Timestamp = n * 3000
			if !c.mute {
				c.stream.WritePacketRTP(c.media, p)
			}
		}
		c.mu.Unlock()
	}
}

// die ends the server and every connection to it.
func (c *camera) die() {
	c.once.Do(func() {
		close(c.stop)
		c.done.Wait()
		c.stream.Close()
		c.server.Close()
	})
}

func (c *camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if c.user != "" && !ctx.Conn.VerifyCredentials(ctx.Request, c.user, c.password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestRTSP plays a camera, lets it die, and opens it again.
func TestRTSP(t *testing.T) {
	t.Parallel()
	units := accessUnits(t)
	address := freeAddress(t)
	c := startCamera(t, address, "me", "ge@heim", units)
	var log bytes.Buffer
	m, err := New(hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log}))
	if err != nil {
		t.Fatal(err)
	}
	m.Stall = 3 * time.Second
	url := "rtsp://me:ge%40heim@" + address + "/cam"
	for round := range 2 {
		st := open(t, m, pipeline.Source{URL: url})
		if i := st.Info(); !i.Live || i.Caps.Width != 320 || i.Frames != 0 {
			t.Errorf("info is %+v", i)
		}
		last := core.PTS(-1)
		for range 40 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			f, p, err := st.Next(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			p.Release()
			if f.PTS <= last || time.Since(f.Captured) > 5*time.Second || f.Captured.After(time.Now()) {
				t.Errorf("frame %+v after PTS %v", f, last)
			}
			last = f.PTS
		}
		if s := st.Stats(); s.InArena != 40 {
			t.Errorf("stats are %+v", s)
		}
		if round == 0 {
			c.die()
			frames, err := drain(t, st, nil)
			if k := core.KindOf(err); k != core.SourceBroken && k != core.SourceStalled || len(frames) > 30 {
				t.Errorf("after its death: %d frames, %v", len(frames), err)
			}
			if _, err := m.Open(t.Context(), pipeline.Source{URL: url}); core.KindOf(err) != core.SourceOpen {
				t.Errorf("a dead camera opens with %v", err)
			} else if strings.Contains(err.Error(), "heim") {
				t.Errorf("the password is in %v", err)
			}
			c = startCamera(t, address, "me", "ge@heim", units)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(log.String(), "heim") {
		t.Errorf("the password is in the log: %s", &log)
	}
}

// TestRTSPMute has the camera send nothing more on an open connection.
func TestRTSPMute(t *testing.T) {
	t.Parallel()
	c := startCamera(t, freeAddress(t), "", "", accessUnits(t))
	m := newMedia(t)
	m.Stall = time.Second
	st := open(t, m, pipeline.Source{URL: "rtsp://" + c.server.RTSPAddress + "/cam"})
	if _, p, err := st.Next(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		p.Release()
	}
	c.mu.Lock()
	c.mute = true
	c.mu.Unlock()
	if _, err := drain(t, st, nil); core.KindOf(err) != core.SourceStalled && core.KindOf(err) != core.SourceBroken {
		t.Errorf("it ends with %v", err)
	}
}

// TestRTSPSilence opens a server that accepts and says nothing.
func TestRTSPSilence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := newMedia(t)
	m.OpenLimit = time.Second
	if _, err := m.Open(t.Context(), pipeline.Source{URL: "rtsp://" + l.Addr().String() + "/x"}); core.KindOf(err) != core.SourceOpen || !strings.Contains(err.Error(), "1s") {
		t.Errorf("it opens with %v", err)
	}
}

// TestRTSPRefused gives the wrong password.
func TestRTSPRefused(t *testing.T) {
	t.Parallel()
	c := startCamera(t, freeAddress(t), "me", "geheim", accessUnits(t))
	_, err := newMedia(t).Open(t.Context(), pipeline.Source{URL: "rtsp://me:falsch@" + c.server.RTSPAddress + "/cam"})
	if core.KindOf(err) != core.SourceOpen || strings.Contains(err.Error(), "falsch") || !strings.Contains(err.Error(), "password") {
		t.Errorf("it opens with %v", err)
	}
}

// TestRTSPSlowReader takes a frame now and then: the newest, the others are counted.
func TestRTSPSlowReader(t *testing.T) {
	t.Parallel()
	c := startCamera(t, freeAddress(t), "", "", accessUnits(t))
	st := open(t, newMedia(t), pipeline.Source{URL: "rtsp://" + c.server.RTSPAddress + "/cam"})
	last := uint64(0)
	for range 5 {
		f, p, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		last = f.Seq
		time.Sleep(300 * time.Millisecond)
	}
	s := st.Stats()
	if s.Dropped < 10 || s.Frames+s.Dropped != last {
		t.Errorf("seq %d, %+v", last, s)
	}
}
