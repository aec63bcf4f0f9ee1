// Package gallery makes the faces of known persons from folders of photos and names the nodes
// of results that look like them.
package gallery

import (
	"math"
	"slices"
	"sync/atomic"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
)

// DistanceKey is the key of extra data that a named node has beside its Identity.
const DistanceKey = "encoding_distance"

// Gallery knows persons by their encodings. Those of different encoders are kept apart and
// never compared. It may be used from several goroutines.
type Gallery struct {
	people  []core.Identity // by name; IDs count from 1
	shelves map[core.EncoderID]*shelf

	looked, named, refused, carried atomic.Uint64
}

// shelf has the encodings of one encoder.
type shelf struct {
	index     *match.Index
	metric    core.Metric
	threshold float64
	person    map[match.ID]int   // the place in people
	photos    map[int][]match.ID // the inverse of person
}

// Stats counts since the gallery was made.
type Stats struct {
	Looked  uint64 // nodes with an encoding of an encoder that the gallery knows
	Named   uint64 // of these, the ones near enough to a photo
	Refused uint64 // of these, the ones whose encoding cannot be compared
	Carried uint64 // further nodes that a Follower named, because of their track
}

// People gives everybody in the gallery, by name. The list is not to be changed.
func (g *Gallery) People() []core.Identity { return g.people }

// Stats gives the counts.
func (g *Gallery) Stats() Stats {
	return Stats{Looked: g.looked.Load(), Named: g.named.Load(), Refused: g.refused.Load(), Carried: g.carried.Load()}
}

// Recognise names the nodes, and their children, whose encoding is at most the encoder's
// recognition threshold away from a photo of somebody: the nearest photo decides. It sets
// Identity and the distance under DistanceKey; all other nodes stay as they are. It gives the
// number of nodes that it named. The nodes must not be in use elsewhere meanwhile.
func (g *Gallery) Recognise(nodes []*core.Node) int {
	byEncoder := map[core.EncoderID][]*core.Node{}
	g.collect(nodes, byEncoder)
	named := 0
	for id, list := range byEncoder {
		for i, found := range g.lookUp(g.shelves[id], list) {
			if len(found) > 0 {
				g.name(list[i], g.shelves[id].person[found[0].ID], found[0].Distance)
				named++
			}
		}
	}
	g.named.Add(uint64(named))
	return named
}

func (g *Gallery) collect(nodes []*core.Node, into map[core.EncoderID][]*core.Node) {
	for _, n := range nodes {
		g.collect(n.Children, into)
		if n.Encoding == nil || g.shelves[n.Encoder] == nil {
			continue
		}
		g.looked.Add(1)
		into[n.Encoder] = append(into[n.Encoder], n)
	}
}

// lookUp gives at most one photo for each node.
func (g *Gallery) lookUp(s *shelf, nodes []*core.Node) [][]match.Match {
	queries := make([][]float32, len(nodes))
	for i, n := range nodes {
		queries[i] = n.Encoding
	}
	answers, err := s.index.NearestBatch(queries, 1, s.threshold)
	if err == nil {
		return answers
	}
	// One bad encoding does not cost the others their names.
	answers = make([][]match.Match, len(queries))
	for i, q := range queries {
		if answers[i], err = s.index.Nearest(q, 1, s.threshold); err != nil {
			g.refused.Add(1)
		}
	}
	return answers
}

// name gives a node its identity. The distance is finite, so Set does not fail.
func (g *Gallery) name(n *core.Node, person int, distance float64) {
	_ = n.ExtraData.Set(DistanceKey, rounded(distance))
	n.Identity = &g.people[person]
}

// rounded keeps six digits after the point, which is what float32 encodings are good for.
func rounded(d float64) float64 { return math.Round(d*1e6) / 1e6 }

// build makes a gallery of the photos that were taken.
func build(encoders []encoder, photos []*sample) (*Gallery, error) {
	g := &Gallery{shelves: map[core.EncoderID]*shelf{}}
	var names []string
	for _, p := range photos {
		names = append(names, p.Person)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for i, name := range names {
		g.people = append(g.people, core.Identity{ID: int64(i + 1), UniqueName: name, Metadata: map[string]any{}})
	}
	for _, e := range encoders {
		s := &shelf{metric: e.metric, threshold: e.threshold, person: map[match.ID]int{}}
		for i, p := range photos {
			if p.Encoder != e.id {
				continue
			}
			if s.index == nil {
				var err error
				if s.index, err = match.New(len(p.encoding), e.metric); err != nil {
					return nil, err
				}
			}
			if err := s.index.Add(match.ID(i), p.encoding); err != nil {
				return nil, err
			}
			s.person[match.ID(i)], _ = slices.BinarySearch(names, p.Person)
		}
		if s.index != nil {
			s.photos = photosOf(s.person)
			g.shelves[e.id] = s
		}
	}
	return g, nil
}
