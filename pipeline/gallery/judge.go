package gallery

import (
	"fmt"
	"math"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
)

// sample is a photo on its way into a gallery.
type sample struct {
	Photo
	encoding core.Encoding // nil when it is refused
}

func (s *sample) refuse(r Reason, format string, args ...any) {
	s.Refused, s.Detail, s.encoding = r, fmt.Sprintf(format, args...), nil
}

// ofEncoder gives the samples of an encoder that are not refused yet.
func ofEncoder(samples []*sample, id core.EncoderID) []*sample {
	return open(slices.Clone(samples), id)
}

func open(samples []*sample, id core.EncoderID) []*sample {
	return slices.DeleteFunc(samples, func(s *sample) bool { return s.Encoder != id || s.Refused != "" })
}

// judge refuses photos that do not go with the others, all of one encoder.
func judge(e encoder, samples []*sample, r *Report) {
	samples = comparable(e, samples)
	byPerson := map[string][]*sample{}
	for _, s := range samples {
		byPerson[s.Person] = append(byPerson[s.Person], s)
	}
	for _, own := range byPerson {
		agree(e, own)
	}
	refuseHubs(e, open(samples, e.id), r)
}

// comparable refuses encodings that cannot be compared: another length than most have, zero,
// not finite.
func comparable(e encoder, samples []*sample) []*sample {
	lengths := map[int]int{}
	for _, s := range samples {
		lengths[len(s.encoding)]++
	}
	most := 0
	for n, count := range lengths {
		if count > lengths[most] || count == lengths[most] && n > most {
			most = n
		}
	}
	for _, s := range samples {
		if len(s.encoding) != most {
			s.refuse(Failed, "the encoding has %d dimensions, others have %d", len(s.encoding), most)
		} else if _, err := match.Distance(e.metric, s.encoding, s.encoding); err != nil {
			s.refuse(Failed, "the encoding is of no use: %v", err)
		}
	}
	return open(samples, e.id)
}

// agree refuses the photos of a person that are not near the medoid, which is the photo with
// the least sum of distances to the others. A medoid that no other photo is near to decides
// nothing: then all are refused, because any of them may show somebody else.
func agree(e encoder, own []*sample) {
	if len(own) < 2 {
		return
	}
	medoid, distances := medoidOf(e, own)
	near := 0
	for _, d := range distances {
		if d <= e.threshold {
			near++
		}
	}
	for i, s := range own {
		switch {
		case near < 2 && len(own) == 2:
			s.refuse(AtOdds, "%.2f away from %s, the only other one; same person: at most %.2f", distances[0]+distances[1], own[1-i].File, e.threshold)
		case near < 2:
			s.refuse(AtOdds, "no two of its %d photos are at most %.2f apart", len(own), e.threshold)
		case distances[i] > e.threshold:
			s.refuse(AtOdds, "%.2f away from %s; same person: at most %.2f", distances[i], own[medoid].File, e.threshold)
		}
	}
}

// medoidOf gives the place of the medoid and the distances of all from it.
func medoidOf(e encoder, own []*sample) (int, []float64) {
	best, least := 0, math.Inf(1)
	var distances []float64
	for i, s := range own {
		var sum float64
		row := make([]float64, len(own))
		for j, t := range own {
			if i != j {
				row[j], _ = match.Distance(e.metric, s.encoding, t.encoding) // comparable has seen both
				sum += row[j]
			}
		}
		if sum < least {
			best, least, distances = i, sum, row
		}
	}
	return best, distances
}

// touch is a photo of another person within the threshold.
type touch struct {
	other    int // the place in samples
	distance float64
}

// refuseHubs refuses the photos that match many persons, the worst first, until there is none,
// and reports the persons that are still alike.
func refuseHubs(e encoder, samples []*sample, r *Report) {
	if len(samples) == 0 {
		return
	}
	touches := touching(e, samples)
	persons := map[string]bool{}
	for _, s := range samples {
		persons[s.Person] = true
	}
	// Two others, and in a large gallery one in a hundred.
	many := max(2, (len(persons)-1+99)/100)
	for {
		worst, most := -1, many-1
		for i := range samples {
			if n := len(others(samples, touches[i])); samples[i].Refused == "" && n > most {
				worst, most = i, n
			}
		}
		if worst < 0 {
			break
		}
		names := others(samples, touches[worst])
		samples[worst].refuse(Hub, "it matches photos of %d others, such as %s and %s", len(names), names[0], names[1])
	}
	reportAlike(samples, touches, r)
}

// touching finds for every sample the photos of other persons within the threshold.
func touching(e encoder, samples []*sample) [][]touch {
	index, err := match.New(len(samples[0].encoding), e.metric)
	if err != nil {
		return make([][]touch, len(samples))
	}
	queries := make([][]float32, len(samples))
	for i, s := range samples {
		queries[i] = s.encoding
		_ = index.Add(match.ID(i), s.encoding) // comparable has seen it
	}
	all := make([][]touch, len(samples))
	answers, _ := index.NearestBatch(queries, len(samples), e.threshold)
	for i, list := range answers {
		for _, m := range list {
			if samples[m.ID].Person != samples[i].Person {
				all[i] = append(all[i], touch{int(m.ID), m.Distance})
			}
		}
	}
	return all
}

// others gives the names of the persons that are touched by photos which are not refused.
func others(samples []*sample, touches []touch) []string {
	var names []string
	for _, t := range touches {
		if s := samples[t.other]; s.Refused == "" {
			names = append(names, s.Person)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reportAlike notes every two persons with photos within the threshold once.
func reportAlike(samples []*sample, touches [][]touch, r *Report) {
	type key struct{ a, b string }
	nearest := map[key]int{}
	for i, s := range samples {
		for _, t := range touches[i] {
			o := samples[t.other]
			if s.Refused != "" || o.Refused != "" || s.Person > o.Person {
				continue
			}
			k := key{s.Person, o.Person}
			if at, ok := nearest[k]; !ok {
				nearest[k] = len(r.Alike)
				r.Alike = append(r.Alike, Pair{s.Photo, o.Photo, t.distance})
			} else if t.distance < r.Alike[at].Distance {
				r.Alike[at] = Pair{s.Photo, o.Photo, t.distance}
			}
		}
	}
}
