package service

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
	"github.com/capstan-video/capstan/pipeline/plan"
	"github.com/capstan-video/capstan/server/store"
)

const (
	maxPicture = 64 << 20 // bytes of a picture to be encoded
	// samePlace is the overlap (IoU) at which two detections on a picture are one object.
	samePlace = 0.5
)

// Identities gives a page of identities and how many there are in all.
func (s *Service) Identities(ctx context.Context, c Caller, f store.IdentityFilter) (list []core.Identity, n int, err error) {
	switch {
	case f.Page.Limit < 0 || f.Page.Offset < 0:
		return nil, 0, invalid("identities", "limit %d and offset %d; want 0 or more", f.Page.Limit, f.Page.Offset)
	case f.SortBy != "" && !slices.Contains(store.IdentityOrders, f.SortBy):
		return nil, 0, invalid("identities", "sorted by %.100q; want one of %s", f.SortBy, strings.Join(store.IdentityOrders, ", "))
	}
	err = s.view(ctx, c, func(tx store.Tx) error { list, n, err = tx.Identities(f); return err })
	return list, n, err
}

// Identity gives one identity.
func (s *Service) Identity(ctx context.Context, c Caller, id int64) (i core.Identity, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { i, err = tx.Identity(id); return on("identity", err) })
	return i, err
}

// SaveIdentity makes or changes an identity; running streams know it when it returns.
func (s *Service) SaveIdentity(ctx context.Context, c Caller, i core.Identity) (core.Identity, error) {
	if i.UniqueName == "" || len(i.UniqueName) > maxName || len(i.Nickname) > maxName {
		return i, invalid("identities", "its unique name has %d bytes, its nickname %d; want 1 (0) to %d", len(i.UniqueName), len(i.Nickname), maxName)
	}
	if i.Metadata == nil {
		i.Metadata = map[string]any{}
	}
	s.change.Lock()
	defer s.change.Unlock()
	err := s.update(ctx, c, "save identity", func(tx store.Tx) (string, error) {
		id, err := tx.SaveIdentity(i)
		if err == nil {
			i.ID = id
		}
		return i.UniqueName, on("identity", err)
	})
	if err == nil {
		s.gallery.meet(i)
	}
	return i, err
}

// DeleteIdentity deletes an identity with its vectors.
func (s *Service) DeleteIdentity(ctx context.Context, c Caller, id int64) error {
	s.change.Lock()
	defer s.change.Unlock()
	var gone []core.Vector
	err := s.update(ctx, c, "delete identity", func(tx store.Tx) (string, error) {
		var err error
		if gone, err = tx.Vectors(store.VectorFilter{Identity: id}); err != nil {
			return "", err
		}
		return fmt.Sprint(id), on("identity", tx.DeleteIdentity(id))
	})
	if err != nil {
		return err
	}
	for _, v := range gone {
		s.gallery.remove(v.ID)
	}
	s.gallery.forget(id)
	return nil
}

// chain is what encodes objects of a class, with all that those encoders need.
type chain struct {
	encoders []core.Declaration
	active   []string
}

// chainFor plans the capsules that run. NotFound on "detector" or "encoder" when nothing finds,
// or encodes, the class.
func (s *Service) chainFor(class string) (chain, error) {
	var ch chain
	var planned []plan.Capsule
	detected, away := false, map[string]error{}
	for _, c := range s.cfg.Engine.Capsules() {
		d, err := c.Declaration().Resolve(c.Values())
		if err != nil {
			return ch, err
		}
		adds := d.Capability()
		if err := runs(c); err != nil { // it may be what lacks
			if slices.Contains(adds.Detections, class) {
				away["detector"] = err
			}
			if adds.Encoded {
				away["encoder"] = err
			}
			continue
		}
		planned = append(planned, plan.Of(d))
		detected = detected || slices.Contains(adds.Detections, class)
		if adds.Encoded && (len(d.Output.Detections) == 0 || slices.Contains(d.Output.Detections, class)) {
			ch.encoders = append(ch.encoders, d)
		}
	}
	if !detected {
		return ch, cmp.Or(away["detector"], error(lacking("detector", "finds", class)))
	}
	p, err := plan.Make(planned)
	if err != nil {
		return ch, err
	}
	ch.encoders = slices.DeleteFunc(ch.encoders, func(d core.Declaration) bool { return p.Stage(d.Name) < 0 })
	if len(ch.encoders) == 0 {
		return ch, cmp.Or(away["encoder"], away["detector"], error(lacking("encoder", "encodes", class)))
	}
	var open []string
	for _, d := range ch.encoders {
		open = append(open, d.Name)
	}
	for len(open) > 0 {
		name := open[0]
		if open = open[1:]; slices.Contains(ch.active, name) {
			continue
		}
		ch.active = append(ch.active, name)
		for _, e := range p.Edges {
			if e.To == name {
				open = append(open, e.From)
			}
		}
	}
	return ch, nil
}

