package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// MarshalJSON writes {"stages":[["a"],["b","c"]],"edges":[{"from","to","why":[…]}],
// "dropped":[{"from","to"}],"unproven":[{"capsule","keys":[…]}],"blocked":[{"capsule","reason"}]},
// all lists sorted, an empty list as []. "ungated":[{"capsule","class"}] is there only when a
// capsule has a gate that cannot work.
func (p *Plan) MarshalJSON() ([]byte, error) {
	type ends struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	type edge struct {
		ends
		Why []string `json:"why"`
	}
	type unproven struct {
		Capsule string   `json:"capsule"`
		Keys    []string `json:"keys"`
	}
	type blocked struct {
		Capsule string `json:"capsule"`
		Reason  string `json:"reason"`
	}
	type ungated struct {
		Capsule string `json:"capsule"`
		Class   string `json:"class"`
	}
	v := struct {
		Stages   [][]string `json:"stages"`
		Edges    []edge     `json:"edges"`
		Dropped  []ends     `json:"dropped"`
		Unproven []unproven `json:"unproven"`
		Blocked  []blocked  `json:"blocked"`
		Ungated  []ungated  `json:"ungated,omitempty"`
	}{append([][]string{}, p.Stages...), []edge{}, []ends{}, []unproven{}, []blocked{}, nil}
	for _, e := range p.Edges {
		v.Edges = append(v.Edges, edge{ends{e.From, e.To}, append([]string{}, e.Why...)})
	}
	for _, e := range p.Dropped {
		v.Dropped = append(v.Dropped, ends{e.From, e.To})
	}
	for _, u := range p.Unproven {
		v.Unproven = append(v.Unproven, unproven{u.Capsule, append([]string{}, u.Keys...)})
	}
	for _, b := range p.Blocked {
		v.Blocked = append(v.Blocked, blocked{b.Capsule, b.Reason})
	}
	for _, u := range p.Ungated {
		v.Ungated = append(v.Ungated, ungated{u.Capsule, u.Class})
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return out.Bytes(), err
}

// Text explains the plan to a person: the stages, why each capsule waits for others, what may
// stay hungry, and why a capsule is left out.
func (p *Plan) Text() string {
	var b strings.Builder
	if p.Capsules() == 0 {
		b.WriteString("Nothing runs: ")
		if len(p.Blocked) == 0 {
			b.WriteString("there are no capsules.\n")
		} else {
			b.WriteString("no capsule can start from the frame alone and feed the others.\n")
		}
	}
	p.textStages(&b)
	p.textUnproven(&b)
	if len(p.Ungated) > 0 {
		b.WriteString("\nGate off, so on every frame:\n")
		for _, u := range p.Ungated {
			fmt.Fprintf(&b, "  %s: no other capsule gives %s before it\n    To gate it: %s.\n", clean(u.Capsule), clean(u.Class), clean(u.Hint))
		}
	}
	if len(p.Dropped) > 0 {
		b.WriteString("\nNot followed, because nothing feeds backwards within a frame:\n")
		for _, e := range p.Dropped {
			fmt.Fprintf(&b, "  %s -> %s (%s)\n", clean(e.From), clean(e.To), list(brief(e.Why)))
		}
	}
	if len(p.Blocked) > 0 {
		b.WriteString("\nLeft out:\n")
		for _, x := range p.Blocked {
			fmt.Fprintf(&b, "  %s\n    %s\n    To bring it in: %s.\n", clean(x.Capsule), clean(x.Reason), clean(x.Hint))
		}
	}
	return b.String()
}

func (p *Plan) textStages(b *strings.Builder) {
	waits := map[string][]Edge{}
	for _, e := range p.Edges {
		waits[e.To] = append(waits[e.To], e)
	}
	for i, s := range p.Stages {
		if i > 0 {
			b.WriteByte('\n')
		}
		side := ""
		if len(s) > 1 {
			side = fmt.Sprintf(" (%d side by side)", len(s))
		}
		fmt.Fprintf(b, "Stage %d%s\n", i+1, side)
		for _, name := range s {
			fmt.Fprintf(b, "  %s\n", clean(name))
			if len(waits[name]) == 0 {
				b.WriteString("    needs the frame alone\n")
			}
			for _, e := range waits[name] {
				fmt.Fprintf(b, "    after %s: %s\n", clean(e.From), list(brief(e.Why)))
			}
		}
	}
}

func (p *Plan) textUnproven(b *strings.Builder) {
	if len(p.Unproven) == 0 {
		return
	}
	b.WriteString("\nMay get nothing: no capsule before it declares what it needs, though one may give it all the same\n")
	for _, u := range p.Unproven {
		fmt.Fprintf(b, "  %s: key %s\n", clean(u.Capsule), list(u.Keys))
	}
}

// shown is how many reasons for an edge a person is shown; JSON has them all.
const shown = 6

// brief shortens a list of reasons: a detector of eighty classes has eighty.
func brief(why []string) []string {
	if len(why) <= shown {
		return why
	}
	short := append([]string{}, why[:shown-1]...)
	return append(short, fmt.Sprintf("and %d more", len(why)-shown+1))
}

func list(s []string) string { return clean(strings.Join(s, ", ")) }

// clean keeps a name on its line and away from the terminal's control codes.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return '�'
		}
		return r
	}, s)
}

