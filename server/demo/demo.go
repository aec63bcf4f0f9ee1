// Package demo fills a server with something to look at: a clip in which faces move, a zone, an
// alarm and a person, and takes it away again.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"path/filepath"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// person is testdata/sample.jpg of pigo; see README.md.
//
//go:embed person.jpg
var person []byte

// The names of what the demo adds.
const (
	StreamName = "Capstan demo"
	ZoneName   = "left half"
	AlarmName  = "a face on the left"
	PersonName = "capstan-demo"
	marker     = "capstan_demo" // key of the metadata of what is the demo's
	codeText   = "https://github.com/capstan-video/capstan"
)

// Width and Height are those of the clip, in pixels.
const (
	Width  = 960
	Height = 540
)

// Caller is who the demo's changes are by, in the audit log.
var Caller = service.Caller{Name: "demo", Role: core.Admin}

// Service is what the demo asks of the service.
type Service interface {
	Streams(ctx context.Context, c service.Caller, premises core.PremisesID) ([]core.StreamConfig, error)
	SaveStream(ctx context.Context, c service.Caller, s core.StreamConfig) (core.StreamConfig, error)
	DeleteStream(ctx context.Context, c service.Caller, n core.StreamNumber) error
	Analyze(ctx context.Context, c service.Caller, n core.StreamNumber, on bool) error
	Zones(ctx context.Context, c service.Caller, n core.StreamNumber) ([]core.Zone, error)
	SaveZone(ctx context.Context, c service.Caller, z core.Zone, alarms []core.Alarm) (core.Zone, []core.Alarm, error)
	SaveBlob(ctx context.Context, c service.Caller, mime string, from io.Reader) (core.Blob, error)
	DeleteBlob(ctx context.Context, c service.Caller, id core.BlobID) error
	Identities(ctx context.Context, c service.Caller, f store.IdentityFilter) ([]core.Identity, int, error)
	SaveIdentity(ctx context.Context, c service.Caller, i core.Identity) (core.Identity, error)
	DeleteIdentity(ctx context.Context, c service.Caller, id int64) error
	AddImage(ctx context.Context, c service.Caller, id int64, class string, blob core.BlobID) (core.Vector, error)
	Vectors(ctx context.Context, c service.Caller, f store.VectorFilter) ([]core.Vector, error)
}

// Render makes the clip of pictures in files, the first of which may come twice.
type Render func(ctx context.Context, out string, pictures []string) error

// Shown is what there is to look at.
type Shown struct {
	Stream core.StreamNumber
	Named  bool  // the person is known by the face
	Why    error // why not
}

// Add adds what is missing of the demo, and switches it on. scratch is a folder for the clip while it
// is made.
func Add(ctx context.Context, svc Service, render Render, scratch string) (Shown, error) {
	stream, err := addStream(ctx, svc, render, scratch)
	if err != nil {
		return Shown{}, err
	}
	out := Shown{Stream: stream.Number}
	if err := addZone(ctx, svc, stream.Number); err != nil {
		return out, err
	}
	if out.Why, err = addPerson(ctx, svc); err != nil {
		return out, err
	}
	out.Named = out.Why == nil
	return out, svc.Analyze(ctx, Caller, stream.Number, true)
}

// find gives the demo's stream, whatever it is called by now.
func find(ctx context.Context, svc Service) (core.StreamConfig, bool, error) {
	list, err := svc.Streams(ctx, Caller, 0)
	for _, s := range list {
		if s.Metadata[marker] == true {
			return s, true, err
		}
	}
	return core.StreamConfig{}, false, err
}

func addStream(ctx context.Context, svc Service, render Render, scratch string) (core.StreamConfig, error) {
	stream, there, err := find(ctx, svc)
	if err != nil || there {
		return stream, err
	}
	clip, err := makeClip(ctx, svc, render, scratch)
	if err != nil {
		return stream, err
	}
	stream, err = svc.SaveStream(ctx, Caller, core.StreamConfig{
		Name: StreamName, Connection: core.Connection{Kind: core.FileClip, Blob: clip.ID}, Metadata: map[string]any{marker: true},
	})
	if err != nil {
		err = errors.Join(err, svc.DeleteBlob(ctx, Caller, clip.ID))
	}
	return stream, err
}