// AddImage encodes the one object of a class on a picture, by every encoder of the class, and
// gives the first of the vectors.
func (s *Service) AddImage(ctx context.Context, c Caller, id int64, class string, blob core.BlobID) (core.Vector, error) {
	none := core.Vector{}
	if err := may(c, core.Editor); err != nil {
		return none, err
	}
	if _, err := s.Identity(ctx, c, id); err != nil {
		return none, err
	}
	_, content, err := s.Blob(ctx, c, blob)
	if err != nil {
		return none, err
	}
	defer content.Close()
	ch, err := s.chainFor(class)
	if err != nil {
		return none, err
	}
	if err := s.notEncodedYet(ctx, c, id, class, blob); err != nil {
		return none, err
	}
	data, err := io.ReadAll(io.LimitReader(content, maxPicture+1))
	if err != nil {
		return none, core.Faultf(core.Internal, "", "blob", "%w", err)
	}
	if len(data) > maxPicture {
		return none, invalid("image", "it has more than %d bytes", maxPicture)
	}
	img, done, err := s.desk.look(ctx, data)
	if err != nil {
		return none, err
	}
	defer done()
	nodes, failed, err := s.runPicture(ctx, img, ch.active, nil)
	if err != nil {
		return none, err
	}
	vectors, err := vectorsOf(nodes, ch, class, failed)
	if err != nil {
		return none, err
	}
	for i := range vectors {
		vectors[i].Identity, vectors[i].Blob = id, blob
	}
	return s.saveVectors(ctx, c, "encode image", vectors)
}

func (s *Service) notEncodedYet(ctx context.Context, c Caller, id int64, class string, blob core.BlobID) error {
	there, err := s.Vectors(ctx, c, store.VectorFilter{Identity: id, Class: class})
	if err == nil && slices.ContainsFunc(there, func(v core.Vector) bool { return v.Blob == blob }) {
		err = core.Faultf(core.Exists, "", "image", "picture %d is encoded for identity %d already", blob, id)
	}
	return err
}

// vectorsOf takes the one object on a picture: NotFound on "detection" when there is none,
// Invalid on it when there are several.
func vectorsOf(nodes []*core.Node, ch chain, class string, failed []string) ([]core.Vector, error) {
	objects := distinct(ofClass(nodes, class))
	why := ""
	if len(failed) > 0 {
		why = " (" + strings.Join(failed, ", ") + ")"
	}
	switch {
	case len(objects) == 0:
		return nil, core.Faultf(core.NotFound, "", "detection", "no %s was found on the picture%s", class, why)
	case len(objects) > 1:
		f := invalid("detection", "%d objects of class %s were found on the picture", len(objects), class)
		f.Hint = "cut it so that it shows one only"
		return nil, f
	}
	var out []core.Vector
	for _, d := range ch.encoders {
		for _, n := range objects[0] {
			if n.Encoding != nil && n.Encoder == d.EncoderID() {
				out = append(out, core.Vector{Class: class, Encoder: n.Encoder, Values: n.Encoding})
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, core.Faultf(core.CapsuleFailed, "", "encoding", "the %s was found and not encoded%s", class, why)
	}
	return out, nil
}

func ofClass(nodes []*core.Node, class string) []*core.Node {
	var out []*core.Node
	for _, n := range nodes {
		if n.Class == class {
			out = append(out, n)
		}
		out = append(out, ofClass(n.Children, class)...)
	}
	return out
}

// distinct puts detections on the same place together, as when two detectors run.
func distinct(nodes []*core.Node) [][]*core.Node {
	var out [][]*core.Node
next:
	for _, n := range nodes {
		for i := range out {
			if overlap(out[i][0].Coords.Box(), n.Coords.Box()) >= samePlace {
				out[i] = append(out[i], n)
				continue next
			}
		}
		out = append(out, []*core.Node{n})
	}
	return out
}

// overlap is the common area over the area of both.
func overlap(a, b core.Box) float64 {
	w, h := min(a.X2, b.X2)-max(a.X1, b.X1), min(a.Y2, b.Y2)-max(a.Y1, b.Y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.Area() + b.Area() - w*h)
}

// AddVector keeps a vector as it is given, for any encoder of the class. Exhausted on "vector"
// when it is too long, Exists on "encoding" when the identity has it.
func (s *Service) AddVector(ctx context.Context, c Caller, id int64, class string, numbers []float64) (core.Vector, error) {
	none := core.Vector{}
	if err := may(c, core.Editor); err != nil {
		return none, err
	}
	if _, err := s.Identity(ctx, c, id); err != nil {
		return none, err
	}
	if len(numbers) > match.MaxDim {
		return none, core.Faultf(core.Exhausted, "", "vector", "it has %d numbers; want at most %d", len(numbers), match.MaxDim)
	}
	values, given := core.Rounded(numbers)
	zero := true
	for i, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return none, invalid("encodings", "number %d is %v, which does not fit into 32 bits", i, numbers[i])
		}
		zero = zero && v == 0
	}
	if zero {
		return none, invalid("encodings", "its %d numbers are all 0", len(values))
	}
	if !s.encodes(class) {
		return none, lacking("encoder", "encodes", class)
	}
	there, err := s.Vectors(ctx, c, store.VectorFilter{Identity: id, Class: class})
	if err != nil {
		return none, err
	}
	if slices.ContainsFunc(there, func(v core.Vector) bool { return slices.Equal(v.Values, values) }) {
		return none, core.Faultf(core.Exists, "", "encoding", "identity %d has this vector already", id)
	}
	return s.saveVectors(ctx, c, "add vector", []core.Vector{{Identity: id, Class: class, Values: values, Given: given}})
}

