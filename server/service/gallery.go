package service

import (
	"context"
	"math"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
	"github.com/capstan-video/capstan/server/store"
)

// distanceKey is the extra data that a named object has.
const distanceKey = "encoding_distance"

// encoder is how the encodings of a capsule are compared.
type encoder struct {
	metric    core.Metric
	threshold float64
}

// encodersWith gives the encoders that run, with a stream's options over their own.
func (s *Service) encodersWith(options map[string]map[string]any) map[core.EncoderID]encoder {
	out := map[core.EncoderID]encoder{}
	for _, c := range s.cfg.Engine.Capsules() {
		d := c.Declaration()
		if !d.Capability().Encoded {
			continue
		}
		given := map[string]any{}
		for k, v := range c.Values() {
			given[k] = v
		}
		for k, v := range options[d.Name] {
			given[k] = v
		}
		values, err := d.Complete(given)
		if err != nil {
			values = c.Values()
		}
		out[d.EncoderID()] = encoder{d.Metric, values.Float("recognition_threshold")}
	}
	return out
}

// shelfKey says which vectors can be compared with each other. The encoder is empty for vectors
// that were given as they are.
type shelfKey struct {
	encoder core.EncoderID
	class   string
	dim     int
	metric  core.Metric
}

// gallery knows who encodings belong to. Any number of streams look things up in it while it is
// changed.
type gallery struct {
	mu      sync.RWMutex
	people  map[int64]*core.Identity // never changed, only replaced
	shelves map[shelfKey]*match.Index
	owner   map[core.VectorID]int64
	kept    map[core.VectorID][]shelfKey
}

func (g *gallery) init() {
	g.people, g.shelves = map[int64]*core.Identity{}, map[shelfKey]*match.Index{}
	g.owner, g.kept = map[core.VectorID]int64{}, map[core.VectorID][]shelfKey{}
}

// reloadGallery takes up what the store has. The caller is New.
func (s *Service) reloadGallery(ctx context.Context) error {
	return s.cfg.Store.View(ctx, func(tx store.Tx) error {
		people, _, err := tx.Identities(store.IdentityFilter{})
		if err != nil {
			return err
		}
		vectors, err := tx.Vectors(store.VectorFilter{})
		if err != nil {
			return err
		}
		for _, p := range people {
			s.gallery.meet(p)
		}
		for _, v := range vectors {
			s.gallery.add(v)
		}
		return nil
	})
}

// meet takes up an identity, or what is new about it.
func (g *gallery) meet(p core.Identity) {
	if p.Metadata == nil {
		p.Metadata = map[string]any{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.people[p.ID] = &p
}

// forget drops an identity; its vectors are removed one by one.
func (g *gallery) forget(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.people, id)
}

// add takes up a vector. One that cannot be compared by a metric (all zero, by cosine) is left
// out there.
func (g *gallery) add(v core.Vector) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owner[v.ID] = v.Identity
	for _, metric := range []core.Metric{core.Cosine, core.Euclidean} {
		key := shelfKey{v.Encoder, v.Class, len(v.Values), metric}
		index := g.shelves[key]
		if index == nil {
			var err error
			if index, err = match.New(key.dim, metric); err != nil {
				continue
			}
			g.shelves[key] = index
		}
		if index.Add(match.ID(v.ID), v.Values) == nil {
			g.kept[v.ID] = append(g.kept[v.ID], key)
		}
	}
}

// remove drops a vector.
func (g *gallery) remove(id core.VectorID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range g.kept[id] {
		if index := g.shelves[key]; index != nil {
			index.Remove(match.ID(id))
			if index.Len() == 0 {
				delete(g.shelves, key)
			}
		}
	}
	delete(g.kept, id)
	delete(g.owner, id)
}

// name gives encoded nodes, and their children, the identity of the nearest vector within the
// threshold of their encoder.
func (g *gallery) name(encoders map[core.EncoderID]encoder, nodes []*core.Node) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if len(g.shelves) > 0 {
		g.nameLocked(encoders, nodes)
	}
}

func (g *gallery) nameLocked(encoders map[core.EncoderID]encoder, nodes []*core.Node) {
	for _, n := range nodes {
		g.nameLocked(encoders, n.Children)
		e, ok := encoders[n.Encoder]
		if n.Encoding == nil || !ok {
			continue
		}
		best, who := math.Inf(1), (*core.Identity)(nil)
		for _, id := range []core.EncoderID{n.Encoder, ""} {
			index := g.shelves[shelfKey{id, n.Class, len(n.Encoding), e.metric}]
			if index == nil {
				continue
			}
			found, err := index.Nearest(n.Encoding, 1, e.threshold)
			if err != nil || len(found) == 0 || found[0].Distance >= best {
				continue
			}
			if p := g.people[g.owner[core.VectorID(found[0].ID)]]; p != nil {
				best, who = found[0].Distance, p
			}
		}
		if who != nil {
			n.Identity = who
			_ = n.ExtraData.Set(distanceKey, math.Round(best*1e6)/1e6) // it is finite
		}
	}
}
