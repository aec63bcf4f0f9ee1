package launchline

import "strings"

// maxName is how many bytes a name may have.
const maxName = 64

// nowhere is a place without an element.
var nowhere = end{element: -1}

// end is one side of a link: an element, or the name of one that may come later.
type end struct {
	element int
	name    string
	pad     string
}

// parser reads the items of a line one after the other.
type parser struct {
	scanner
	out   Pipeline
	links [][2]end

	at       end  // what a "!" would link from
	linking  bool // a "!" waits for what comes after it
	settable bool // the item before was an element, or a property of it
}

func (p *parser) parse() error {
	for p.space(); !p.over(); p.space() {
		if err := p.item(); err != nil {
			return err
		}
	}
	if p.linking {
		return fault("nothing comes after the last !")
	}
	if p.at.name != "" {
		return fault("nothing comes after %s.", p.at.name)
	}
	return p.resolve()
}

func (p *parser) item() error {
	switch c := p.peek(); {
	case c == '!':
		p.pos++
		return p.bang()
	case c == '"' || c == '\'':
		at := p.pos
		text, err := p.quoted()
		if err != nil {
			return err
		}
		return p.filter(at, &scanner{text: text})
	case c == '(' || c == ')':
		return fault("at byte %d: bins in brackets are not understood", p.pos)
	}
	start := p.pos
	word := p.word()
	switch {
	case word == "":
		return fault("at byte %d: %s is not understood", p.pos, printable(p.peek()))
	case p.peek() == '/':
		p.pos = start
		return p.filter(start, &p.scanner)
	case p.peek() == '.':
		p.pos++
		return p.reference(word, p.padName())
	}
	mark := p.pos
	if p.space(); p.peek() == '=' {
		p.pos++
		return p.property(start, word)
	}
	p.pos = mark
	return p.element(word)
}

func (p *parser) bang() error {
	if p.linking || p.at == nowhere {
		return fault("at byte %d: a ! has nothing before it", p.pos-1)
	}
	p.linking, p.settable = true, false
	return nil
}

// arrive links to where the line has come, if a "!" stands before.
func (p *parser) arrive(to end) error {
	if !p.linking && p.at.name != "" {
		return fault("nothing comes after %s.", p.at.name)
	}
	if p.linking {
		p.links = append(p.links, [2]end{p.at, to})
	}
	p.linking = false
	return nil
}

func (p *parser) add(e Element) error {
	if len(p.out.Elements) == MaxElements {
		return fault("it has more than %d elements", MaxElements)
	}
	here := end{element: len(p.out.Elements)}
	p.out.Elements = append(p.out.Elements, e)
	err := p.arrive(here)
	p.at = here
	return err
}

func (p *parser) element(kind string) error {
	if len(kind) > maxName {
		return fault("at byte %d: that is no name of an element", p.pos-len(kind))
	}
	p.settable = false
	err := p.add(Element{Kind: kind})
	p.settable = true
	return err
}

// filter reads caps, which stand between two links.
func (p *parser) filter(at int, from *scanner) error {
	if !p.linking {
		return fault("at byte %d: caps have no ! before them", at)
	}
	c, err := from.caps()
	if err == nil && from != &p.scanner && !from.over() {
		err = fault("at byte %d: there is more than caps between the quotes", at)
	}
	if err != nil {
		return err
	}
	p.settable = false
	return p.add(Element{Kind: "capsfilter", Properties: []Property{{Name: "caps", Value: c.String(), Caps: c}}})
}

// reference is NAME. or NAME.PAD.
func (p *parser) reference(name, pad string) error {
	if len(name) > maxName || len(pad) > maxName {
		return fault("at byte %d: that is no name of an element", p.pos)
	}
	to := end{element: -1, name: name, pad: pad}
	linked := p.linking
	if err := p.arrive(to); err != nil {
		return err
	}
	p.at, p.settable = to, false
	if linked {
		p.at = nowhere // a chain ends where it joins another
	}
	return nil
}

func (p *parser) property(start int, name string) error {
	if !p.settable || len(name) > maxName {
		return fault("at byte %d: the property is not behind an element", start)
	}
	value, err := p.value()
	if err != nil {
		return err
	}
	e := &p.out.Elements[len(p.out.Elements)-1]
	if name == "name" {
		if e.Name != "" || !isWord(value) || len(value) > maxName {
			return fault("at byte %d: want one name, of letters, digits, - and _, and a letter first", start)
		}
		e.Name = value
		return nil
	}
	if _, twice := e.Get(name); twice {
		return fault("at byte %d: %s of %s is set twice", start, name, e.Kind)
	}
	e.Properties = append(e.Properties, Property{Name: name, Value: value})
	return nil
}

// resolve finds the elements that links name.
func (p *parser) resolve() error {
	names := map[string]int{}
	for i, e := range p.out.Elements {
		if e.Name == "" {
			continue
		}
		if _, twice := names[e.Name]; twice {
			return fault("two elements have the name %q", e.Name)
		}
		names[e.Name] = i
	}
	for _, l := range p.links {
		for i := range l {
			if l[i].name == "" {
				continue
			}
			at, ok := names[l[i].name]
			if !ok {
				return fault("%s. is the name of no element", l[i].name)
			}
			l[i].element = at
		}
		p.out.Links = append(p.out.Links, Link{From: l[0].element, FromPad: l[0].pad, To: l[1].element, ToPad: l[1].pad})
	}
	return nil
}

// printable shows a character that may be none.
func printable(c byte) string {
	if c > ' ' && c < 0x7f && !strings.ContainsRune(`"'`, rune(c)) {
		return string(rune(c))
	}
	return "a character"
}
