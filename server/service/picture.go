package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // pictures that are sent in
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/push"
)

const (
	maxPixels      = 64 << 20 // of a picture that is sent in, and of all that are looked at at one time
	jpegQuality    = 88
	pictureTimeout = time.Minute // for all capsules together
)

// JPEG encodes a picture: I420 without padding, of the size and colours of caps. Quality is 1 to 100.
type JPEG func(ctx context.Context, i420 []byte, caps core.Caps, quality int) ([]byte, error)

// pictureOf makes a JPEG of a result's picture, in colour, with what was found on it (see DrawBoxes).
// The stream waits for it.
func (s *Service) pictureOf(ctx context.Context, r *pipeline.Result) ([]byte, error) {
	var data []byte
	var err error
	if s.cfg.JPEG != nil {
		data, err = s.encode(ctx, r)
	} else {
		data, err = goJPEG(r)
	}
	if err != nil {
		return nil, err
	}
	return withBoxes(data, r.Nodes), nil
}

// encode has the picture encoded by the encoder of the configuration.
func (s *Service) encode(ctx context.Context, r *pipeline.Result) ([]byte, error) {
	picture, err := i420Of(r)
	if err != nil {
		return nil, err
	}
	return s.cfg.JPEG(ctx, picture.Pixels, picture.Caps, jpegQuality)
}

// goJPEG encodes without anything else.
func goJPEG(r *pipeline.Result) ([]byte, error) {
	v, err := r.View([]core.PixelFormat{core.RGB}, core.PictureSize{})
	if err != nil {
		if v, err = r.View([]core.PixelFormat{core.I420}, core.PictureSize{}); err != nil {
			return nil, err
		}
	}
	l, mem := v.Layout, v.Arena.Bytes()
	if err := l.Check(int64(len(mem))); err != nil {
		return nil, err
	}
	var img image.Image
	if l.Format == core.RGB {
		img = fromRGB(l, mem)
	} else {
		img = fromI420(l, mem)
	}
	var out bytes.Buffer
	err = jpeg.Encode(&out, img, &jpeg.Options{Quality: jpegQuality})
	return out.Bytes(), err
}

func fromRGB(l core.Layout, mem []byte) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, l.Width, l.Height))
	for y := range l.Height {
		from := mem[l.Planes[0].Offset+int64(y*l.Planes[0].Stride):]
		to := img.Pix[y*img.Stride:]
		for x := range l.Width {
			to[4*x], to[4*x+1], to[4*x+2], to[4*x+3] = from[3*x], from[3*x+1], from[3*x+2], 255
		}
	}
	return img
}

// fromI420 stretches limited range to the full range that JPEG has.
func fromI420(l core.Layout, mem []byte) image.Image {
	img := image.NewYCbCr(image.Rect(0, 0, l.Width, l.Height), image.YCbCrSubsampleRatio420)
	for i, to := range [][]byte{img.Y, img.Cb, img.Cr} {
		row, rows := core.I420.PlaneSize(i, l.Width, l.Height)
		stride := img.YStride
		if i > 0 {
			stride = img.CStride
		}
		for y := range rows {
			from := mem[l.Planes[i].Offset+int64(y*l.Planes[i].Stride):]
			for x := range row {
				v := int(from[x])
				switch {
				case l.FullRange:
				case i == 0:
					v = (v - 16) * 255 / 219
				default:
					v = 128 + (v-128)*255/224
				}
				to[y*stride+x] = byte(min(max(v, 0), 255))
			}
		}
	}
	return img
}

// desk is where pictures are looked at: together they have no more pixels than the largest may have, since
// one of those takes up to a gigabyte. Others wait for their turn.
type desk struct{ room *semaphore.Weighted }

func newDesk() desk { return desk{semaphore.NewWeighted(maxPixels)} }

// look decodes a picture when there is room for it, for pictureTimeout at most; done gives the room back.
func (d desk) look(ctx context.Context, data []byte) (img image.Image, done func(), err error) {
	size, err := sizeOf(data)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTimeout)
	defer cancel()
	pixels := int64(size.X) * int64(size.Y)
	if err := d.room.Acquire(ctx, pixels); err != nil {
		return nil, nil, core.Faultf(core.Exhausted, "", "image", "too many pictures are looked at already: %w", err)
	}
	if img, err = decodeSized(data); err != nil {
		d.room.Release(pixels)
		return nil, nil, err
	}
	return img, func() { d.room.Release(pixels) }, nil
}

