package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/capstan-video/capstan/core"
)

// maxFile bounds a file, and with that the depth and width that the parser has to bear.
const maxFile = 64 << 10

// reader reads a file's tree into a Config, and gathers what is wrong.
type reader struct {
	source   string
	keys     []Key
	config   *Config
	problems Problems
	origins  map[string]Origin
}

// readFile reads a file's text; what it sets is in origins.
func readFile(source string, data []byte, c *Config, origins map[string]Origin) Problems {
	r := &reader{source: source, keys: Keys(), config: c, origins: origins}
	doc, err := parseYAML(data)
	if err != nil {
		r.syntax(err)
		return r.problems
	}
	if doc != nil {
		r.mapping(doc, "", r.topic)
	}
	return r.problems
}

// parseYAML gives the one document of a file; nil: it is empty.
func parseYAML(data []byte) (doc ast.Node, err error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("it has %d bytes; want at most %d", len(data), maxFile)
	}
	if !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return nil, errors.New("it is not text in UTF-8")
	}
	defer func() { // the parser is not ours and reads what others wrote
		if p := recover(); p != nil {
			doc, err = nil, fmt.Errorf("it is not YAML: %v", p)
		}
	}()
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // they are refused below, with both places
	if err != nil {
		return nil, err
	}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if _, isComment := d.Body.(*ast.CommentGroupNode); isComment {
			continue
		}
		if doc != nil {
			return nil, errors.New("it has several documents; want one")
		}
		doc = d.Body
	}
	return doc, nil
}

func (r *reader) syntax(err error) {
	p := Problem{Source: r.source, Text: strings.ReplaceAll(err.Error(), "\n", " ")}
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
		at := e.GetToken().Position
		p.Line, p.Col, p.Text = at.Line, at.Column, "this is not YAML: "+strings.ReplaceAll(e.GetMessage(), "\n", " ")
	}
	r.problems = append(r.problems, p)
}

