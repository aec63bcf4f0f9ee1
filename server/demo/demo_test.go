package demo

import (
	"bytes"
	"context"
	"errors"
	"image"
	_ "image/jpeg"
	"io"
	"os"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// fake is a service that keeps what the demo adds.
type fake struct {
	streams    map[core.StreamNumber]core.StreamConfig
	zones      []core.Zone
	alarms     []core.Alarm
	blobs      map[core.BlobID]int
	identities map[int64]core.Identity
	vectors    []core.Vector
	noEncoder  error
	noStream   error
	last       int64
}

func newFake() *fake {
	return &fake{streams: map[core.StreamNumber]core.StreamConfig{}, blobs: map[core.BlobID]int{}, identities: map[int64]core.Identity{}}
}

func (f *fake) next() int64 { f.last++; return f.last }

func (f *fake) Streams(context.Context, service.Caller, core.PremisesID) (out []core.StreamConfig, _ error) {
	for _, s := range f.streams {
		out = append(out, s)
	}
	return out, nil
}

func (f *fake) SaveStream(_ context.Context, _ service.Caller, s core.StreamConfig) (core.StreamConfig, error) {
	s.Number = core.StreamNumber(f.next())
	f.streams[s.Number] = s
	if f.noStream != nil {
		delete(f.streams, s.Number)
	}
	return s, f.noStream
}

func (f *fake) DeleteStream(_ context.Context, _ service.Caller, n core.StreamNumber) error {
	delete(f.streams, n)
	f.zones, f.alarms = nil, nil
	return nil
}

func (f *fake) Analyze(_ context.Context, _ service.Caller, n core.StreamNumber, on bool) error {
	s := f.streams[n]
	s.Analyze = on
	f.streams[n] = s
	return nil
}

func (f *fake) Zones(context.Context, service.Caller, core.StreamNumber) ([]core.Zone, error) {
	return f.zones, nil
}

func (f *fake) SaveZone(_ context.Context, _ service.Caller, z core.Zone, a []core.Alarm) (core.Zone, []core.Alarm, error) {
	f.zones, f.alarms = append(f.zones, z), append(f.alarms, a...)
	return z, a, nil
}

func (f *fake) SaveBlob(_ context.Context, _ service.Caller, _ string, from io.Reader) (core.Blob, error) {
	data, err := io.ReadAll(from)
	id := core.BlobID(f.next())
	f.blobs[id] = len(data)
	return core.Blob{ID: id}, err
}

func (f *fake) DeleteBlob(_ context.Context, _ service.Caller, id core.BlobID) error {
	if _, ok := f.blobs[id]; !ok {
		return core.Faultf(core.NotFound, "", "blob", "none")
	}
	delete(f.blobs, id)
	return nil
}

func (f *fake) Identities(_ context.Context, _ service.Caller, by store.IdentityFilter) (out []core.Identity, _ int, _ error) {
	for _, i := range f.identities {
		if i.UniqueName == by.UniqueName {
			out = append(out, i)
		}
	}
	return out, len(out), nil
}

func (f *fake) SaveIdentity(_ context.Context, _ service.Caller, i core.Identity) (core.Identity, error) {
	i.ID = f.next()
	f.identities[i.ID] = i
	return i, nil
}

func (f *fake) DeleteIdentity(_ context.Context, _ service.Caller, id int64) error {
	delete(f.identities, id)
	f.vectors = nil
	return nil
}

func (f *fake) AddImage(_ context.Context, _ service.Caller, id int64, class string, blob core.BlobID) (core.Vector, error) {
	v := core.Vector{Identity: id, Class: class, Blob: blob}
	if f.noEncoder == nil {
		f.vectors = append(f.vectors, v)
	}
	return v, f.noEncoder
}

func (f *fake) Vectors(context.Context, service.Caller, store.VectorFilter) ([]core.Vector, error) {
	return f.vectors, nil
}

func render(_ context.Context, out string, pictures []string) error {
	for _, p := range pictures {
		if _, err := os.Stat(p); err != nil {
			return err
		}
	}
	return os.WriteFile(out, []byte("clip"), 0o600)
}

// TestAddAndRemove adds twice, which is as once, and removes everything.
func TestAddAndRemove(t *testing.T) {
	t.Parallel()
	for name, noEncoder := range map[string]error{"with an encoder": nil, "without one": errors.New("no encoder")} {
		f := newFake()
		f.noEncoder = noEncoder
		scratch := t.TempDir()
		for range 2 {
			shown, err := Add(t.Context(), f, render, scratch)
			if err != nil || shown.Named != (noEncoder == nil) || !errors.Is(shown.Why, noEncoder) || !f.streams[shown.Stream].Analyze {
				t.Fatalf("%s: %+v %v", name, shown, err)
			}
		}
		blobs := 1
		if noEncoder == nil {
			blobs = 2
		}
		if len(f.streams) != 1 || len(f.zones) != 1 || len(f.alarms) != 1 || len(f.identities) != 1 || len(f.blobs) != blobs {
			t.Errorf("%s: %+v", name, f)
		}
		if left, _ := os.ReadDir(scratch); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
		own, _ := f.SaveStream(t.Context(), Caller, core.StreamConfig{Name: StreamName})
		for range 2 {
			if err := Remove(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		if _, there := f.streams[own.Number]; !there || len(f.streams) != 1 || len(f.identities) != 0 || len(f.blobs) != 0 {
			t.Errorf("%s: %+v is left", name, f)
		}
	}
}

// TestFailedStream leaves no clip behind.
func TestFailedStream(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.noStream = errors.New("no")
	if _, err := Add(t.Context(), f, render, t.TempDir()); !errors.Is(err, f.noStream) || len(f.blobs) != 0 {
		t.Errorf("%v, %d blobs", err, len(f.blobs))
	}
}

// TestPictures reads the code back, and looks at the person.
func TestPictures(t *testing.T) {
	t.Parallel()
	code, err := qrCode()
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := image.Decode(bytes.NewReader(code))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := qrcode.NewQRCodeReader().Decode(bitmap, nil); err != nil || r.GetText() != codeText {
		t.Errorf("%v %v", r, err)
	}
	if c, _, err := image.DecodeConfig(bytes.NewReader(person)); err != nil || c.Width < 200 {
		t.Errorf("%v %v", c, err)
	}
}