// makeClip renders the clip and uploads it.
func makeClip(ctx context.Context, svc Service, render Render, scratch string) (b core.Blob, err error) {
	dir, err := os.MkdirTemp(scratch, "demo-")
	if err != nil {
		return b, err
	}
	defer os.RemoveAll(dir)
	code, err := qrCode()
	if err != nil {
		return b, err
	}
	face, qr, out := filepath.Join(dir, "person.jpg"), filepath.Join(dir, "code.png"), filepath.Join(dir, "demo.mp4")
	if err := errors.Join(os.WriteFile(face, person, 0o600), os.WriteFile(qr, code, 0o600)); err != nil {
		return b, err
	}
	if err := render(ctx, out, []string{face, qr}); err != nil {
		return b, err
	}
	f, err := os.Open(out)
	if err != nil {
		return b, err
	}
	defer f.Close()
	return svc.SaveBlob(ctx, Caller, "video/mp4", f)
}

// qrCode draws a code, with the quiet margin that readers want.
func qrCode() ([]byte, error) {
	matrix, err := qrcode.NewQRCodeWriter().Encode(codeText, gozxing.BarcodeFormat_QR_CODE, 240, 240, nil)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	img := image.NewGray(matrix.Bounds())
	draw.Draw(img, img.Bounds(), matrix, image.Point{}, draw.Src)
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return b.Bytes(), err
}

func addZone(ctx context.Context, svc Service, n core.StreamNumber) error {
	list, err := svc.Zones(ctx, Caller, n)
	if err != nil {
		return err
	}
	for _, z := range list {
		if z.Name == ZoneName {
			return nil
		}
	}
	zone := core.Zone{Stream: n, Name: ZoneName, Coords: core.Polygon{{X: 0, Y: 0}, {X: Width / 2, Y: 0}, {X: Width / 2, Y: Height}, {X: 0, Y: Height}}}
	_, _, err = svc.SaveZone(ctx, Caller, zone, []core.Alarm{{
		Name: AlarmName, Counts: []core.CountCondition{{Objects: core.Objects{Class: "face", Anchor: core.AnchorCenter}, Test: core.Greater, Value: 0}},
	}})
	return err
}

// addPerson adds the person of the picture, and the face where faces are encoded; why not is no
// error.
func addPerson(ctx context.Context, svc Service) (why, err error) {
	list, _, err := svc.Identities(ctx, Caller, store.IdentityFilter{UniqueName: PersonName})
	if err != nil {
		return nil, err
	}
	var who core.Identity
	if len(list) > 0 {
		who = list[0]
	} else if who, err = svc.SaveIdentity(ctx, Caller, core.Identity{UniqueName: PersonName, Nickname: "The person of the demo", Metadata: map[string]any{marker: true}}); err != nil {
		return nil, err
	}
	known, err := svc.Vectors(ctx, Caller, store.VectorFilter{Identity: who.ID})
	if err != nil || len(known) > 0 {
		return nil, err
	}
	picture, err := svc.SaveBlob(ctx, Caller, "image/jpeg", bytes.NewReader(person))
	if err != nil {
		return nil, err
	}
	if _, why = svc.AddImage(ctx, Caller, who.ID, "face", picture.ID); why != nil {
		err = svc.DeleteBlob(ctx, Caller, picture.ID)
	}
	return why, err
}

// Remove takes away what Add added, if it is there.
func Remove(ctx context.Context, svc Service) error {
	stream, there, err := find(ctx, svc)
	if err != nil {
		return err
	}
	if there {
		err = svc.DeleteStream(ctx, Caller, stream.Number)
		if blob := stream.Connection.Blob; err == nil && blob != 0 {
			err = gone(svc.DeleteBlob(ctx, Caller, blob))
		}
		if err != nil {
			return err
		}
	}
	list, _, err := svc.Identities(ctx, Caller, store.IdentityFilter{UniqueName: PersonName})
	if err != nil {
		return err
	}
	for _, who := range list {
		if who.Metadata[marker] != true {
			continue // somebody's own, of the same name
		}
		vectors, err := svc.Vectors(ctx, Caller, store.VectorFilter{Identity: who.ID})
		if err == nil {
			err = svc.DeleteIdentity(ctx, Caller, who.ID)
		}
		for _, v := range vectors {
			if err == nil && v.Blob != 0 {
				err = gone(svc.DeleteBlob(ctx, Caller, v.Blob))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gone takes what is not there for deleted.
func gone(err error) error {
	if core.KindOf(err) == core.NotFound {
		return nil
	}
	return err
}