func (r *reader) complain(n ast.Node, key, hint, format string, args ...any) {
	line, col := place(n)
	r.problems = append(r.problems, Problem{Source: r.source, Line: line, Col: col, Key: key, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// place says where a node begins.
func place(n ast.Node) (line, col int) {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return place(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return place(m.Key)
	}
	if n == nil || reflect.ValueOf(n).IsNil() {
		return 0, 0
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line, tk.Position.Column
	}
	return 0, 0
}

// mapping hands the pairs of a mapping to f, with the names of their keys.
func (r *reader) mapping(n ast.Node, key string, f func(name string, p *ast.MappingValueNode)) {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		r.complain(n, key, "", "want a mapping of keys to values, not %s", what(n))
		return
	}
	seen := map[string]int{}
	for _, p := range pairs {
		s, ok := p.Key.(*ast.StringNode)
		if !ok {
			r.complain(p.Key, key, "", "%s is no key", what(p.Key))
			continue
		}
		line, _ := place(p.Key)
		if first, twice := seen[s.Value]; twice {
			r.complain(p.Key, join(key, s.Value), "", "it stands there twice, first in line %d", first)
			continue
		}
		seen[s.Value] = line
		f(s.Value, p)
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// topic reads a pair at the top.
func (r *reader) topic(name string, p *ast.MappingValueNode) { r.pair("", name, p) }

// pair reads one pair below a prefix: a key, or the mapping of a topic.
func (r *reader) pair(prefix, name string, p *ast.MappingValueNode) {
	full := join(prefix, name)
	if k, ok := find(r.keys, full); ok {
		r.value(k, p)
		return
	}
	if r.isTopic(full) {
		if _, null := p.Value.(*ast.NullNode); !null {
			r.mapping(p.Value, full, func(name string, p *ast.MappingValueNode) { r.pair(full, name, p) })
		}
		return
	}
	r.unknown(p.Key, full, r.siblings(prefix))
}

func (r *reader) isTopic(name string) bool {
	for _, k := range r.keys {
		if strings.HasPrefix(k.Name, name+".") {
			return true
		}
	}
	return false
}

// siblings are the names that could stand beside one another below a prefix.
func (r *reader) siblings(prefix string) []string {
	var out []string
	for _, k := range r.keys {
		rest, ok := strings.CutPrefix(k.Name, prefix)
		if prefix == "" || ok && strings.HasPrefix(rest, ".") {
			first, _, _ := strings.Cut(strings.TrimPrefix(rest, "."), ".")
			out = append(out, first)
		}
	}
	return out
}

// unknown complains of a key that is none, and names the nearest, or all that could stand there.
func (r *reader) unknown(n ast.Node, full string, known []string) {
	last := full[strings.LastIndex(full, ".")+1:]
	hint := "there are: " + strings.Join(slices.Compact(known), ", ")
	if near := core.Nearest(last, known); len(near) > 0 {
		hint = "did you mean " + near[0] + "?"
	} else if all := core.Nearest(full, names(r.keys)); len(all) > 0 && !strings.Contains(full, "[") {
		hint = "did you mean " + all[0] + "?"
	}
	r.complain(n, full, hint, "there is no such key")
}

func names(keys []Key) []string {
	out := make([]string, len(keys))
	for i := range keys {
		out[i] = keys[i].Name
	}
	return out
}

// value reads the value of a key. Null is as if the key were not there.
func (r *reader) value(k Key, p *ast.MappingValueNode) {
	if _, null := p.Value.(*ast.NullNode); null {
		return
	}
	line, col := place(p.Key)
	before := len(r.problems)
	v := reflect.New(k.kind).Elem()
	r.node(k, v, p.Value, k.Name)
	if len(r.problems) == before {
		k.in(r.config).Set(v)
		r.origins[k.Name] = Origin{Source: r.source, Line: line, Col: col}
	}
}

// node reads a node into a value of a key or of a part of one.
func (r *reader) node(k Key, v reflect.Value, n ast.Node, name string) {
	switch {
	case v.Kind() == reflect.Slice:
		r.list(k, v, n, name)
	case v.Kind() == reflect.Struct:
		r.entry(v, n, name)
	default:
		text, err := textOf(n, v)
		if err == nil {
			if err = scalar(v, text); err == nil && !k.list() {
				err = k.allowed(v, text)
			}
		}
		if err != nil {
			r.complain(n, name, "", "%s", err)
		}
	}
}

// list reads a sequence; one value alone is a list of one.
func (r *reader) list(k Key, v reflect.Value, n ast.Node, name string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		one := reflect.New(v.Type().Elem()).Elem()
		r.node(k, one, n, name)
		v.Set(reflect.Append(v, one))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(seq.Values)))
	for i, item := range seq.Values {
		one := reflect.New(v.Type().Elem()).Elem()
		r.node(k, one, item, fmt.Sprintf("%s[%d]", name, i))
		v.Set(reflect.Append(v, one))
	}
}

// entry reads a mapping of a list of them.
func (r *reader) entry(v reflect.Value, n ast.Node, name string) {
	t := v.Type()
	known := make([]string, t.NumField())
	for i := range known {
		known[i] = t.Field(i).Tag.Get("key")
	}
	r.mapping(n, name, func(key string, p *ast.MappingValueNode) {
		for i := range known {
			if known[i] == key {
				r.node(Key{kind: t.Field(i).Type}, v.Field(i), p.Value, name+"."+key)
				return
			}
		}
		r.unknown(p.Key, name+"."+key, known)
	})
}

// textOf gives a scalar's text. Text has to be written as text, so that a version or a time is not
// read as a number of something.
func textOf(n ast.Node, v reflect.Value) (string, error) {
	isText := v.Kind() == reflect.String
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.BoolNode:
		if isText {
			return "", fmt.Errorf("%s is not text; quote it if it is meant so", n.GetToken().Value)
		}
		return fmt.Sprint(n.Value), nil
	case *ast.IntegerNode, *ast.FloatNode:
		if isText {
			return "", fmt.Errorf("%s is a number; quote it if it is meant as text", n.GetToken().Value)
		}
		return n.GetToken().Value, nil
	}
	return "", fmt.Errorf("want one value, not %s", what(n))
}

// what names a node for a message.
func what(n ast.Node) string {
	switch n.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.AliasNode, *ast.AnchorNode:
		return "an anchor or alias"
	case *ast.TagNode:
		return "a tag"
	case *ast.NullNode, nil:
		return "nothing"
	}
	if tk := n.GetToken(); tk != nil {
		return fmt.Sprintf("%.60q", tk.Value)
	}
	return "this"
}

// setYAML reads a list of mappings that stands in a variable or behind a flag.
func (k Key) setYAML(v reflect.Value, text string) error {
	doc, err := parseYAML([]byte(text))
	if err != nil || doc == nil {
		return err
	}
	r := &reader{keys: Keys()}
	out := reflect.New(k.kind).Elem()
	r.node(k, out, doc, k.Name)
	if len(r.problems) > 0 {
		return r.problems
	}
	v.Set(out)
	return nil
}

// yamlText writes a list of mappings on one line.
func yamlText(v reflect.Value, masked bool) string {
	var items []string
	for i := range v.Len() {
		item, t := v.Index(i), v.Index(i).Type()
		var parts []string
		for j := range t.NumField() {
			if item.Field(j).IsZero() {
				continue
			}
			parts = append(parts, t.Field(j).Tag.Get("key")+": "+flowText(item.Field(j), masked))
		}
		items = append(items, "{"+strings.Join(parts, ", ")+"}")
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func flowText(v reflect.Value, masked bool) string {
	if v.Kind() != reflect.Slice {
		return fmt.Sprintf("%q", scalarText(v, masked))
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprintf("%q", scalarText(v.Index(i), masked))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
