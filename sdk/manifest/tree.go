package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The limits of one file. A manifest nests five levels deep; a list of manifests with aliases
// may stand for more values than it has bytes, so values are counted after aliases are put in.
const (
	maxBytes  = 1 << 20
	maxDepth  = 16
	maxValues = 1 << 18
	maxKeys   = 1 << 11 // of one mapping, and documents of a file: the parser takes the square of it
)

type kind int

const (
	null kind = iota
	text
	integer
	float
	boolean
	list
	mapping
)

// value is a YAML value with its place, aliases put in.
type value struct {
	kind      kind
	line, col int
	text      string // of a scalar, as written (quotes removed)
	data      any    // of a scalar: string, int64, uint64, float64, bool
	items     []value
	fields    []field
}

type field struct {
	key       string
	line, col int
	value     value
}

// what names the kind of v for a message.
func (v value) what() string {
	switch v.kind {
	case null:
		return "nothing"
	case text:
		return fmt.Sprintf("%q", shorten(v.text))
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	default:
		return shorten(v.text)
	}
}

// shorten keeps a message on one line of bearable length.
func shorten(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:57], "") + "…"
}

// parse gives the documents of a YAML file. It refuses what no manifest needs: tags, merge
// keys, deep nesting, control characters.
func parse(file string, data []byte) (docs []value, err error) {
	if len(data) > maxBytes {
		return nil, faultAt(file, 0, 0, fmt.Sprintf("the file has %d bytes", len(data)), fmt.Sprintf("at most %d", maxBytes))
	}
	source, err := normalize(file, data)
	if err != nil {
		return nil, err
	}
	defer func() { // the parser is not ours and reads what others wrote
		if r := recover(); r != nil {
			docs, err = nil, faultAt(file, 0, 0, "this is not YAML", fmt.Sprint("the parser gave up: ", shorten(fmt.Sprint(r))))
		}
	}()
	tokens := lexer.Tokenize(source)
	if err := checkShape(file, tokens); err != nil {
		return nil, err
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are refused below, with both places
	if err != nil {
		return nil, syntaxFault(file, err)
	}
	b := builder{file: file}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		b.anchors = map[string]ast.Node{}
		v, err := b.build(doc.Body, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, v)
	}
	return docs, nil
}

// normalize removes a byte order mark, makes every line break \n, and refuses bytes that are
// no text.
func normalize(file string, data []byte) (string, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
	line := 1
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return "", faultAt(file, line, 0, fmt.Sprintf("byte 0x%02x is not text", s[i]), "a manifest is YAML in UTF-8")
		}
		if r == '\n' {
			line++
		}
		i += n
	}
	return s, nil
}

// checkShape bounds depth and width before the parser sees the tokens: it is recursive, and
// takes the square of the time for a wide mapping or many documents.
func checkShape(file string, tokens token.Tokens) error {
	var s shape
	for _, tk := range tokens {
		at := tk.Position
		if at.Line != s.line {
			s.line, s.opened = at.Line, 0
		}
		s.count(tk)
		switch {
		case len(s.flow) > maxDepth || s.opened > maxDepth || len(s.block) > maxDepth:
			return faultAt(file, at.Line, at.Column, "it nests too deep", fmt.Sprintf("at most %d levels", maxDepth))
		case s.documents > maxKeys:
			return faultAt(file, at.Line, 0, "there are too many documents", fmt.Sprintf("at most %d", maxKeys))
		case s.widest > maxKeys:
			return faultAt(file, at.Line, at.Column, "a mapping has too many keys", fmt.Sprintf("at most %d", maxKeys))
		}
	}
	return nil
}

// shape counts what is open at a token.
type shape struct {
	line, opened int // entries begun in this line, outside of brackets
	flow         []int
	block        []column
	widest       int
	documents    int
}

// column is a block mapping: where its keys begin, and how many there are.
type column struct{ at, keys int }

func (s *shape) count(tk *token.Token) {
	switch tk.Type {
	case token.DocumentHeaderType, token.DocumentEndType:
		s.documents++
		s.block = s.block[:0]
	case token.MappingStartType, token.SequenceStartType:
		s.flow = append(s.flow, 0)
	case token.MappingEndType, token.SequenceEndType:
		s.flow = s.flow[:max(0, len(s.flow)-1)]
	case token.TagType, token.AnchorType, token.MappingKeyType:
		if len(s.flow) == 0 {
			s.opened++
		}
	case token.SequenceEntryType:
		s.opened++
		s.leave(tk.Position.Column)
	case token.MappingValueType:
		s.key(tk)
	}
}

// leave ends the block mappings whose keys begin right of a column.
func (s *shape) leave(at int) {
	for len(s.block) > 0 && s.block[len(s.block)-1].at > at {
		s.block = s.block[:len(s.block)-1]
	}
}

func (s *shape) key(tk *token.Token) {
	if n := len(s.flow); n > 0 {
		s.flow[n-1]++
		s.widest = max(s.widest, s.flow[n-1])
		return
	}
	s.opened++
	at := tk.Position.Column
	if tk.Prev != nil && tk.Prev.Position.Line == tk.Position.Line {
		at = tk.Prev.Position.Column
	}
	s.leave(at)
	if n := len(s.block); n == 0 || s.block[n-1].at < at {
		s.block = append(s.block, column{at: at})
	}
	top := &s.block[len(s.block)-1]
	top.keys++
	s.widest = max(s.widest, top.keys)
}

