// Package suppliers chooses of a catalogue the few capsules that one capsule needs to be fed.
package suppliers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/plan"
)

// Candidate is a capsule of the catalogue.
type Candidate struct {
	plan.Capsule
	Cost int  // what it costs to have it; of several that would do, the cheapest are kept
	Keep bool // it is wanted in any case
}

// Choose gives the names of the capsules to run so that target is fed, without target, sorted:
// those that are wanted and as few others as will do. A target that nothing can feed is a fault
// of kind NotFound with the planner's reason and hint.
func Choose(target plan.Capsule, all []Candidate) ([]string, error) {
	kept := slices.DeleteFunc(slices.Clone(all), func(c Candidate) bool { return c.Name == target.Name })
	p, err := planOf(target, kept)
	if err != nil {
		return nil, err
	}
	if why, blocked := blockedIn(p, target.Name); blocked {
		f := core.Faultf(core.NotFound, "capsule "+target.Name, "", "nothing feeds it: %s", why.Reason)
		f.Hint = why.Hint
		return nil, f
	}
	proven := provenIn(p, target.Name)
	must := append(slices.DeleteFunc(wanted(kept), func(n string) bool { return p.Stage(n) < 0 }), target.Name)
	needed := ancestors(p, must)
	kept = slices.DeleteFunc(kept, func(c Candidate) bool { return !needed[c.Name] && !c.Keep })
	// the dearest is tried first, so that the cheapest stays; of equals the later name
	slices.SortFunc(kept, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Cost, a.Cost), strings.Compare(b.Name, a.Name))
	})
	for i := 0; i < len(kept); {
		if kept[i].Keep {
			i++
			continue
		}
		without := slices.Delete(slices.Clone(kept), i, i+1)
		p, err := planOf(target, without)
		if err != nil {
			return nil, err
		}
		if fed(p, must) && provenIn(p, target.Name) == proven {
			kept = without
			continue
		}
		i++
	}
	names := make([]string, 0, len(kept))
	for _, c := range kept {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names, nil
}

func planOf(target plan.Capsule, list []Candidate) (*plan.Plan, error) {
	capsules := []plan.Capsule{target}
	for _, c := range list {
		capsules = append(capsules, c.Capsule)
	}
	return plan.Make(capsules)
}

func wanted(list []Candidate) []string {
	var names []string
	for _, c := range list {
		if c.Keep {
			names = append(names, c.Name)
		}
	}
	return names
}

func blockedIn(p *plan.Plan, name string) (plan.Blocked, bool) {
	for _, b := range p.Blocked {
		if b.Capsule == name {
			return b, true
		}
	}
	return plan.Blocked{}, false
}

// fed says whether all of the names run.
func fed(p *plan.Plan, names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return p.Stage(n) < 0 })
}

func provenIn(p *plan.Plan, name string) bool {
	return !slices.ContainsFunc(p.Unproven, func(u plan.Unproven) bool { return u.Capsule == name })
}

// ancestors gives everything that the names wait for, directly or not.
func ancestors(p *plan.Plan, names []string) map[string]bool {
	found := map[string]bool{}
	for queue := names; len(queue) > 0; queue = queue[1:] {
		for _, e := range p.Edges {
			if e.To == queue[0] && !found[e.From] {
				found[e.From] = true
				queue = append(queue, e.From)
			}
		}
	}
	return found
}
