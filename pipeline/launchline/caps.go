package launchline

import "strings"

// Caps is a format with fields that bound it.
type Caps struct {
	Media    string // "video/x-raw"
	Features string // "memory:NVMM"; empty: none
	Fields   []Field
}

// Field is one field of caps.
type Field struct {
	Name, Type string // Type may be empty
	Values     []string
	Open       byte // '{' for a list, '[' for a range, 0 for one value
}

const maxFields = 16

// media are the formats that caps may name.
var media = map[string]bool{
	"video/x-raw": true, "video/x-h264": true, "video/x-h265": true, "video/mpeg": true, "video/mpegts": true, "video/x-vp8": true, "video/x-vp9": true,
	"video/x-av1": true, "image/jpeg": true, "image/png": true, "application/x-rtp": true, "multipart/x-mixed-replace": true,
	"video/x-h263": true, "video/x-bayer": true,
}

// String gives the caps as GStreamer reads them.
func (c *Caps) String() string {
	var b strings.Builder
	b.WriteString(c.Media)
	if c.Features != "" {
		b.WriteString("(" + c.Features + ")")
	}
	for _, f := range c.Fields {
		b.WriteString("," + f.Name + "=")
		if f.Type != "" {
			b.WriteString("(" + f.Type + ")")
		}
		values := strings.Join(f.Values, ",")
		switch f.Open {
		case '{':
			values = "{" + values + "}"
		case '[':
			values = "[" + values + "]"
		}
		b.WriteString(values)
	}
	return b.String()
}

// Without gives the caps without a field.
func (c *Caps) Without(field string) *Caps {
	out := &Caps{Media: c.Media, Features: c.Features}
	for _, f := range c.Fields {
		if f.Name != field {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

func parseCaps(text string) (*Caps, error) {
	s := &scanner{text: text}
	s.space()
	c, err := s.caps()
	if s.space(); err == nil && !s.over() {
		err = fault("caps go on where they should end")
	}
	return c, err
}

// caps reads MEDIA[(FEATURES)][, NAME=[(TYPE)]VALUE]…
func (s *scanner) caps() (*Caps, error) {
	s.space()
	start := s.pos
	c := &Caps{Media: s.run(func(b byte) bool { return inWord(b) || b == '/' || b == '.' })}
	if !media[c.Media] {
		return nil, fault("at byte %d: the format of the caps is not one that is allowed", start)
	}
	if s.peek() == '(' {
		s.pos++
		c.Features = s.run(func(b byte) bool { return inWord(b) || b == ':' })
		if c.Features == "" || s.peek() != ')' {
			return nil, fault("at byte %d: the features of the caps are not understood", s.pos)
		}
		s.pos++
	}
	for {
		mark := s.pos
		if s.space(); s.peek() != ',' {
			s.pos = mark
			return c, nil
		}
		s.pos++
		f, err := s.field()
		if err != nil {
			return nil, err
		}
		if len(c.Fields) == maxFields {
			return nil, fault("caps have more than %d fields", maxFields)
		}
		c.Fields = append(c.Fields, f)
	}
}

var fieldTypes = map[string]string{
	"string": "string", "int": "int", "i": "int", "fraction": "fraction", "boolean": "boolean", "bool": "boolean", "b": "boolean", "double": "double", "s": "string",
}

func (s *scanner) field() (f Field, err error) {
	s.space()
	if f.Name = s.word(); f.Name == "" || len(f.Name) > 64 {
		return f, fault("at byte %d: want the name of a field of caps", s.pos)
	}
	if s.space(); s.peek() != '=' {
		return f, fault("at byte %d: want a = and a value for the field of caps", s.pos)
	}
	s.pos++
	if s.space(); s.peek() == '(' {
		s.pos++
		if f.Type = fieldTypes[s.word()]; f.Type == "" || s.peek() != ')' {
			return f, fault("at byte %d: the type of the field of caps is not understood", s.pos)
		}
		s.pos++
		s.space()
	}
	if c := s.peek(); c != '{' && c != '[' {
		v, err := s.scalar()
		f.Values = []string{v}
		return f, err
	}
	return f, s.list(&f)
}

// list reads {VALUE, …} or [LEAST, MOST].
func (s *scanner) list(f *Field) error {
	f.Open = s.peek()
	end := byte('}')
	if f.Open == '[' {
		end = ']'
	}
	for s.peek() != end {
		s.pos++
		s.space()
		v, err := s.scalar()
		if err != nil {
			return err
		}
		f.Values = append(f.Values, v)
		if s.space(); s.peek() != ',' && s.peek() != end || len(f.Values) > maxFields {
			return fault("at byte %d: the values of the field of caps are not understood", s.pos)
		}
	}
	s.pos++
	if f.Open == '[' && len(f.Values) != 2 {
		return fault("at byte %d: want two values for a range", s.pos)
	}
	return nil
}

// scalar reads one value. Quotes are not needed for any that is let through.
func (s *scanner) scalar() (v string, err error) {
	if c := s.peek(); c == '"' || c == '\'' {
		v, err = s.quoted()
	} else {
		v = s.run(inValue)
	}
	if err == nil && (v == "" || len(v) > 64 || strings.ContainsFunc(v, func(r rune) bool { return !inValue(byte(r)) })) {
		err = fault("at byte %d: the value of the field of caps is not understood", s.pos)
	}
	return v, err
}

func inValue(c byte) bool { return inWord(c) || c == '/' || c == '.' || c == ':' || c == '+' }
