package plan_test

import (
	"fmt"
	"testing"

	"github.com/capstan-video/capstan/pipeline/plan"
)

// catalogues of a thousand capsules, usual and unusual, with what the plan must be.
var catalogues = map[string]struct {
	make                            func(n int) []plan.Capsule
	stages, edges, dropped, blocked int
}{
	"mixed":         {mixed, 4, 1800, 0, 0},
	"chain":         {chain, 1000, 999, 0, 0},
	"blocked chain": {func(n int) []plan.Capsule { return chain(n + 1)[1:] }, 0, 0, 0, 1000},
	"trait chain":   {traitChain, 1000, 1997, 0, 0},
	"cycle":         {cycle, 1000, 999, 1, 0},
	"wildcards":     {wildcards, 501, 500*500 + 500*499/2, 500 * 499 / 2, 0},
	"choosy":        {choosy, 3, 333*334 + 333*333 + 334*333, 0, 0},
	"same for all": {func(n int) []plan.Capsule {
		return repeat(n, "d", func(s string) plan.Capsule { return detector(s, cls("c")) })
	}, 1, 0, 0, 0},
	"nobody matches": {func(n int) []plan.Capsule {
		return repeat(n, "e", func(s string) plan.Capsule { return capsule(s, single(cls(s)), single(cls(s), enc)) })
	}, 0, 0, 0, 1000},
}

func repeat(n int, prefix string, f func(string) plan.Capsule) []plan.Capsule {
	l := make([]plan.Capsule, 0, n)
	for i := range n {
		l = append(l, f(fmt.Sprintf("%s%04d", prefix, i)))
	}
	return l
}

// mixed is 200 groups of detector, tracker, two classifiers and speed, each of its own class.
func mixed(n int) []plan.Capsule {
	var l []plan.Capsule
	for i := range n / 5 {
		k := cls(fmt.Sprintf("class %d", i), fmt.Sprintf("other %d", i))
		name := func(s string) string { return fmt.Sprintf("%s_%03d", s, i) }
		l = append(l,
			detector(name("detector"), k, keys("confidence")),
			capsule(name("tracker"), all(k, keys("confidence")), all(k, trk, keys("confidence"))),
			capsule(name("classifier"), single(k), single(k, attr("role", "a", "b"), attr("size", "s", "m", "l"), keys("role_confidence"))),
			capsule(name("encoder"), single(k, attr("role", "a", "b"), trk), single(k, attr("role", "a", "b"), trk, enc)),
			capsule(name("matcher"), single(k, enc, trk, keys("confidence", "role_confidence")), single(k, enc, trk, keys("confidence", "role_confidence", "match"))),
		)
	}
	return l
}

func chain(n int) []plan.Capsule {
	l := []plan.Capsule{detector("x0000", cls("k0"))}
	for i := 1; i < n; i++ {
		l = append(l, capsule(fmt.Sprintf("x%04d", i), all(cls(fmt.Sprint("k", i-1))), all(cls(fmt.Sprint("k", i)))))
	}
	return l
}

// traitChain adds one attribute after the other to nodes of one class, against the names.
func traitChain(n int) []plan.Capsule {
	l := []plan.Capsule{detector("zz", cls("k"))}
	for i := 1; i < n; i++ {
		in := single(cls("k"))
		if i > 1 {
			in = single(cls("k"), attr(fmt.Sprint("a", i-1), "v"))
		}
		l = append(l, capsule(fmt.Sprintf("x%04d", n-i), in, single(cls("k"), attr(fmt.Sprint("a", i), "v"))))
	}
	return l
}

func cycle(n int) []plan.Capsule {
	l := chain(n)
	l[1].Input.Detections = append(l[1].Input.Detections, fmt.Sprint("k", n-1))
	return l
}

func wildcards(n int) []plan.Capsule {
	l := repeat(n/2, "d", func(s string) plan.Capsule { return detector(s, cls("by "+s)) })
	return append(l, repeat(n/2, "w", func(s string) plan.Capsule { return capsule(s, all(nil), all(cls("by "+s))) })...)
}

// choosy has detectors of many classes, trackers for any class, and capsules for whatever is tracked.
func choosy(n int) []plan.Capsule {
	l := repeat(n/3+n%3, "d", func(s string) plan.Capsule { return detector(s, cls(s+"a", s+"b", s+"c"), attr("role", "v")) })
	l = append(l, repeat(n/3, "s", func(s string) plan.Capsule { return capsule(s, single(nil, trk), single(nil, trk, keys(s))) })...)
	return append(l, repeat(n/3, "t", func(s string) plan.Capsule {
		return capsule(s, all(nil, attr("role", "v")), all(nil, attr("role", "v"), trk))
	})...)
}

func TestCatalogues(t *testing.T) {
	t.Parallel()
	for name, c := range catalogues {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := c.make(1000)
			p := mustMake(t, list)
			if len(list) != 1000 || len(p.Stages) != c.stages || len(p.Edges) != c.edges || len(p.Dropped) != c.dropped || len(p.Blocked) != c.blocked {
				t.Errorf("%d capsules: %d stages, %d edges, %d dropped, %d blocked", len(list), len(p.Stages), len(p.Edges), len(p.Dropped), len(p.Blocked))
			}
			checkPlan(t, list, p)
		})
	}
}

// BenchmarkMake plans 1,000 capsules; the goal is under 50 ms.
func BenchmarkMake(b *testing.B) {
	for name, c := range catalogues {
		b.Run(name, func(b *testing.B) {
			list := c.make(1000)
			b.ReportAllocs()
			for b.Loop() {
				p, err := plan.Make(list)
				if err != nil || len(p.Stages) != c.stages || len(p.Edges) != c.edges || len(p.Blocked) != c.blocked {
					b.Fatal(err, len(p.Stages), len(p.Edges), len(p.Blocked))
				}
			}
		})
	}
}
