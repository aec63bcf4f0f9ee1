package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Diff says in words what is different in b, sorted by capsule; nothing when the plans are the
// same. A nil plan is an empty one.
func Diff(a, b *Plan) []string {
	before, after := a.fates(), b.fates()
	all := make([]string, 0, len(before)+len(after))
	for name := range before {
		all = append(all, name)
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	lines := []string{}
	for _, name := range all {
		if l := changed(name, before, after); l != "" {
			lines = append(lines, l)
		}
	}
	return append(lines, edgeChanges(a, b)...)
}

// fate is what a plan does with a capsule.
type fate struct {
	stage    int // from 1; 0: left out
	unproven string
	ungated  string // the class that nobody gives
	blocked  string
}

func (p *Plan) fates() map[string]fate {
	f := map[string]fate{}
	if p == nil {
		return f
	}
	for i, s := range p.Stages {
		for _, name := range s {
			f[name] = fate{stage: i + 1}
		}
	}
	for _, u := range p.Unproven {
		x := f[u.Capsule]
		x.unproven = strings.Join(u.Keys, ", ")
		f[u.Capsule] = x
	}
	for _, u := range p.Ungated {
		x := f[u.Capsule]
		x.ungated = u.Class
		f[u.Capsule] = x
	}
	for _, b := range p.Blocked {
		f[b.Capsule] = fate{blocked: b.Reason}
	}
	return f
}

func (f fate) String() string {
	switch {
	case f.stage == 0:
		return "left out: " + f.blocked
	case f.unproven != "":
		return fmt.Sprintf("in stage %d, key %s not declared by anyone", f.stage, f.unproven)
	case f.ungated != "":
		return fmt.Sprintf("in stage %d on every frame, because nobody gives %s", f.stage, f.ungated)
	default:
		return fmt.Sprintf("in stage %d", f.stage)
	}
}

func changed(name string, before, after map[string]fate) string {
	x, had := before[name]
	y, has := after[name]
	switch {
	case !had:
		return name + " is new, " + y.String()
	case !has:
		return name + " is gone"
	case x != y:
		return name + " is now " + y.String() + " (was " + x.String() + ")"
	default:
		return ""
	}
}

// edgeChanges tells of dependencies between capsules that are in both plans; those of a new or
// gone capsule go without saying.
func edgeChanges(a, b *Plan) []string {
	before, after := a.reasons(b), b.reasons(a)
	var lines []string
	for e, why := range after {
		if old, ok := before[e]; !ok {
			lines = append(lines, fmt.Sprintf("%s now waits for %s (%s)", e[1], e[0], why))
		} else if old != why {
			lines = append(lines, fmt.Sprintf("%s waits for %s for other reasons: %s (was %s)", e[1], e[0], why, old))
		}
	}
	for e := range before {
		if _, ok := after[e]; !ok {
			lines = append(lines, fmt.Sprintf("%s no longer waits for %s", e[1], e[0]))
		}
	}
	slices.Sort(lines)
	return lines
}

func (p *Plan) reasons(other *Plan) map[[2]string]string {
	r := map[[2]string]string{}
	if p == nil || other == nil {
		return r
	}
	here, there := p.running(), other.running()
	for _, e := range p.Edges {
		if here[e.From] && here[e.To] && there[e.From] && there[e.To] {
			r[[2]string{e.From, e.To}] = strings.Join(e.Why, ", ")
		}
	}
	return r
}

func (p *Plan) running() map[string]bool {
	m := map[string]bool{}
	for _, s := range p.Stages {
		for _, name := range s {
			m[name] = true
		}
	}
	return m
}
