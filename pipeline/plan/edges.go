package plan

import "slices"

// connect finds, for every admitted capsule, those that it waits for.
func (g *graph) connect() {
	g.preds = make([][]edge, len(g.caps))
	w := g.newWeaver()
	for i := range g.caps {
		if c := &g.caps[i]; c.round > 0 && (!c.none || c.gate >= 0) {
			g.preds[i] = w.weave(int32(i))
		}
	}
}

// weaver collects the edges to one capsule at a time. Its lists are used again for the next.
type weaver struct {
	g         *graph
	creators  [][]int32 // class → admitted capsules that create it
	providers [][]int32 // trait → admitted capsules that add it
	any       int32     // the reason "any node"

	viable  []int32   // per reason: 1 + the capsule it was last viable for
	why     [][]int32 // per capsule: reasons of the edge from it
	last    []edge    // per capsule: the edge from it that was kept last
	touched []int32   // capsules with reasons
}

func (g *graph) newWeaver() *weaver {
	w := &weaver{
		g: g, creators: make([][]int32, len(g.reasons)), providers: make([][]int32, len(g.reasons)),
		viable: make([]int32, len(g.reasons)), why: make([][]int32, len(g.caps)), last: make([]edge, len(g.caps)),
	}
	for i := range g.caps {
		c := &g.caps[i]
		if c.round == 0 {
			continue
		}
		for _, k := range c.creates {
			w.creators[k] = append(w.creators[k], int32(i))
		}
		for _, t := range c.traits {
			w.providers[t] = append(w.providers[t], int32(i))
		}
	}
	w.any = int32(slices.IndexFunc(g.reasons, func(r reason) bool { return r.kind == everything }))
	return w
}

func (w *weaver) weave(i int32) []edge {
	c := &w.g.caps[i]
	if c.takesAll() {
		return w.weaveAll(i)
	}
	if !c.none {
		w.weaveNodes(i, c)
	}
	if c.opener >= 0 {
		for _, p := range w.creators[c.opener] {
			w.add(p, i, c.gate)
		}
	}
	return w.finish()
}

// weaveNodes adds the reasons that lie in the nodes that capsule i takes.
func (w *weaver) weaveNodes(i int32, c *capsule) {
	viable := w.g.viable(c)
	for _, k := range viable {
		w.viable[k] = i + 1
		for _, p := range w.creators[k] {
			w.add(p, i, k)
		}
	}
	for _, list := range [][]int32{c.hard, c.keys} {
		for _, t := range list {
			for _, p := range w.providers[t] {
				if w.overlaps(p, i, len(viable)) {
					w.add(p, i, t)
				}
			}
		}
	}
}

// weaveAll is for a capsule that takes everything: the reasons of an edge to it are all that
// the other creates, or "any node".
func (w *weaver) weaveAll(i int32) []edge {
	list := make([]edge, 0, len(w.g.caps))
	for j := range w.g.caps {
		p := &w.g.caps[j]
		if int32(j) == i || p.round == 0 {
			continue
		}
		switch {
		case len(p.creates) > 0:
			list = append(list, w.keep(int32(j), w.withGate(&w.g.caps[i], p.creates)))
		case !p.takesAll():
			list = append(list, w.keep(int32(j), []int32{w.any}))
		}
	}
	return list
}

// withGate adds the gate of c to the classes that another creates, if one of them opens it.
func (w *weaver) withGate(c *capsule, classes []int32) []int32 {
	if _, opens := slices.BinarySearch(classes, c.opener); !opens {
		return classes
	}
	why := append(slices.Clone(classes), c.gate)
	slices.Sort(why)
	return why
}

func (w *weaver) add(from, to, why int32) {
	if from == to {
		return
	}
	if len(w.why[from]) == 0 {
		w.touched = append(w.touched, from)
	}
	w.why[from] = append(w.why[from], why)
}

// overlaps says whether the traits of p reach a class by which capsule i is fed.
func (w *weaver) overlaps(p, i int32, viable int) bool {
	classes := w.g.caps[p].classes
	if len(classes) == 0 {
		return viable > 0
	}
	return slices.ContainsFunc(classes, func(k int32) bool { return w.viable[k] == i+1 })
}

func (w *weaver) finish() []edge {
	slices.Sort(w.touched)
	list := make([]edge, 0, len(w.touched))
	for _, p := range w.touched {
		slices.Sort(w.why[p])
		list = append(list, w.keep(p, w.why[p]))
		w.why[p] = w.why[p][:0]
	}
	w.touched = w.touched[:0]
	return list
}

// keep makes an edge. Edges from one capsule often have the same reasons; those next to each
// other share them.
func (w *weaver) keep(from int32, why []int32) edge {
	e := w.last[from]
	if e.count == 0 || !slices.Equal(w.g.reasonsOf(e), why) {
		e = edge{from: from, first: int32(len(w.g.why)), count: int32(len(why))}
		w.g.why = append(w.g.why, why...)
		w.last[from] = e
	}
	return e
}

func (g *graph) reasonsOf(e edge) []int32 { return g.why[e.first : e.first+e.count] }

// backward says whether an edge goes from a later round to an earlier one, or against the
// order of names within a round.
func (g *graph) backward(from, to int32) bool {
	a, b := g.caps[from].round, g.caps[to].round
	return a > b || (a == b && from > to)
}

