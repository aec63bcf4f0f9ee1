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

	looked, named, refused atomic.Uint64
}

// shelf has the encodings of one encoder.
type shelf struct {
	index     *match.Index
	threshold float64
	person    map[match.ID]int // the place in people
}

// Stats counts since the gallery was made.
type Stats struct {
	Looked  uint64 // nodes with an encoding of an encoder that the gallery knows
	Named   uint64 // of these, the ones that got an identity
	Refused uint64 // of these, the ones whose encoding cannot be compared
}

// People gives everybody in the gallery, by name. The list is not to be changed.
func (g *Gallery) People() []core.Identity { return g.people }

// Stats gives the counts.
func (g *Gallery) Stats() Stats {
	return Stats{Looked: g.looked.Load(), Named: g.named.Load(), Refused: g.refused.Load()}
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
		named += g.recognise(g.shelves[id], list)
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

func (g *Gallery) recognise(s *shelf, nodes []*core.Node) int {
	queries := make([][]float32, len(nodes))
	for i, n := range nodes {
		queries[i] = n.Encoding
	}
	answers, err := s.index.NearestBatch(queries, 1, s.threshold)
	if err != nil {
		answers = g.oneByOne(s, queries)
	}
	named := 0
	for i, found := range answers {
		if len(found) > 0 {
			named += g.name(s, nodes[i], found[0])
		}
	}
	return named
}

// oneByOne looks encodings up of which some cannot be compared, so that one bad encoding does
// not cost the others their names.
func (g *Gallery) oneByOne(s *shelf, queries [][]float32) [][]match.Match {
	answers := make([][]match.Match, len(queries))
	for i, q := range queries {
		var err error
		if answers[i], err = s.index.Nearest(q, 1, s.threshold); err != nil {
			g.refused.Add(1)
		}
	}
	return answers
}

func (g *Gallery) name(s *shelf, n *core.Node, m match.Match) int {
	if err := n.ExtraData.Set(DistanceKey, rounded(m.Distance)); err != nil {
		return 0 // cannot be: a distance is finite
	}
	n.Identity = &g.people[s.person[m.ID]]
	return 1
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
		s := &shelf{threshold: e.threshold, person: map[match.ID]int{}}
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
			g.shelves[e.id] = s
		}
	}
	return g, nil
}
