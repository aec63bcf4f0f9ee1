package sqlstore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

type premisesRow struct {
	bun.BaseModel `bun:"table:premises"`

	ID   int64 `bun:",pk,autoincrement"`
	Name string
}

func (r *premisesRow) value() (core.Premises, error) {
	return core.Premises{ID: core.PremisesID(r.ID), Name: r.Name}, nil
}

func (t *tx) Premises() ([]core.Premises, error) {
	return list[core.Premises, premisesRow](t, byID("", 0))
}

func (t *tx) OnePremises(id core.PremisesID) (core.Premises, error) {
	return one[core.Premises, premisesRow](t, "premises", int64(id))
}

func (t *tx) SavePremises(p core.Premises) (core.PremisesID, error) {
	c := check{noun: "premises"}
	c.name("the name", p.Name)
	if c.err != nil {
		return 0, c.err
	}
	r := premisesRow{ID: int64(p.ID), Name: p.Name}
	err := t.save("premises", r.ID, &r)
	return core.PremisesID(r.ID), err
}

func (t *tx) DeletePremises(id core.PremisesID) error {
	if err := t.deleteFrames("stream_id IN (SELECT id FROM streams WHERE premises_id = ?)", int64(id)); err != nil {
		return err
	}
	return t.remove("premises", "premises", int64(id))
}

type streamRow struct {
	bun.BaseModel `bun:"table:streams"`

	ID            int64 `bun:",pk,autoincrement"`
	Name          string
	PremisesID    int64 `bun:",nullzero"`
	Kind          string
	URL           string
	Device        int
	BlobID        int64 `bun:",nullzero"`
	Transcode     bool
	Pipeline      string
	Source        string // digest, see source
	KeyframesOnly bool
	Metadata      string
	Running       bool
	Said          string // JSON of said; empty: nothing
}

// said is core.Said as it is kept.
type said struct {
	Keyframes bool            `json:"keyframes,omitempty"`
	Transcode bool            `json:"transcode,omitempty"`
	Other     json.RawMessage `json:"other,omitempty"`
}

// said gives how the options were put as JSON text.
func (c *check) said(s core.Said) string {
	out := said{Keyframes: s.Keyframes, Transcode: s.Transcode}
	if len(s.Other) > 0 {
		out.Other = json.RawMessage(c.object("the options", s.Other))
	}
	if c.err != nil || !out.Keyframes && !out.Transcode && out.Other == nil {
		return ""
	}
	return c.json("the options", out)
}

// fromSaid is the inverse of check.said.
func fromSaid(text string) (s core.Said, err error) {
	if text == "" {
		return s, nil
	}
	var in said
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return s, err
	}
	s.Keyframes, s.Transcode = in.Keyframes, in.Transcode
	if in.Other != nil {
		s.Other, err = fromObject(string(in.Other))
	}
	return s, err
}

func (r *streamRow) value() (core.StreamConfig, error) {
	meta, err := fromObject(r.Metadata)
	said, saidErr := fromSaid(r.Said)
	return core.StreamConfig{
		Number: core.StreamNumber(r.ID), Name: r.Name, Premises: core.PremisesID(r.PremisesID),
		Connection: core.Connection{
			Kind: core.ConnectionKind(r.Kind), URL: r.URL, Device: r.Device, Blob: core.BlobID(r.BlobID),
			Transcode: r.Transcode, Pipeline: r.Pipeline,
		},
		KeyframesOnly: r.KeyframesOnly, Metadata: meta, Analyze: r.Running, Said: said,
	}, first(err, saidErr)
}

// source is what makes two connections the same: what the video comes from, not how it is played.
// A digest, since an index of PostgreSQL takes no long URL; without the password, which could be
// guessed from it.
func source(c core.Connection) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d\n%s", c.Kind, c.Device, c.Blob, withoutPassword(c.URL)))
	return hex.EncodeToString(sum[:])
}