// dropBackward removes, inside every cycle, the edges that go backward.
func (g *graph) dropBackward() {
	if !g.anyBackward() {
		return // without one there is no cycle
	}
	component := g.components()
	for to := range g.preds {
		for j := range g.preds[to] {
			e := &g.preds[to][j]
			e.dropped = e.dropped || component[e.from] == component[to] && g.backward(e.from, int32(to))
		}
	}
}

func (g *graph) anyBackward() bool {
	for to := range g.preds {
		for _, e := range g.preds[to] {
			if !e.dropped && g.backward(e.from, int32(to)) {
				return true
			}
		}
	}
	return false
}

// components numbers the strongly connected components (Tarjan's algorithm, with its own
// stack: a chain of capsules may be long).
func (g *graph) components() []int32 {
	n := len(g.caps)
	t := &tarjan{g: g, index: make([]int32, n), low: make([]int32, n), component: make([]int32, n), next: make([]int, n)}
	for i := range n {
		if t.index[i] == 0 {
			t.visit(int32(i))
		}
	}
	return t.component
}

type tarjan struct {
	g         *graph
	index     []int32 // order of discovery, from 1
	low       []int32
	component []int32 // from 1; 0: still on the stack or not seen
	next      []int   // the edge to follow next
	stack     []int32
	path      []int32
	count     int32
	found     int32
}

func (t *tarjan) visit(root int32) {
	t.open(root)
	for len(t.path) > 0 {
		v := t.path[len(t.path)-1]
		if t.next[v] == len(t.g.preds[v]) {
			t.close(v)
			continue
		}
		e := t.g.preds[v][t.next[v]]
		u := e.from
		t.next[v]++
		switch {
		case e.dropped:
		case t.index[u] == 0:
			t.open(u)
		case t.component[u] == 0:
			t.low[v] = min(t.low[v], t.index[u])
		}
	}
}

func (t *tarjan) open(v int32) {
	t.count++
	t.index[v], t.low[v] = t.count, t.count
	t.stack, t.path = append(t.stack, v), append(t.path, v)
}

func (t *tarjan) close(v int32) {
	t.path = t.path[:len(t.path)-1]
	if len(t.path) > 0 {
		parent := t.path[len(t.path)-1]
		t.low[parent] = min(t.low[parent], t.low[v])
	}
	if t.low[v] != t.index[v] {
		return
	}
	t.found++
	for {
		u := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		t.component[u] = t.found
		if u == v {
			return
		}
	}
}

// stages puts every admitted capsule one stage after the latest that it waits for.
func (g *graph) stages() [][]string {
	waiting, followers := g.followers()
	stage := make([]int, len(g.caps))
	var queue []int32
	for i := range g.caps {
		if g.caps[i].round > 0 && waiting[i] == 0 {
			queue = append(queue, int32(i))
		}
	}
	stages := [][]string{}
	for at := 0; at < len(queue); at++ {
		i := queue[at]
		for len(stages) <= stage[i] {
			stages = append(stages, nil)
		}
		stages[stage[i]] = append(stages[stage[i]], g.names[i])
		for _, f := range followers[i] {
			stage[f] = max(stage[f], stage[i]+1)
			if waiting[f]--; waiting[f] == 0 {
				queue = append(queue, f)
			}
		}
	}
	for _, s := range stages {
		slices.Sort(s)
	}
	return stages
}

func (g *graph) followers() (waiting []int, followers [][]int32) {
	waiting, followers = make([]int, len(g.caps)), make([][]int32, len(g.caps))
	for to := range g.preds {
		for _, e := range g.preds[to] {
			if !e.dropped {
				waiting[to]++
				followers[e.from] = append(followers[e.from], int32(to))
			}
		}
	}
	return waiting, followers
}

// edgeLists gives the edges by name of the giver, then of the taker.
func (g *graph) edgeLists() (kept, dropped []Edge) {
	lists, backward := g.byGiver()
	total := 0
	for _, l := range lists {
		total += len(l)
	}
	kept, dropped = make([]Edge, 0, total-backward), make([]Edge, 0, backward)
	texts := make([]string, len(g.reasons))
	for i, r := range g.reasons {
		texts[i] = r.text()
	}
	for from, l := range lists {
		var last edge
		var why []string
		for _, x := range l {
			if e := x.edge; why == nil || e.first != last.first {
				last, why = e, pick(texts, g.reasonsOf(e))
			}
			e := Edge{From: g.names[from], To: g.names[x.to], Why: why}
			if x.dropped {
				dropped = append(dropped, e)
			} else {
				kept = append(kept, e)
			}
		}
	}
	return kept, dropped
}

type edgeTo struct {
	edge
	to int32
}

// byGiver turns the lists of edges round: per capsule, the edges from it, ascending.
func (g *graph) byGiver() (lists [][]edgeTo, dropped int) {
	count := make([]int, len(g.caps))
	for to := range g.preds {
		for _, e := range g.preds[to] {
			count[e.from]++
		}
	}
	lists = make([][]edgeTo, len(g.caps))
	for i, n := range count {
		lists[i] = make([]edgeTo, 0, n)
	}
	for to := range g.preds {
		for _, e := range g.preds[to] {
			lists[e.from] = append(lists[e.from], edgeTo{e, int32(to)})
			if e.dropped {
				dropped++
			}
		}
	}
	return lists, dropped
}

func pick(texts []string, list []int32) []string {
	s := make([]string, 0, len(list))
	for _, i := range list {
		s = append(s, texts[i])
	}
	return s[:len(s):len(s)]
}