// ids numbers the capsules of the drawing: n0, n1… in the order of stages, then the blocked.
func (p *Plan) ids() map[string]string {
	id := map[string]string{}
	for _, s := range p.Stages {
		for _, name := range s {
			id[name] = fmt.Sprintf("n%d", len(id))
		}
	}
	for _, x := range p.Blocked {
		id[x.Capsule] = fmt.Sprintf("n%d", len(id))
	}
	return id
}

func (p *Plan) hungry() map[string][]string {
	h := map[string][]string{}
	for _, u := range p.Unproven {
		h[u.Capsule] = u.Keys
	}
	return h
}

// Mermaid draws the plan as a Mermaid flowchart.
func (p *Plan) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	id, hungry := p.ids(), p.hungry()
	for i, s := range p.Stages {
		fmt.Fprintf(&b, "  subgraph s%d [\"stage %d\"]\n", i, i+1)
		for _, name := range s {
			label := mermaid(name)
			if keys := hungry[name]; keys != nil {
				label += "<br/>needs key " + mermaid(list(keys))
			}
			fmt.Fprintf(&b, "    %s(\"%s\")\n", id[name], label)
		}
		b.WriteString("  end\n")
	}
	for _, e := range p.Edges {
		fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", id[e.From], mermaid(list(brief(e.Why))), id[e.To])
	}
	for _, e := range p.Dropped {
		fmt.Fprintf(&b, "  %s -.->|\"not followed\"| %s\n", id[e.From], id[e.To])
	}
	for _, x := range p.Blocked {
		fmt.Fprintf(&b, "  %s(\"%s<br/>%s\"):::out\n", id[x.Capsule], mermaid(x.Capsule), mermaid(x.Reason))
	}
	for _, u := range p.Unproven {
		fmt.Fprintf(&b, "  class %s hungry\n", id[u.Capsule])
	}
	b.WriteString("  classDef hungry stroke:#b8860b,stroke-width:2px\n")
	b.WriteString("  classDef out fill:#eee,stroke:#999,color:#666,stroke-dasharray:4 3\n")
	return b.String()
}

// mermaid escapes a text for a quoted label: entities by number are understood everywhere.
func mermaid(s string) string {
	var b strings.Builder
	for _, r := range clean(s) {
		if strings.ContainsRune(`"<>&#;|\`+"`{}[]()%", r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// DOT draws the plan for Graphviz: one rank a stage, reasons on the edges.
func (p *Plan) DOT() string {
	var b strings.Builder
	b.WriteString("digraph plan {\n  rankdir=LR;\n  nodesep=0.35;\n  ranksep=1.1;\n")
	b.WriteString("  node [shape=box, style=\"rounded,filled\", fillcolor=\"#eef4fb\", color=\"#4a7bab\", fontname=\"Helvetica\", fontsize=12, margin=\"0.16,0.1\"];\n")
	b.WriteString("  edge [color=\"#7a8794\", fontcolor=\"#4d5863\", fontname=\"Helvetica\", fontsize=10, arrowsize=0.7];\n")
	id, hungry := p.ids(), p.hungry()
	for i, s := range p.Stages {
		fmt.Fprintf(&b, "  subgraph stage%d {\n    rank=same;\n", i+1)
		for _, name := range s {
			label, extra := []string{name}, ""
			if keys := hungry[name]; keys != nil {
				label = append(label, "needs key "+list(keys))
				extra = ", color=\"#b8860b\", fillcolor=\"#fdf6e3\""
			}
			fmt.Fprintf(&b, "    %s [label=%s%s];\n", id[name], dot(label...), extra)
		}
		b.WriteString("  }\n")
	}
	for _, e := range p.Edges {
		fmt.Fprintf(&b, "  %s -> %s [label=%s];\n", id[e.From], id[e.To], dot(brief(e.Why)...))
	}
	for _, e := range p.Dropped {
		fmt.Fprintf(&b, "  %s -> %s [label=\"not followed\", style=dashed, constraint=false];\n", id[e.From], id[e.To])
	}
	for _, x := range p.Blocked {
		fmt.Fprintf(&b, "  %s [label=%s, style=\"rounded,dashed\", color=\"#999999\", fontcolor=\"#666666\"];\n", id[x.Capsule], dot(x.Capsule, x.Reason))
	}
	b.WriteString("}\n")
	return b.String()
}

// dot quotes the lines of a label for Graphviz.
func dot(lines ...string) string {
	quoted := make([]string, 0, len(lines))
	for _, l := range lines {
		quoted = append(quoted, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(l)))
	}
	return `"` + strings.Join(quoted, `\n`) + `"`
}
