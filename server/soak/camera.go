package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"net"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"
)

// cameraRate is that of a camera's pictures, a second.
const cameraRate = 20

// camera is an RTSP server with Motion JPEG, that can be broken.
type camera struct {
	address string
	stop    chan struct{}
	done    sync.WaitGroup

	mu      sync.Mutex
	server  *gortsplib.Server // nil: it is away
	stream  *gortsplib.ServerStream
	media   *description.Media
	mute    bool // nothing is sent, connections stay
	garbage bool // what is sent is noise
	large   bool // pictures are four times as large
}

// newCamera gives a camera on a free port that is on; the caller closes it.
func newCamera() (*camera, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &camera{address: l.Addr().String(), stop: make(chan struct{})}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := c.on(); err != nil {
		return nil, err
	}
	c.done.Go(c.send)
	return c, nil
}

func (c *camera) url() string { return "rtsp://" + c.address + "/camera" }

// on switches the camera on, on the port that it had.
func (c *camera) on() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		return nil
	}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.MJPEG{}}}
	server := &gortsplib.Server{Handler: c, RTSPAddress: c.address}
	if err := server.Start(); err != nil {
		return err
	}
	stream := &gortsplib.ServerStream{Server: server, Desc: &description.Session{Medias: []*description.Media{media}}}
	if err := stream.Initialize(); err != nil {
		server.Close()
		return err
	}
	c.server, c.stream, c.media = server, stream, media
	return nil
}

// off ends the server and every connection to it.
func (c *camera) off() {
	c.mu.Lock()
	server, stream := c.server, c.stream
	c.server, c.stream = nil, nil
	c.mu.Unlock()
	if server != nil { // without the lock: it waits for handlers
		stream.Close()
		server.Close()
	}
}

func (c *camera) close() {
	close(c.stop)
	c.done.Wait()
	c.off()
}

// set changes what is wrong with the camera.
func (c *camera) set(change func(*camera)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// send sends pictures until the camera is closed.
func (c *camera) send() {
	tick := time.NewTicker(time.Second / cameraRate)
	defer tick.Stop()
	small, large := picture(160, 120), picture(320, 240)
	encoder, err := (&format.MJPEG{}).CreateEncoder()
	if err != nil {
		return // it never fails
	}
	for n := uint32(0); ; n++ {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		text := small
		if c.large {
			text = large
		}
		packets, err := encoder.Encode(text)
		if err == nil && c.stream != nil && !c.mute {
			c.write(packets, n*90000/cameraRate)
		}
		c.mu.Unlock()
	}
}

func (c *camera) write(packets []*rtp.Packet, at uint32) {
	for _, p := range packets {
		p.Timestamp = at
		if c.garbage {
			_, _ = rand.Read(p.Payload) // it never fails
		}
		_ = c.stream.WritePacketRTP(c.media, p)
	}
}

// picture is a JPEG as RTP carries it: baseline, 4:2:0, with the tables of the standard.
func picture(width, height int) []byte {
	img := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = uint8(i % width * 255 / width) // #nosec G115 -- below 256
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = color.Gray{Y: 128}.Y, 128
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, nil) // a buffer takes all
	return b.Bytes()
}

var errAway = errors.New("the camera is away")

func (c *camera) now() (*base.Response, *gortsplib.ServerStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, errAway
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnDescribe implements gortsplib's handler.
func (c *camera) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.now()
}

// OnSetup implements gortsplib's handler.
func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.now()
}

// OnPlay implements gortsplib's handler.
func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// babbler takes connections and answers with noise.
type babbler struct {
	listener net.Listener
	done     sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func newBabbler() (*babbler, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &babbler{listener: l, open: map[net.Conn]bool{}}
	b.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open[c] = true
			b.mu.Unlock()
			b.done.Go(func() { b.talk(c) })
		}
	})
	return b, nil
}

// talk sends noise, a little at a time, until the other side has enough.
func (b *babbler) talk(c net.Conn) {
	defer func() {
		_ = c.Close()
		b.mu.Lock()
		delete(b.open, c)
		b.mu.Unlock()
	}()
	noise := make([]byte, 512)
	for range 1000 {
		_, _ = rand.Read(noise) // it never fails
		if _, err := c.Write(noise); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (b *babbler) url(scheme string) string {
	return scheme + "://" + b.listener.Addr().String() + "/x"
}

func (b *babbler) close() {
	_ = b.listener.Close()
	b.mu.Lock()
	for c := range b.open {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.done.Wait()
}
