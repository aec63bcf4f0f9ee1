package service

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/bcrypt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// FuzzPicture reads pictures that are sent in: what is no picture, or too large a one, is the
// sender's fault.
func FuzzPicture(f *testing.F) {
	var j, p bytes.Buffer
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	if err := jpeg.Encode(&j, img, nil); err != nil {
		f.Fatal(err)
	}
	if err := png.Encode(&p, img); err != nil {
		f.Fatal(err)
	}
	f.Add(j.Bytes())
	f.Add(p.Bytes())
	f.Add(withOrientation(j.Bytes(), binary.LittleEndian, 6))
	f.Add(withOrientation(j.Bytes(), binary.BigEndian, 3))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x40\x00\x00\x00\x40\x00\x10\x06\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := decodePicture(data)
		switch {
		case err != nil && core.KindOf(err) != core.Invalid:
			t.Errorf("%v", err)
		case err == nil && (img.Bounds().Empty() || img.Bounds().Dx()*img.Bounds().Dy() > maxPixels):
			t.Errorf("a picture of %v", img.Bounds())
		}
	})
}

// FuzzStreamURL: no URL of a camera breaks anything, none shows its password to viewers, and one that
// comes back as it was shown keeps it.
func FuzzStreamURL(f *testing.F) {
	for _, u := range []string{"rtsp://me:secret@10.0.0.1/x", "rtsp://me@10.0.0.1", "rtsp://:@h", "http://a:b%3Ac@h/?q=%zz", "rtsps://[::1]:1/", "test://?size=1x1", "rtsp://a:xxxxx@h", "rtsp://a:b@h\x00"} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, given string) {
		cfg := core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: given}}
		if err := checkStream(cfg); err != nil {
			if kind := core.KindOf(err); kind != core.Invalid && kind != core.Unsupported {
				t.Errorf("%q: %v", given, err)
			}
			return
		}
		seen := shown(Caller{Role: core.Viewer}, cfg).Connection.URL
		u, err := url.Parse(given)
		if err != nil {
			t.Fatalf("%q was let in: %v", given, err)
		}
		password, has := u.User.Password()
		if v, err := url.Parse(seen); err != nil {
			t.Errorf("%q is shown as %q: %v", given, seen, err)
		} else if p, _ := v.User.Password(); has && p != hiddenPassword {
			t.Errorf("%q is shown as %q", given, seen)
		}
		if !has || password == hiddenPassword {
			return
		}
		back, err := keepPassword(seen, given)
		if err != nil {
			t.Fatalf("%q, shown as %q: %v", given, seen, err)
		}
		if v, err := url.Parse(back); err != nil || v.User.String() != u.User.String() {
			t.Errorf("%q, shown as %q, came back as %q (%v)", given, seen, back, err)
		}
	})
}

// FuzzZone: a zone that is let in can be evaluated, whatever its shape and whoever moves through it.
func FuzzZone(f *testing.F) {
	floats := func(list ...float64) (b []byte) {
		for _, v := range list {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return b
	}
	f.Add(floats(0, 0, 10, 0, 10, 10, 0, 10), floats(5, 5, 20, 5, 5, 5))
	f.Add(floats(0, 0, 10, 10), floats(0, 10, 10, 0, 0, 10))
	f.Add(floats(1e308, 0, -1e308, 0, 0, 1e308), floats(math.MaxFloat64, 0, -math.MaxFloat64, 1))
	f.Add(floats(math.NaN(), 0, math.Inf(1), 0, 0, 0), floats(0, 0))
	f.Fuzz(func(t *testing.T, shape, way []byte) {
		z := core.Zone{ID: 1, Name: "z", Stream: 1, Coords: points(shape, 64)}
		if err := checkZone(z); err != nil {
			if kind := core.KindOf(err); kind != core.Invalid && kind != core.Denied {
				t.Errorf("%v: %v", z.Coords, err)
			}
			return
		}
		w := zones.New([]core.Zone{z}, nil, nil)
		for i, p := range points(way, 32) {
			n := &core.Node{Class: "person", TrackID: "a", Coords: core.Rect(p.X-1, p.Y-1, p.X+1, p.Y+1)}
			for _, s := range w.Update(core.PTS(i)*1e8, []*core.Node{n}) {
				if len(s.Within) > 1 || len(s.Entering) > 1 || len(s.Exiting) > 1 {
					t.Errorf("one person is %+v", s)
				}
			}
		}
		for _, total := range w.Totals() {
			if total.Entered["person"] > 32 || total.Exited["person"] > 32 {
				t.Errorf("totals %+v of 32 steps", total)
			}
		}
	})
}

func points(b []byte, most int) (out core.Polygon) {
	for ; len(b) >= 16 && len(out) < most; b = b[16:] {
		out = append(out, core.Point{X: math.Float64frombits(binary.LittleEndian.Uint64(b)), Y: math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))})
	}
	return out
}

// FuzzCredentials: nobody is let in by what nobody was given, and nothing that is sent is more than
// refused.
func FuzzCredentials(f *testing.F) {
	dir := f.TempDir()
	db, err := sqlstore.Open(f.Context(), "sqlite:"+filepath.Join(dir, "capstan.db"))
	if err != nil {
		f.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "blobs"), blob.Options{})
	if err != nil {
		f.Fatal(err)
	}
	engine := pipeline.New(&pipelinetest.Media{}, hclog.NewNullLogger())
	s, _, err := New(f.Context(), Config{Store: db, Blobs: blobs, Engine: engine, Cost: bcrypt.MinCost, Password: "right"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _, _, _ = s.Close(), engine.Close(), blobs.Close(), db.Close() })
	for _, v := range []string{"", ".", "1.", "1.x", "-1.x", "99999999999999999999.x", "1", TokenPrefix, TokenPrefix + strings.Repeat("x", 100), "admin", "\x00", "\xff", strings.Repeat("a", 100)} {
		f.Add(v, v)
	}
	f.Fuzz(func(t *testing.T, name, secret string) {
		if name == "admin" && secret == "right" {
			t.Skip()
		}
		_, err1 := s.Resume(t.Context(), secret)
		_, err2 := s.Bearer(t.Context(), secret)
		_, token, err3 := s.Authenticate(t.Context(), name, secret)
		for _, err := range []error{err1, err2, err3} {
			if core.KindOf(err) != core.Denied {
				t.Errorf("%q, %q: %v, token %q", name, secret, err, token)
			}
		}
	})
}