// encodes says whether a capsule encodes objects of the class.
func (s *Service) encodes(class string) bool {
	for _, c := range s.cfg.Engine.Capsules() {
		d, err := c.Declaration().Resolve(c.Values())
		if err == nil && d.Capability().Encoded && (len(d.Output.Detections) == 0 || slices.Contains(d.Output.Detections, class)) {
			return true
		}
	}
	return false
}

// saveVectors keeps vectors in the store and for running streams, and gives the first.
func (s *Service) saveVectors(ctx context.Context, c Caller, action string, list []core.Vector) (core.Vector, error) {
	s.change.Lock()
	defer s.change.Unlock()
	err := s.update(ctx, c, action, func(tx store.Tx) (string, error) {
		if _, err := tx.Identity(list[0].Identity); err != nil {
			return "", on("identity", err)
		}
		for i := range list {
			id, err := tx.SaveVector(list[i])
			if err != nil {
				return "", on("encoding", err)
			}
			list[i].ID = id
		}
		return fmt.Sprintf("identity %d", list[0].Identity), nil
	})
	if err != nil {
		return core.Vector{}, err
	}
	for _, v := range list {
		s.gallery.add(v)
	}
	return list[0], nil
}

// Vectors lists vectors.
func (s *Service) Vectors(ctx context.Context, c Caller, f store.VectorFilter) (list []core.Vector, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { list, err = tx.Vectors(f); return err })
	return list, err
}

// Vector gives one vector.
func (s *Service) Vector(ctx context.Context, c Caller, id core.VectorID) (v core.Vector, err error) {
	err = s.view(ctx, c, func(tx store.Tx) error { v, err = tx.Vector(id); return on("encoding", err) })
	return v, err
}

// DeleteVectors deletes the vectors that a filter chooses.
func (s *Service) DeleteVectors(ctx context.Context, c Caller, f store.VectorFilter) error {
	s.change.Lock()
	defer s.change.Unlock()
	var gone []core.Vector
	err := s.update(ctx, c, "delete vectors", func(tx store.Tx) (string, error) {
		var err error
		if gone, err = tx.Vectors(f); err != nil {
			return "", err
		}
		_, err = tx.DeleteVectors(f)
		return fmt.Sprintf("%d vectors", len(gone)), on("encoding", err)
	})
	if err != nil {
		return err
	}
	for _, v := range gone {
		s.gallery.remove(v.ID)
	}
	return nil
}

// DeleteVector deletes one vector.
func (s *Service) DeleteVector(ctx context.Context, c Caller, id core.VectorID) error {
	s.change.Lock()
	defer s.change.Unlock()
	err := s.update(ctx, c, "delete vector", func(tx store.Tx) (string, error) {
		return fmt.Sprint(id), on("encoding", tx.DeleteVector(id))
	})
	if err == nil {
		s.gallery.remove(id)
	}
	return err
}

// lacking says that no capsule finds or encodes objects of a class, and how one is had.
func lacking(noun, does, class string) *core.Fault {
	f := core.Faultf(core.NotFound, "", noun, "no capsule %s objects of class %.100q", does, class)
	if f.Hint = "load a capsule that does, or switch it on"; class == "face" {
		f.Hint += "; for faces one comes with the server, which takes part where its models and ONNX Runtime are: capstan models pull, make onnxruntime"
	}
	return f
}