func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	u.User = url.User(u.User.Username())
	return u.String()
}

func (t *tx) Streams(premises core.PremisesID) ([]core.StreamConfig, error) {
	return list[core.StreamConfig, streamRow](t, byID("premises_id", int64(premises)))
}

func (t *tx) Stream(n core.StreamNumber) (core.StreamConfig, error) {
	return one[core.StreamConfig, streamRow](t, "stream", int64(n))
}

func (t *tx) SaveStream(s core.StreamConfig) (core.StreamNumber, error) {
	c := check{noun: "stream"}
	c.name("the name", s.Name)
	c.name("the kind of connection", string(s.Connection.Kind))
	c.text("the URL", s.Connection.URL)
	c.text("the pipeline", s.Connection.Pipeline)
	r := streamRow{
		ID: int64(s.Number), Name: s.Name, PremisesID: int64(s.Premises),
		Kind: string(s.Connection.Kind), URL: s.Connection.URL, Device: s.Connection.Device,
		BlobID: int64(s.Connection.Blob), Transcode: s.Connection.Transcode, Pipeline: s.Connection.Pipeline,
		Source: source(s.Connection), KeyframesOnly: s.KeyframesOnly,
		Metadata: c.object("the metadata", s.Metadata), Running: s.Analyze, Said: c.said(s.Said),
	}
	if c.err != nil {
		return 0, c.err
	}
	if err := t.admitStream(&r); err != nil {
		return 0, err
	}
	err := t.save("stream", r.ID, &r)
	return core.StreamNumber(r.ID), err
}

// admitStream looks for what the row names, and for another stream of the same source.
func (t *tx) admitStream(r *streamRow) error {
	if err := t.needIf("stream", "streams", r.ID); err != nil {
		return err
	}
	if err := t.needIf("premises", "premises", r.PremisesID); err != nil {
		return err
	}
	if err := t.needIf("blob", "blobs", r.BlobID); err != nil {
		return err
	}
	same, err := t.any("SELECT 1 FROM streams WHERE source = ? AND id <> ?", r.Source, r.ID)
	if err == nil && same {
		err = taken("stream", "another one has the same connection")
	}
	return err
}

func (t *tx) DeleteStream(n core.StreamNumber) error {
	if err := t.deleteFrames("stream_id = ?", int64(n)); err != nil {
		return err
	}
	return t.remove("stream", "streams", int64(n))
}

type blobRow struct {
	bun.BaseModel `bun:"table:blobs"`

	ID      int64 `bun:",pk,autoincrement"`
	Type    string
	Size    int64
	SHA256  string `bun:"sha256"`
	Created int64
}

func (r *blobRow) value() (core.Blob, error) {
	return core.Blob{ID: core.BlobID(r.ID), Type: r.Type, Size: r.Size, SHA256: r.SHA256, Created: fromMicros(r.Created)}, nil
}

func (t *tx) Blob(id core.BlobID) (core.Blob, error) {
	return one[core.Blob, blobRow](t, "blob", int64(id))
}

func (t *tx) Blobs(p store.Page) ([]core.Blob, error) {
	cut, err := page("blob", p)
	if err != nil {
		return nil, err
	}
	return list[core.Blob, blobRow](t, func(q *bun.SelectQuery) *bun.SelectQuery { return cut(q.OrderExpr("id")) })
}

func (t *tx) SaveBlob(b core.Blob) (core.BlobID, error) {
	c := check{noun: "blob"}
	c.name("the type", b.Type)
	c.name("the digest", b.SHA256)
	if c.err != nil {
		return 0, c.err
	}
	r := blobRow{ID: int64(b.ID), Type: b.Type, Size: b.Size, SHA256: b.SHA256, Created: micros(b.Created)}
	err := t.save("blob", r.ID, &r)
	return core.BlobID(r.ID), err
}

func (t *tx) DeleteBlob(id core.BlobID) error { return t.remove("blob", "blobs", int64(id)) }