// sizeOf gives the size of a JPEG or PNG; Invalid on "image" when it is neither or too large.
func sizeOf(data []byte) (image.Point, error) {
	cfg, format, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case err != nil || format != "jpeg" && format != "png":
		f := core.Faultf(core.Invalid, "", "image", "it is not a JPEG or PNG picture, but %s", http.DetectContentType(data))
		f.Hint = "save it as JPEG or PNG"
		return image.Point{}, f
	case cfg.Width < 1 || cfg.Height < 1 || cfg.Width > 1<<14 || cfg.Height > 1<<14 || cfg.Width*cfg.Height > maxPixels:
		return image.Point{}, invalid("image", "it has %dx%d pixels; want at most %d", cfg.Width, cfg.Height, maxPixels)
	}
	return image.Pt(cfg.Width, cfg.Height), nil
}

// decodePicture reads a JPEG or PNG, and turns it as its Exif data says; Invalid on "image" when it is
// neither or too large.
func decodePicture(data []byte) (image.Image, error) {
	if _, err := sizeOf(data); err != nil {
		return nil, err
	}
	return decodeSized(data)
}

// decodeSized is decodePicture for a picture whose size has been looked at.
func decodeSized(data []byte) (image.Image, error) {
	img, format, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, invalid("image", "it cannot be read: %w", err)
	}
	if format == "jpeg" {
		img = upright(img, orientation(data))
	}
	return img, nil
}

// runPicture gives what capsules find on a picture, and what failed. Capsules run on every frame
// and without gates: on a picture nothing moves.
func (s *Service) runPicture(ctx context.Context, img image.Image, active []string, options map[string]map[string]any) ([]*core.Node, []string, error) {
	if s.cfg.Pictures == nil {
		return nil, nil, unsupported("image", "this server takes no pictures")
	}
	ctx, cancel := context.WithTimeout(ctx, pictureTimeout)
	defer cancel()
	feed, err := s.cfg.Pictures.Feed(fmt.Sprintf("picture-%d", s.pictures.Add(1)), push.Config{})
	if err != nil {
		return nil, nil, err
	}
	defer feed.Close()
	if err := feed.Push(ctx, push.Frame{Image: img}); err != nil {
		return nil, nil, err
	}
	feed.End()
	job := pipeline.Job{Source: feed.Source(), Active: active, Options: options, Window: 1, EveryN: map[string]int{}, Gates: map[string]core.Gate{}}
	for _, name := range active {
		job.EveryN[name], job.Gates[name] = 1, core.Gate{}
	}
	session, err := s.cfg.Engine.Open(ctx, job)
	if err != nil {
		return nil, nil, err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { _ = session.Close() }) // Next waits for capsules whatever ctx says
	defer stop()
	result, err := session.Next(ctx)
	if result != nil {
		result.Release()
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil, core.Faultf(core.CapsuleDeadline, "", "image", "it took too long: %w", context.Cause(ctx))
	case errors.Is(err, io.EOF):
		return nil, nil, core.Faultf(core.Internal, "", "image", "no result came of it")
	case err != nil:
		return nil, nil, err
	}
	var failed []string
	for reason := range result.Drops {
		failed = append(failed, reason)
	}
	slices.Sort(failed)
	return result.Nodes, failed, nil
}

// ProcessImage runs the named capsules, and no others, on a picture.
func (s *Service) ProcessImage(ctx context.Context, c Caller, picture []byte, capsules []string, options map[string]map[string]any) ([]*core.Node, error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	active := []string{}
	for _, name := range capsules {
		c, err := s.capsule(name)
		if err == nil {
			err = runs(c)
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(active, name) {
			active = append(active, name)
		}
	}
	for name, given := range options {
		running, err := s.capsule(name)
		if err != nil {
			return nil, err
		}
		if _, err := running.Declaration().Complete(given); err != nil {
			return nil, on("option", err)
		}
	}
	img, done, err := s.desk.look(ctx, picture)
	if err != nil {
		return nil, err
	}
	defer done()
	nodes, failed, err := s.runPicture(ctx, img, active, options)
	if err != nil {
		return nil, err
	}
	if len(failed) > 0 {
		return nil, core.Faultf(core.CapsuleFailed, "", "image", "%s", strings.Join(failed, ", "))
	}
	s.gallery.name(s.encodersWith(options), nodes)
	return nodes, nil
}