func syntaxFault(file string, err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return faultAt(file, 0, 0, "this is not YAML", shorten(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	at := e.GetToken().Position
	return faultAt(file, at.Line, at.Column, strings.ReplaceAll(e.GetMessage(), "\n", " "), "this is not YAML")
}

// builder turns the parser's trees into values.
type builder struct {
	file    string
	anchors map[string]ast.Node // of the document
	values  int                 // of the whole file
}

func (b *builder) fail(n ast.Node, what, want string) error {
	line, col := place(n)
	return faultAt(b.file, line, col, what, want)
}

func place(n ast.Node) (line, col int) {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return place(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return place(m.Key)
	case *ast.LiteralNode:
		if m.Start != nil && m.Start.Position != nil {
			return m.Start.Position.Line, m.Start.Position.Column
		}
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line, tk.Position.Column
	}
	return 0, 0
}

func (b *builder) build(n ast.Node, depth int) (value, error) {
	if b.values++; b.values > maxValues {
		return value{}, b.fail(n, "it stands for too many values", fmt.Sprintf("at most %d", maxValues))
	}
	if depth > 2*maxDepth {
		return value{}, b.fail(n, "it nests too deep", fmt.Sprintf("at most %d levels", maxDepth))
	}
	var v value
	v.line, v.col = place(n)
	switch n := n.(type) {
	case *ast.AnchorNode:
		return b.anchor(n, depth)
	case *ast.AliasNode:
		return b.alias(n, depth)
	case *ast.SequenceNode:
		v.kind = list
		for _, item := range n.Values {
			x, err := b.build(item, depth+1)
			if err != nil {
				return v, err
			}
			v.items = append(v.items, x)
		}
		return v, nil
	case *ast.MappingNode:
		return b.fields(v, n.Values, depth)
	case *ast.MappingValueNode:
		return b.fields(v, []*ast.MappingValueNode{n}, depth)
	case *ast.TagNode:
		return v, b.fail(n, "tag "+shorten(n.Start.Value)+" has no meaning here", "remove it")
	default:
		return b.scalar(v, n)
	}
}

func (b *builder) scalar(v value, n ast.Node) (value, error) {
	if tk := n.GetToken(); tk != nil {
		v.text = tk.Value
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		v.kind = null
	case *ast.StringNode:
		v.kind, v.text, v.data = text, n.Value, n.Value
	case *ast.LiteralNode:
		v.kind, v.text, v.data = text, n.Value.Value, n.Value.Value
	case *ast.IntegerNode:
		v.kind, v.data = integer, n.Value
	case *ast.FloatNode:
		v.kind, v.data = float, n.Value
	case *ast.InfinityNode:
		v.kind, v.data = float, n.Value
	case *ast.NanNode:
		v.kind, v.data = float, n.GetValue()
	case *ast.BoolNode:
		v.kind, v.data = boolean, n.Value
	default:
		return v, b.fail(n, "this has no meaning here", "want a value, a list or a mapping")
	}
	return v, nil
}

func (b *builder) anchor(n *ast.AnchorNode, depth int) (value, error) {
	v, err := b.build(n.Value, depth+1)
	if err != nil {
		return v, err
	}
	// Known only from here on: an anchor inside its own value finds nothing.
	b.anchors[n.Name.GetToken().Value] = n.Value
	return v, nil
}

func (b *builder) alias(n *ast.AliasNode, depth int) (value, error) {
	name := n.Value.GetToken().Value
	target, ok := b.anchors[name]
	if !ok {
		return value{}, b.fail(n, fmt.Sprintf("there is no &%s above *%s", shorten(name), shorten(name)), "")
	}
	v, err := b.build(target, depth+1)
	v.line, v.col = place(n)
	return v, err
}

func (b *builder) fields(v value, pairs []*ast.MappingValueNode, depth int) (value, error) {
	v.kind = mapping
	seen := make(map[string]int, len(pairs))
	for _, p := range pairs {
		key, err := b.key(p.Key)
		if err != nil {
			return v, err
		}
		if first, twice := seen[key.key]; twice {
			return v, faultAt(b.file, key.line, key.col, fmt.Sprintf("key %q stands there twice", shorten(key.key)), fmt.Sprintf("first in line %d", first))
		}
		seen[key.key] = key.line
		if key.value, err = b.build(p.Value, depth+1); err != nil {
			return v, err
		}
		if key.value.kind == null {
			key.value.line, key.value.col = key.line, key.col
		}
		v.fields = append(v.fields, key)
	}
	return v, nil
}

func (b *builder) key(n ast.Node) (field, error) {
	if m, ok := n.(*ast.MappingKeyNode); ok {
		n = m.Value
	}
	var f field
	f.line, f.col = place(n)
	s, ok := n.(*ast.StringNode)
	if !ok {
		return f, b.fail(n, shorten(strings.TrimSpace(n.GetToken().Value))+" is no key", "want text; quote it if it is meant so")
	}
	f.key = s.Value
	return f, nil
}
